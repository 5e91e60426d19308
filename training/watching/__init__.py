"""Looking at a run: its log, trackers, the error of sampled plans, and a report of it all."""
