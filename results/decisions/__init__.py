"""Comparisons that stop as soon as they are decided.

| module | holds |
|---|---|
| ``order`` | the order in which pairs of episodes are looked at |
| ``verdict`` | what the outcomes say so far, and which episodes are needed next |
"""
