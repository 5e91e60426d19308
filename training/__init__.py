"""From demonstrations to a checkpoint.

``demo_format`` says what LIBERO's HDF5 files look like, ``demo_writer`` writes and ``demo_reader``
reads and checks them, ``windows`` cuts training samples, ``trainer`` fits a policy to them.
"""
