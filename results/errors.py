"""The errors of this package that a user can cause and mend."""


class ResultsError(Exception):
    """A run or a number is not as it must be.

    The message is one line and says what was given, what is allowed and the fix.
    """
