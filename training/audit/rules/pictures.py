"""Rules on cameras, orientation, sizes, history and augmentation."""

from training.audit.facts import Conditions, Facts, Unjudged, known
from training.audit.findings import Found
from training.audit.rules.data import camera_count

_FAR_SHIFT, _SMALL_CROP, _MUCH_HUE = 0.125, 0.6, 0.1


def cameras(facts: Facts) -> Found | None:
    """Cameras that differ between training and evaluation."""
    shown = camera_count(facts, "evaluated")
    if shown is None:
        if facts.evaluation.enforced:
            return None
        raise Unjudged("the cameras in evaluation")
    trained = camera_count(facts, "trained")
    both = facts.trained.cameras, facts.evaluated.cameras
    assumed = trained is None
    if assumed:
        if not facts.official or shown >= 2:
            raise Unjudged("the cameras in training")
        trained_words = "training as in LIBERO's demos: 2 (assumed; the command does not say)"
    elif (None not in both and both[0] == both[1]) or (None in both and trained == shown):
        return None
    else:
        trained_words = f"training: {_cameras(facts.trained)}"
    return Found(
        severity="critical",
        found=f"evaluation: {_cameras(facts.evaluated)}; {trained_words}",
        expected="the same cameras in the same order in both",
        why="RDT's picture slots have learnt meanings (external, right wrist, left wrist). A slot "
        "that held the wrist camera in training and is grey in evaluation takes away what "
        "grasping was learnt from."
        + (" If you did train on one camera, say so in a facts file." if assumed else ""),
        source="data/hdf5_vla_dataset.py and train/dataset.py (three slots, background 127); "
        "LIBERO's HDF5 has agentview and eye_in_hand",
        fix="show agentview and robot0_eye_in_hand in evaluation"
        if assumed
        else "let the evaluation show the cameras of training",
    )


def orientation(facts: Facts) -> Found | None:
    """Pictures that are turned or mirrored in one of the two."""
    shown = known(facts.evaluated.orientation, "the orientation of pictures in evaluation")
    if shown == "flipped":
        trained = facts.trained.orientation or "unknown"
    else:
        trained = known(facts.trained.orientation, "the orientation of pictures in training")
    if shown == trained:
        return None
    return Found(
        severity="critical",
        found=f"evaluation: {shown}; training: {trained}",
        expected="the same in both; upright is rotate180",
        why="LIBERO renders upside down. A turn by 180 degrees and a vertical flip are not the "
        "same picture: the second is mirrored, so left and right change places while actions "
        "do not.",
        source="LIBERO's renderer; OpenVLA, LeRobot and openpi turn by 180 degrees",
        fix="img[::-1, ::-1] on both sides; here: a protocol with the checkpoint's orientation",
    )


def resolution(facts: Facts) -> Found | None:
    """Pictures of another size."""
    shown = known(facts.evaluated.render_size, "the resolution in evaluation")
    trained = known(facts.trained.render_size, "the resolution in training")
    if shown == trained or 0 in (shown, trained):
        return None
    return Found(
        severity="major",
        found=f"rendered at {shown} pixels in evaluation, {trained} in training",
        expected="one size",
        why="Resizing from another size gives another sharpness; a policy trained on 128-pixel "
        "demos has never seen such pictures.",
        source="the checkpoint's contract; LIBERO's demos have 128 pixels",
        fix=f"--resolution {trained}",
    )


def history(facts: Facts) -> Found | None:
    """Another number of frames."""
    if facts.evaluation.enforced and facts.evaluated.history is None:
        return None
    shown = known(facts.evaluated.history, "the history in evaluation")
    trained = known(facts.trained.history, "the history in training")
    if shown == trained:
        return None
    return Found(
        severity="major",
        found=f"{shown} frames in evaluation, {trained} in training",
        expected="the same; RDT has 2, one control step apart",
        why="The frame before says how things move. Without it the slot shows the background.",
        source="configs/base.yaml (img_history_size 2)",
        fix=f"give the policy {trained} frames, the last two control steps, at every plan",
    )


def missing_camera(facts: Facts) -> Found | None:
    """What stands for a camera that is not there."""
    if facts.evaluation.enforced and facts.evaluated.missing_camera is None:
        return None
    shown = known(facts.evaluated.missing_camera, "what stands for missing cameras")
    trained = facts.trained.missing_camera or "background"
    if shown == trained:
        return None
    return Found(
        severity="major",
        found=f"missing cameras: {shown} in evaluation, {trained} in training",
        expected="the grey background, 127 in each channel, 384 x 384",
        why="In pre-training a missing camera or frame is always that grey; black pictures or "
        "copies of another camera are new to the network.",
        source="train/dataset.py: int(255 x mean) of SigLIP's processor",
        fix="fill missing slots with 127",
    )


def flips(facts: Facts) -> Found | None:
    """Mirrored pictures in training."""
    if not known(facts.training.flips, "whether augmentation flips"):
        return None
    return Found(
        severity="critical",
        found="augmentation mirrors pictures",
        expected="never a flip",
        why="Actions and instructions are not mirrored along: the policy learns to move left "
        "for things on the right.",
        source="the official augmentation has no flip",
        fix="take the flip out",
    )


def augmentation_off(facts: Facts) -> Found | None:
    """No augmentation on few demonstrations."""
    if known(facts.training.augmentation, "the augmentation"):
        return None
    demos = facts.training.demos
    return Found(
        severity="minor",
        found="no augmentation" + ("" if demos is None else f", {demos} demos"),
        expected="colour jitter, blur and noise, or small shifts",
        why="A policy that sees the same few pictures many times learns them by heart.",
        source="finetune.sh has --image_aug; the shipped rdt-small was trained with shifts of 2",
        fix="--image-shift 2" if facts.training.code == "libero-bench" else "--image_aug",
    )


def augmentation_strong(facts: Facts) -> Found | None:
    """Augmentation that moves or recolours what the task depends on."""
    given = facts.training
    if given.shift is None and given.crop is None and given.hue is None:
        raise Unjudged("how strong the augmentation is")
    strong = []
    if (given.shift or 0) > _FAR_SHIFT:
        strong.append(f"shifts of {given.shift:.0%} of the picture")
    if given.crop is not None and given.crop < _SMALL_CROP:
        strong.append(f"crops down to {given.crop:.0%} of the area")
    if (given.hue or 0) > _MUCH_HUE:
        strong.append(f"hue changed by up to {given.hue:g}")
    if not strong:
        return None
    return Found(
        severity="major",
        found=", ".join(strong),
        expected="shifts up to 6 %, crops above 80 %, hue up to 0.03",
        why="Where things are in a picture is what a plan follows from, and instructions name "
        "colours; targets do not move along with the picture.",
        source="official: hue 0.03, no crop; OpenVLA: 90 % crop",
        fix="--image-shift 2" if given.code == "libero-bench" else "weaken it",
    )


def _cameras(conditions: Conditions) -> str:
    if conditions.cameras is not None:
        return ", ".join(conditions.cameras) or "no camera"
    return "1 camera" if conditions.camera_count == 1 else f"{conditions.camera_count} cameras"
