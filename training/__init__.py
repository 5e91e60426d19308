"""From demonstrations to a checkpoint.

``trainer`` runs a training: ``setup`` gives its network, windows and contract, ``update`` makes one
optimiser update, ``trained_weights`` holds network, average and optimiser, ``checkpoint_manager``
and ``run_folder`` keep the files. ``config`` joins the settings of ``config_sections`` and
``data_settings``. ``data`` loads and samples windows, ``augmentation`` changes their images,
``launch`` starts accelerate, ``sharding`` divides weights among processes, ``monitoring`` logs and
evaluates, ``demos`` checks and describes demo files, ``audit`` checks recipes of others.
"""

from tasks.native_libraries import load_triton_after_mesa

load_triton_after_mesa()  # before torch does it for an optimiser
