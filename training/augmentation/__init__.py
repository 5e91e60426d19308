"""Changing pictures during training, alike for all frames that one camera shows in a sample."""
