"""Runs compared on the episodes that all of them have.

| module | holds |
|---|---|
| ``pairs`` | the episodes that runs share, and which runs they tell apart |
| ``pair_comparison`` | two runs: difference, flipped episodes, what so many episodes can show |
| ``comparison`` | two or more runs |
| ``conditions`` | under which conditions runs were made, and what that says of comparing them |
| ``layout``, ``text`` | what people and machines read of a comparison |
"""
