"""Reading shell scripts: which commands run, with which words. Nothing is executed.

``grammar`` parses a text, ``expansion`` expands words by the values in ``variables``,
``interpreter`` walks the statements with the help of ``builtins``, and ``script`` returns the
commands.
"""
