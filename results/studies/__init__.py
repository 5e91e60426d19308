"""Studies: what several seeds of several arms say, and what that decides."""
