"""Rules on cameras, orientation, sizes, history and augmentation of images."""

from training.audit.facts import Facts, MissingFact
from training.audit.rules.rule import Violation, rule
from training.audit.sections import PolicyInterface

_CAMERA_SLOTS = (
    "RDT's picture slots have learnt meanings (external, right wrist, left wrist). A slot that "
    "held the wrist camera in training and is grey in evaluation takes away what grasping was "
    "learnt from."
)
_FAR_SHIFT, _SMALL_CROP, _MUCH_HUE = 0.125, 0.6, 0.1


@rule(
    "pictures/cameras",
    severity="critical",
    expected="the same cameras in the same order in both",
    why=_CAMERA_SLOTS,
    source="data/hdf5_vla_dataset.py and train/dataset.py (three slots, background 127); "
    "LIBERO's HDF5 has agentview and eye_in_hand",
    fix="let the evaluation show the cameras of training",
)
def cameras(facts: Facts) -> Violation | str | None:
    """Cameras that differ between training and evaluation."""
    trained, evaluated = facts.trained, facts.evaluated
    if evaluated.number_of_cameras is None:
        if facts.evaluation.enforced:
            return None
        raise MissingFact("the cameras in evaluation")
    cameras_shown = f"evaluation: {_cameras(evaluated)}; "
    if trained.number_of_cameras is None:
        if not facts.official or evaluated.number_of_cameras >= 2:
            raise MissingFact("the cameras in training")
        return Violation(
            cameras_shown + "training as in LIBERO's demos: 2 (assumed; the command does not say)",
            why=f"{_CAMERA_SLOTS} If you did train on one camera, say so in a facts file.",
            fix="show agentview and robot0_eye_in_hand in evaluation",
        )
    if None in (trained.cameras, evaluated.cameras):
        same = trained.number_of_cameras == evaluated.number_of_cameras
    else:
        same = trained.cameras == evaluated.cameras
    return None if same else f"{cameras_shown}training: {_cameras(trained)}"


@rule(
    "pictures/orientation",
    "evaluated.orientation",
    severity="critical",
    expected="the same in both; upright is rotate180",
    why="LIBERO renders upside down. A turn by 180 degrees and a vertical flip are not the "
    "same picture: the second is mirrored, so left and right change places while actions "
    "do not.",
    source="LIBERO's renderer; OpenVLA, LeRobot and openpi turn by 180 degrees",
    fix="img[::-1, ::-1] on both sides; here: a protocol with the checkpoint's orientation",
)
def orientation(facts: Facts, evaluated: str) -> str | None:
    """Images that are turned or mirrored in one of the two."""
    if evaluated == "flipped":
        trained: str = facts.trained.orientation or "unknown"
    else:
        trained = facts.need("trained.orientation")
    return None if evaluated == trained else f"evaluation: {evaluated}; training: {trained}"


@rule(
    "pictures/resolution",
    "evaluated.render_size",
    "trained.render_size",
    severity="major",
    expected="one size",
    why="Resizing from another size gives another sharpness; a policy trained on 128-pixel "
    "demos has never seen such pictures.",
    source="the checkpoint's contract; LIBERO's demos have 128 pixels",
)
def resolution(facts: Facts, evaluated: int, trained: int) -> Violation | None:
    """Images of another size."""
    if evaluated == trained or 0 in (evaluated, trained):
        return None
    return Violation(
        f"rendered at {evaluated} pixels in evaluation, {trained} in training",
        fix=f"--resolution {trained}",
    )


@rule(
    "pictures/history",
    severity="major",
    expected="the same; RDT has 2, one control step apart",
    why="The frame before says how things move. Without it the slot shows the background.",
    source="configs/base.yaml (img_history_size 2)",
)
def history(facts: Facts) -> Violation | None:
    """Another number of frames."""
    if facts.evaluation.enforced and facts.evaluated.history is None:
        return None
    evaluated, trained = facts.need("evaluated.history"), facts.need("trained.history")
    if evaluated == trained:
        return None
    return Violation(
        f"{evaluated} frames in evaluation, {trained} in training",
        fix=f"give the policy {trained} frames, the last two control steps, at every plan",
    )


@rule(
    "pictures/missing-camera",
    severity="major",
    expected="the grey background, 127 in each channel, 384 x 384",
    why="In pre-training a missing camera or frame is always that grey; black pictures or "
    "copies of another camera are new to the network.",
    source="train/dataset.py: int(255 x mean) of SigLIP's processor",
    fix="fill missing slots with 127",
)
def missing_camera(facts: Facts) -> str | None:
    """Another image in place of a missing camera."""
    if facts.evaluation.enforced and facts.evaluated.missing_camera is None:
        return None
    evaluated: str = facts.need("evaluated.missing_camera")
    trained = facts.trained.missing_camera or "background"
    if evaluated == trained:
        return None
    return f"missing cameras: {evaluated} in evaluation, {trained} in training"


@rule(
    "pictures/flips",
    "training.flips",
    severity="critical",
    expected="never a flip",
    why="Actions and instructions are not mirrored along: the policy learns to move left "
    "for things on the right.",
    source="the official augmentation has no flip",
    fix="take the flip out",
)
def flips(facts: Facts, flips: bool) -> str | None:
    """Mirrored images in training."""
    return "augmentation mirrors pictures" if flips else None


@rule(
    "pictures/no-augmentation",
    "training.augmentation",
    severity="minor",
    expected="colour jitter, blur and noise, or small shifts",
    why="A policy that sees the same few pictures many times learns them by heart.",
    source="finetune.sh has --image_aug; the shipped rdt-small was trained with shifts of 2",
)
def augmentation_off(facts: Facts, augmentation: bool) -> Violation | None:
    """No augmentation on few demonstrations."""
    if augmentation:
        return None
    demos = facts.training.demos
    return Violation(
        "no augmentation" + ("" if demos is None else f", {demos} demos"),
        fix="--image-shift 2" if facts.ours else "--image_aug",
    )


@rule(
    "pictures/strong-augmentation",
    severity="major",
    expected="shifts up to 6 %, crops above 80 %, hue up to 0.03",
    why="Where things are in a picture is what a plan follows from, and instructions name "
    "colours; targets do not move along with the picture.",
    source="official: hue 0.03, no crop; OpenVLA: 90 % crop",
)
def augmentation_strong(facts: Facts) -> Violation | None:
    """Augmentation that moves or recolours what the task depends on."""
    training = facts.training
    if training.shift is None and training.crop is None and training.hue is None:
        raise MissingFact("how strong the augmentation is")
    strong = []
    if (training.shift or 0) > _FAR_SHIFT:
        strong.append(f"shifts of {training.shift:.0%} of the picture")
    if training.crop is not None and training.crop < _SMALL_CROP:
        strong.append(f"crops down to {training.crop:.0%} of the area")
    if (training.hue or 0) > _MUCH_HUE:
        strong.append(f"hue changed by up to {training.hue:g}")
    if not strong:
        return None
    return Violation(", ".join(strong), fix="--image-shift 2" if facts.ours else "weaken it")


def _cameras(interface: PolicyInterface) -> str:
    if interface.cameras is not None:
        return ", ".join(interface.cameras) or "no camera"
    return "1 camera" if interface.camera_count == 1 else f"{interface.camera_count} cameras"
