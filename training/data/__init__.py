"""From demonstrations to batches: windows, their order, and what is hidden from the policy."""
