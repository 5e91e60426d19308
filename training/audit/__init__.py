"""The audit: reads how a policy is trained and evaluated and says what is wrong with it, and why.

``sources`` turns commands, scripts, configurations, checkpoints and runs into ``facts``, whose
fields are those of ``sections``; ``rules`` judge the facts; ``audit`` puts the two together.
"""
