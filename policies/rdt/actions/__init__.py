"""The mapping of states and actions to RDT's 128 slots."""
