"""Studies: arms and seeds trained and evaluated, and what they say of claims."""
