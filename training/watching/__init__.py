"""Looking at a run: log, trackers, error of sampled plans, success in simulation, and a report."""
