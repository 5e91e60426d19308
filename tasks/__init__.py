"""LIBERO's suites as Gymnasium environments: tasks, protocols and the simulation.

Importing this package registers ``libero/<suite>-v0`` for every suite:

    import gymnasium, tasks
    env = gymnasium.make("libero/libero_object-v0", task=3, protocol="openvla")

Where things go: a suite in ``suites``, a rule of evaluation in ``protocols``, anything about
physics or images in ``simulation``, Gymnasium's side in ``environment``.
"""

from tasks.native_libraries import fix_kernels
from tasks.registration import register_with_gymnasium

fix_kernels()  # before NumPy is imported
register_with_gymnasium()
