"""Every statistic of the project: two-sided, at 95 % or 0.05 unless asked otherwise.

| module | answers |
|---|---|
| ``intervals`` | between which values does the true rate, or the true difference of two, lie? |
| ``significance`` | do runs of the same episodes differ, and which of many cannot be told apart? |
| ``power`` | how many episodes show a difference, and which difference do so many show? |
"""
