"""Facts on how a policy is trained and evaluated, and the questions that rules ask of them."""

from dataclasses import field
from typing import Any

from pydantic.dataclasses import dataclass

from training.audit.sections import STRICT, Evaluation, PolicyInterface, Training


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Facts:
    """All facts that the inputs state or imply."""

    training: Training = field(default_factory=Training)
    evaluation: Evaluation = field(default_factory=Evaluation)
    trained: PolicyInterface = field(default_factory=PolicyInterface)
    """The policy's interface in training."""
    evaluated: PolicyInterface = field(default_factory=PolicyInterface)
    """The policy's interface in evaluation."""
    stated: frozenset[str] = frozenset()
    """Facts that stand in an input, such as ``training.warmup``; others follow from defaults."""
    unreadable: frozenset[str] = frozenset()
    """Facts whose value in the input cannot be read, such as ``$BATCH``."""
    unknown_flags: tuple[str, ...] = ()
    """Flags and settings that the audit does not know."""
    lost_flags: tuple[str, ...] = ()
    """Flags in a script that belong to no command."""
    stored_dtype: str | None = None
    """Dtype of most weights in a checkpoint."""

    @property
    def trains(self) -> bool:
        """Whether anything is known of the training."""
        return self.training.code is not None or any(s.startswith("training.") for s in self.stated)

    @property
    def evaluates(self) -> bool:
        """Whether anything is known of the evaluation."""
        return any(s.startswith(("evaluation.", "evaluated.")) for s in self.stated)

    @property
    def official(self) -> bool:
        """Whether the official code, or a fork of it, trains."""
        return self.training.code == "official"

    @property
    def ours(self) -> bool:
        """Whether this project's code trains."""
        return self.training.code == "libero-bench"

    @property
    def small(self) -> bool:
        """Whether the network is our small one rather than one of the published sizes."""
        return self.training.network == "rdt-small"

    def need(self, name: str) -> Any:
        """Return the value of a fact, one of ``DESCRIPTIONS``.

        Raises:
            MissingFact: It is not known.
        """
        section, _, entry = name.partition(".")
        value = getattr(getattr(self, section), entry)
        if value is None:
            raise MissingFact(DESCRIPTIONS[name])
        return value

    def batch(self) -> int:
        """Return the samples per update.

        Raises:
            MissingFact: A factor of it is not known.
        """
        if self.training.effective_batch is not None:
            return self.training.effective_batch
        per_process: int = self.need("training.batch")
        processes: int = self.need("training.processes")
        return per_process * processes * self.accumulation()

    def known_batch(self) -> int | None:
        """Return the samples per update; None if a factor of it is not known."""
        try:
            return self.batch()
        except MissingFact:
            return None

    def accumulation(self) -> int:
        """Return the micro-batches per update, 1 where nothing is stated.

        Raises:
            MissingFact: It is stated and cannot be read.
        """
        if "training.accumulation" in self.unreadable:
            raise MissingFact("the accumulation")
        return self.training.accumulation or 1


class MissingFact(Exception):  # noqa: N818 - no fault: the rule is skipped
    """A fact is not known, so the rule is skipped; the message names it."""


DESCRIPTIONS = {
    "training.network": "the network's size",
    "training.start": "the weights training starts from",
    "training.processes": "the number of processes (--gpus)",
    "training.batch": "the batch per process",
    "training.updates": "the number of updates",
    "training.learning_rate": "the learning rate",
    "training.scheduler": "the scheduler",
    "training.warmup": "the warm-up",
    "training.precision": "the mixed precision",
    "training.weights": "the dtype of the trained weights",
    "training.clip": "the gradient norm",
    "training.loss": "the loss",
    "training.augmentation": "the augmentation",
    "training.flips": "whether augmentation flips",
    "training.condition_mask": "the condition masking",
    "training.state_noise_db": "the state noise",
    "training.demos": "the number of demonstrations (--demos)",
    "training.save_every": "the updates between checkpoints",
    "training.sample_every": "the updates between sampled errors",
    "training.seeded": "the seed",
    "evaluation.suite": "the suite",
    "evaluation.exec_horizons": "the execution horizon",
    "evaluation.max_steps": "the step limit",
    "evaluation.episodes": "the episodes per task",
    "evaluation.video_fps": "the frame rate of videos",
    "evaluation.mujoco": "the version of mujoco",
    "trained.orientation": "the orientation of pictures in training",
    "trained.render_size": "the resolution in training",
    "trained.history": "the history in training",
    "trained.normalisation": "how actions are normalised",
    "trained.action_slots": "the action's slots",
    "trained.delta_slots": "the slots of deltas",
    "trained.gripper": "the gripper's convention in training",
    "evaluated.orientation": "the orientation of pictures in evaluation",
    "evaluated.missing_camera": "what stands for missing cameras",
    "evaluated.render_size": "the resolution in evaluation",
    "evaluated.history": "the history in evaluation",
    "evaluated.action_slots": "the action's slots in evaluation",
}
"""Descriptions of the facts that rules need, for the list of skipped rules."""
