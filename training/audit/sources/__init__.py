"""Readers that turn commands, scripts, configurations, checkpoints and runs into facts."""
