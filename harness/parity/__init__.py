"""Does training see what an evaluation shows? A demonstration against the environment itself."""
