"""Writing LeRobot data sets, versions 2.1 and 3.0, with PyArrow and PyAV."""
