"""RDT as a policy server, for evaluators that speak openpi's protocol or vla-eval's."""
