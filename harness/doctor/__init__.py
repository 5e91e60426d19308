"""Is this machine fit for simulations whose results can be compared? ``libero-bench doctor``."""
