"""From demonstrations to a checkpoint.

``demo_format`` says what LIBERO's HDF5 files look like, ``demo_writer`` writes and ``demo_reader``
reads and checks them. ``data`` cuts training samples and puts them in order, ``augmentation``
changes their pictures, ``losses`` weighs errors, ``optimisation`` moves weights, ``checkpoints``
keeps them, ``watching`` measures; ``trainer`` puts these together and ``config`` their settings.
"""
