"""LIBERO's own environment, driven as its users drive it, to compare with."""

import contextlib
from collections.abc import Iterator

import numpy as np

from tasks.protocols import Protocol
from tasks.suites import Task

CAMERAS = {"agentview": "agentview_image", "wrist": "robot0_eye_in_hand_image"}
VECTORS = {
    "joint_pos": "robot0_joint_pos",
    "ee_pos": "robot0_eef_pos",
    "ee_quat": "robot0_eef_quat",
    "gripper_qpos": "robot0_gripper_qpos",
}


class Official:
    """One ``OffScreenRenderEnv`` that plays episode after episode, as the openvla protocol has it.

    Args:
        task: The task.
        protocol: Seeded once, a reset for each episode, then settling.
        images: Whether pictures can be asked for.
    """

    def __init__(self, task: Task, protocol: Protocol, *, images: bool) -> None:
        from libero.libero.envs.env_wrapper import ControlEnv

        self.task, self.protocol = task, protocol
        self.rendering = False
        self.env = ControlEnv(
            bddl_file_name=str(task.bddl_file),
            camera_heights=protocol.resolution,
            camera_widths=protocol.resolution,
            use_camera_obs=images,  # a renderer it has anyway: making one runs a ``forward``
        )
        self.env.seed(protocol.scene(0).seed)

    def next_episode(self, init_state: int) -> dict[str, np.ndarray]:
        """Reset once more, set an initial state, settle, and return the observation."""
        self.env.reset()
        # Pictures at every step would take minutes. Only what the sensors do is replaced: when
        # they are asked stays LIBERO's own affair.
        for name in CAMERAS.values():
            observable = self.env.env._observables.get(name)
            if observable is not None:
                observable._sensor = self._gated(observable._sensor)
        seen = self.env.set_init_state(self.task.init_states()[init_state])
        for step in range(self.protocol.settle_steps):
            last = step == self.protocol.settle_steps - 1
            seen = self.step(np.asarray(self.protocol.settle_action), images=last)
        return seen

    def step(self, action: np.ndarray, *, images: bool = False) -> dict[str, np.ndarray]:
        """Execute one control step."""
        self.rendering = images
        seen, _, self.done, _ = self.env.step(action)
        return seen

    def _gated(self, sensor):
        def gated(cache):
            if not self.rendering:
                return np.zeros(1, np.uint8)
            # LIBERO renders into whichever GL context is current, here perhaps another simulator's.
            self.env.sim._render_context_offscreen.gl_ctx.make_current()
            return sensor(cache)

        gated.__modality__ = sensor.__modality__
        return gated


@contextlib.contextmanager
def official(task: Task, protocol: Protocol, *, images: bool) -> Iterator[Official]:
    """Build one and close it."""
    made = Official(task, protocol, images=images)
    try:
        yield made
    finally:
        made.env.close()
