"""A LeRobot data set, opened: its episodes by task, and its conventions."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from tasks.demos.conventions import View
from tasks.demos.lerobot.evidence import (
    Found,
    Sample,
    find_cameras,
    find_grip,
    find_rate,
    find_rotation,
    find_turn,
    libero_commands,
    orientation_matrices,
)
from tasks.demos.lerobot.images import EpisodeImages
from tasks.demos.lerobot.index import Index, read_index
from tasks.demos.lerobot.info import INFO, Info, read_info
from tasks.demos.lerobot.notes import NOTES, STATED, Notes, read_notes
from tasks.demos.lerobot.roles import EXACT, Roles, find_roles, find_state_form, robot_states
from tasks.demos.lerobot.table import LeftOut, Stored, read_table, spread
from tasks.demos.lerobot.video import video_fault
from tasks.errors import ConfigError
from tasks.observation import CONTROL_HZ, FloatArray
from tasks.rotations import matrix_to_quat

_NUMBER_SAMPLES = 100
_IMAGE_SAMPLES = (3, 10)
"""Episodes whose images are looked at, and if they do not tell."""
_MOST_SHOWN = 200
_CLOSE = 1e-5


@dataclass(frozen=True, kw_only=True)
class LeRobotDataset:
    """An open data set.

    Attributes:
        stored: The episodes that can be used.
        left_out: The others.
    """

    info: Info
    index: Index
    roles: Roles
    notes: Notes
    stored: tuple[Stored, ...]
    left_out: tuple[LeftOut, ...]

    @property
    def root(self) -> Path:
        """The folder."""
        return self.info.root

    @cached_property
    def tasks(self) -> dict[int, list[Stored]]:
        """The usable episodes by task, in order.

        The number is the ``task_index``. Where the notes say that episodes with one sentence are of
        several tasks, as in libero_90, the others get numbers beyond all indices.
        """
        groups: dict[tuple[int, str], list[Stored]] = {}
        for stored in self.stored:
            groups.setdefault((stored.task, self.noted_bddl(stored)), []).append(stored)
        tasks: dict[int, list[Stored]] = {}
        for (number, _), episodes in groups.items():
            free = max([*self.index.tasks, *tasks]) + 1
            tasks[free if number in tasks else number] = episodes
        return dict(sorted(tasks.items()))

    def noted_bddl(self, stored: Stored) -> str:
        """Return the BDDL file that the notes say an episode is of; empty where they do not."""
        noted = self.notes.episodes.get(stored.episode.number, {}).get("bddl_file_name")
        return noted if isinstance(noted, str) else ""

    def joints(self, stored: Stored) -> FloatArray | None:
        """Return an episode's joints, (T, 7) rad; None where the data set has none."""
        exact = self._exact(stored, "joint_states", self.roles.joints)
        if exact is not None or self.roles.joints is None:
            return exact
        return stored.columns[self.roles.joints].astype(np.float64)

    def actions(self, stored: Stored) -> FloatArray:
        """Return an episode's actions, (T, 7) in LIBERO's numbers."""
        exact = self._exact(stored, "actions", self.roles.action)
        return self._commanded(stored.columns[self.roles.action]) if exact is None else exact

    def intended(self, stored: Stored) -> FloatArray | None:
        """Return (T, 7) actions without the demonstrator's noise; None where there are none."""
        exact = self._exact(stored, "intended_actions", self.roles.intended)
        if exact is not None or self.roles.intended is None:
            return exact
        return self._commanded(stored.columns[self.roles.intended])

    def robot(self, stored: Stored) -> FloatArray:
        """Return an episode's robot states, (T, 9), as LIBERO's HDF5 files have them."""
        if "robot_states" in self.roles.exact:
            exact = stored.columns[f"{EXACT}robot_states"]
            plain = self._plain_robot(stored)
            if np.abs(exact[:, :5] - plain[:, :5]).max() < _CLOSE:
                return exact
            return plain
        return self._plain_robot(stored)

    def _plain_robot(self, stored: Stored) -> FloatArray:
        states = stored.columns[self.roles.state]
        robot = robot_states(states, self.form.value)
        rotation = self.rotation.value
        if self.form.value == "axisangle" and rotation not in (None, "axisangle"):
            turned = states[:, 3:6].astype(np.float64)
            robot[:, 5:9] = matrix_to_quat(orientation_matrices(turned, rotation))
        return robot

    def images(self, stored: Stored, camera: str) -> EpisodeImages:
        """Return the images of a camera in an episode, unread.

        Raises:
            ConfigError: It cannot be told how they are turned.
        """
        if self.turn.value is None:
            raise self.info.refuse(
                f"it cannot be told how its images are turned: {self.turn.words}",
                self._statement("pictures", "rotated"),
            )
        return self._images(stored, self.cameras[camera], self.turn.value)

    @cached_property
    def cameras(self) -> dict[str, str]:
        """The feature of each camera, as the images show which is which."""
        cameras = self.roles.cameras
        if self.cameras_found.value:
            return {"agentview": cameras["wrist"], "wrist": cameras["agentview"]}
        return cameras

    @cached_property
    def form(self) -> Found:
        """What the numbers of the state are."""
        some = [s.columns[self.roles.state] for s in spread(self.stored, _NUMBER_SAMPLES)]
        value, words = find_state_form(self.info, np.concatenate(some))
        return Found(value=value, words=words)

    @cached_property
    def gripper(self) -> Found:
        """What the gripper's command means."""
        stated = self._stated("gripper")
        found = find_grip([self._sample(stored, plain=True) for stored in self.stored])
        if stated is not None:
            if found.value not in (None, stated.value):
                raise self.info.refuse(
                    f"{NOTES} states that its gripper is {stated.value}, but {found.words}",
                    "Fix: correct what is stated, or leave it out.",
                )
            return Found(value=stated.value, words=f"{stated.words}; {found.words}")
        if found.value is None:
            raise self.info.refuse(
                f"it cannot be told how its gripper is commanded: {found.words}",
                self._statement("gripper", "−1 open, +1 close"),
            )
        return found

    @cached_property
    def rotation(self) -> Found:
        """How three numbers give the hand's orientation."""
        if (stated := self._stated("rotation")) is not None:
            return stated
        samples = spread(self.stored, _NUMBER_SAMPLES)
        return find_rotation([self._sample(stored, plain=True) for stored in samples])

    @cached_property
    def rate(self) -> Found:
        """Control steps per second."""
        samples = spread(self.stored, _NUMBER_SAMPLES)
        found = find_rate(
            [self._sample(stored, plain=True) for stored in samples], float(self.info.fps)
        )
        if found.value not in (None, CONTROL_HZ):
            raise self.info.refuse(
                f"its rows are no control steps of {CONTROL_HZ:g} Hz, but about {found.value:g} a "
                f"second ({found.words})",
                "Fix: give the set before rows were dropped.",
            )
        return found

    @cached_property
    def turn(self) -> Found:
        """How images are turned where they are stored."""
        if (stated := self._stated("pictures")) is not None:
            return stated
        found = Found(value=None, words="there is no fixed camera")
        for count in _IMAGE_SAMPLES if "agentview" in self.cameras else ():
            samples = self._seen(count, {"agentview": self.cameras["agentview"]})
            found = find_turn(samples)
            if found.value is not None or count >= len(self.stored):
                break
        return found

    @cached_property
    def cameras_found(self) -> Found:
        """Whether the names have the cameras the other way round."""
        if "pictures" in self.notes.conventions:
            return Found(value=False, words="as stated")
        return find_cameras(self._seen(_IMAGE_SAMPLES[0], self.roles.cameras))

    def settled(self) -> dict[str, Any]:
        """Return all conventions with their evidence, as plain data."""
        return {
            "format": f"LeRobot {self.info.version}",
            "robot": self.info.robot,
            "fps_label": float(self.info.fps),
            "images": {
                camera: self.info.features[key].codec or self.info.features[key].dtype
                for camera, key in self.cameras.items()
            },
            "features": {"action": self.roles.action, "state": self.roles.state, **self.cameras},
            "state": self.form.as_dict(),
            "rotation": self.rotation.as_dict(),
            "gripper": self.gripper.as_dict(),
            "pictures": self.turn.as_dict(),
            "rate": self.rate.as_dict(),
            "left_out": {str(each.number): each.why for each in self.left_out},
        }

    def _exact(self, stored: Stored, name: str, plain: str | None) -> FloatArray | None:
        """Return an array in double precision, unless the plain feature was changed since."""
        key = f"{EXACT}{name}"
        if key not in stored.columns:
            return None
        if plain is not None and np.abs(stored.columns[key] - stored.columns[plain]).max() > _CLOSE:
            return None
        exact: FloatArray = stored.columns[key]
        return exact

    def _commanded(self, actions: Any) -> FloatArray:
        commands: FloatArray = actions.astype(np.float64)
        commands[:, 6] = libero_commands(commands[:, 6], self.gripper.value)
        return commands

    def _sample(self, stored: Stored, *, plain: bool = False) -> Sample:
        states = stored.columns[self.roles.state]
        turned = states[:, 3:6] if self.form.value == "axisangle" else None
        return Sample(
            actions=stored.columns[self.roles.action].astype(np.float64),
            robot=robot_states(states, self.form.value) if plain else self.robot(stored),
            turned=None if turned is None else turned.astype(np.float64),
        )

    def _seen(self, count: int, cameras: dict[str, str]) -> list[Sample]:
        """Return samples with images, as stored; episodes with broken ones are passed over."""
        samples = []
        for stored in spread(self.stored, count):
            rows = slice(0, _MOST_SHOWN)
            try:
                images = {
                    camera: self._images(stored, key, "raw")[rows]
                    for camera, key in cameras.items()
                }
            except ConfigError:
                continue
            sample = self._sample(stored)
            samples.append(
                replace(
                    sample, actions=sample.actions[rows], robot=sample.robot[rows], images=images
                )
            )
        return samples

    def _images(self, stored: Stored, key: str, view: View) -> EpisodeImages:
        feature, episode = self.info.features[key], stored.episode
        video = feature.dtype == "video"
        return EpisodeImages(
            name=f"{key} of episode {episode.number}",
            root=self.root,
            path=episode.videos[key].path if video else episode.data,
            first=episode.videos[key].first if video else stored.rows.start,
            shape=(episode.length, *feature.shape),
            view=view,
            fps=self.info.fps if video else None,
            feature=key,
        )

    def _stated(self, name: str) -> Found | None:
        value = self.notes.conventions.get(name)
        return None if value is None else Found(value=value, words=f"{NOTES} states it")

    def _statement(self, name: str, example: str) -> str:
        return (
            f"Allowed: {', '.join(STATED[name])}. Fix: state it in {self.root / NOTES}: "
            f'{{"conventions": {{"{name}": "{example}"}}}}.'
        )


def is_dataset(path: Path) -> bool:
    """Whether a folder is a LeRobot data set."""
    return (path / INFO).is_file()


def open_dataset(root: Path) -> LeRobotDataset:
    """Open a data set; the last ones stay open in this process until their files change.

    Raises:
        ConfigError: It is damaged, of another version, or has no usable episode.
        PrerequisiteError: PyArrow is not installed.
    """
    stamps = tuple(
        (root / name).stat().st_mtime_ns if (root / name).exists() else 0 for name in (INFO, NOTES)
    )
    return _open(root.absolute(), stamps)


@lru_cache(maxsize=8)
def _open(root: Path, _stamps: tuple[int, ...]) -> LeRobotDataset:
    info = read_info(root)
    index, roles = read_index(info), find_roles(info)
    stored, left_out = read_table(info, index, roles)
    usable, broken = _without_broken(info, stored, roles.cameras.values())
    left_out = sorted([*left_out, *broken], key=lambda each: each.number)
    if not usable:
        why = f"; episode {left_out[0].number}: {left_out[0].why}" if left_out else ""
        raise info.refuse(f"none of its {len(index.episodes)} episodes can be used{why}")
    return LeRobotDataset(
        info=info,
        index=index,
        roles=roles,
        notes=read_notes(root),
        stored=tuple(usable),
        left_out=tuple(left_out),
    )


def _without_broken(
    info: Info, stored: Iterable[Stored], keys: Iterable[str]
) -> tuple[list[Stored], list[LeftOut]]:
    """Leave out episodes whose videos are missing, truncated or too short."""
    videos = [key for key in keys if info.features[key].dtype == "video"]
    usable, broken = [], []
    for each in stored:
        for key in videos:
            span, size = each.episode.videos[key], info.features[key].shape
            fault = video_fault(
                span.path, size=(size[0], size[1]), fps=info.fps, frames=span.first + len(each.rows)
            )
            if fault:
                where = span.path.relative_to(info.root)
                broken.append(LeftOut(number=each.episode.number, why=f"{where}: {fault}"))
                break
        else:
            usable.append(each)
    return usable, broken
