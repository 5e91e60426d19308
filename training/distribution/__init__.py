"""Training on several processes: what they may be, weights in pieces, and weights put together."""
