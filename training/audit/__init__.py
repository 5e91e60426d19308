"""The audit: reads how a policy is trained and evaluated and says what is wrong with it, and why.

``sources`` turns commands, scripts, configurations, checkpoints and runs into ``facts``; ``rules``
judge the facts; ``auditing`` puts the two together.
"""
