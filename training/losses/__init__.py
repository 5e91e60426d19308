"""What the loss counts, and how much."""
