"""Who runs it: the ``libero-bench`` command, evaluation, collection, recipes and videos.

``cli`` is the entry point and ``commands`` holds one module per command; each command is a thin
layer over a function that can be called from Python as well.
"""
