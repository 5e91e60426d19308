"""Watching a training run: log, in-training evaluation, sampled error, best checkpoint, report."""
