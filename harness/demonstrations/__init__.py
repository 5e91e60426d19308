"""Demonstrations that need the simulator: collected, executed again, rendered anew, drawn.

| module | holds |
|---|---|
| ``config``, ``collection`` | what to collect; collecting with worker processes |
| ``attempts`` | where attempts start, their files, those of a file to be added to |
| ``episode`` | one attempt of the expert, and whether it is kept |
| ``playback`` | executing a demonstration again |
| ``replay``, ``regeneration`` | open loop, with the success rate; at another resolution |
| ``preview``, ``download`` | contact sheets; the official files |
"""
