"""Checkpoints of other trainers: LoRA adapters, pickles, wrapped state dicts."""
