"""The commands of ``libero-bench``, one module each.

Modules here are imported for ``--help`` and so import nothing heavy at the top.
"""
