"""Image and language encoders: small trained ones, SigLIP, T5 and cached instructions."""
