"""Runs compared on the episodes that all of them have.

| module | holds |
|---|---|
| ``pairs`` | two runs: shared episodes, difference, flipped episodes, power |
| ``comparison`` | two or more runs |
| ``conditions`` | under which conditions runs were made, and what that says of comparing them |
| ``layout``, ``text`` | what people and machines read of a comparison |
"""
