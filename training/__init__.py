"""From demonstrations to a checkpoint.

``trainer`` runs a training: ``setup`` gives its network, windows and contract, ``update`` makes one
optimiser update, ``checkpoint_manager`` and ``run_folder`` keep what it writes. ``config`` and
``config_sections`` hold the settings. ``data`` loads and samples windows, ``augmentation`` changes
their images, ``distributed`` starts processes and shards weights, ``monitoring`` logs and
evaluates, ``demos`` checks and describes demo files, ``audit`` checks recipes of others.
"""

from tasks.native_libraries import load_triton_after_mesa

load_triton_after_mesa()  # before torch does it for an optimiser
