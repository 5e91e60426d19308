"""A scripted expert: it reads the simulator, plans from geometry and acts like any policy.

Conventions in all modules, unless a docstring says otherwise:

- Lengths are metres, angles radians, orientations (3, 3) rotation matrices, all in the world frame.
- Poses of the hand are those of the grip site: x is the closing axis, z the approach.
- Names of objects (``name``), regions and supports are those of the task's BDDL file.
- ``home`` is the orientation that the hand should stay close to, ``base`` the position of the
  robot's base, and ``others`` or ``obstacles`` are boxes of all that is not the robot or the
  object in question.
"""

from tasks.opengl import prepare

prepare()  # before any module here imports MuJoCo

from policies.expert.policy import ExpertPolicy  # noqa: E402

__all__ = ["ExpertPolicy"]
