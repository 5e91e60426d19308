"""Augmentation of images: all frames that a camera shows in a sample change alike."""
