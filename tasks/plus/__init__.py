"""LIBERO-Plus: names, files and scenes of its tasks, read from where the user has them."""
