"""A module that cannot be imported."""

raise RuntimeError("needs a\nlicence file")
