"""What perturbations do to policies: success by dimension, by dose and by distance of words.

| module | holds |
|---|---|
| ``episodes`` | which episodes are perturbed, of which policy, and their unperturbed counterparts |
| ``dimensions`` | success in each dimension, Total and mean of seven, as tables show them |
| ``doses`` | success by the strength of a perturbation |
| ``paraphrases`` | success by the distance of other words, and PRIDE |
| ``tables`` | the rows for a terminal, Markdown, CSV and JSON |
"""
