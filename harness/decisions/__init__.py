"""Evaluating policies against each other until it is decided which is better."""
