"""From demonstrations to a checkpoint.

``demos`` reads, writes, checks and describes LIBERO's HDF5 files. ``data`` cuts training samples
and puts them in order, ``augmentation`` changes their pictures, ``losses`` weighs errors,
``optimisation`` moves weights, ``checkpoints`` keeps them, ``watching`` measures; ``trainer`` puts
these together and ``config`` their settings. ``audit`` says what is wrong with a recipe.
"""

from tasks.native_libraries import load_triton_after_mesa

load_triton_after_mesa()  # before torch does it for an optimiser
