"""Speed, always as a ratio to LIBERO's own code in the same run."""
