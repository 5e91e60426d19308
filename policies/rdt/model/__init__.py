"""The RDT network: transformer, diffusion, sampling, and the network with its encoders."""
