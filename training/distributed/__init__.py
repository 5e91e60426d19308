"""Training on several GPUs: launch, sharded state, shared weights."""
