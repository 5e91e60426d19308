"""Checkpoints: our own format with its contract, official ones, and those of other trainers."""
