"""ExtractedFacts shell scripts as far as an audit needs it: which commands run, with which words.

``grammar`` makes a tree of a text, ``expansion`` and ``conditions`` work out words and tests with
what ``variables`` holds, ``interpreter`` goes through the statements, and ``script`` puts it
together. Nothing is executed.
"""
