"""LIBERO's demo files: what is in them, where they start, when observations were recorded."""
