"""Is this machine fit for simulations whose results can be compared? ``libero-bench doctor``.

Each check is a function that returns a ``Finding``; ``checklist.CHECKS`` lists them. A new one
needs a function and a line there.
"""
