"""How ``libero-bench inspect`` shows a checkpoint."""

from shlex import quote

from rich.console import Console
from rich.table import Table

from harness.wording import trained_sentences
from policies.rdt.checkpoint.inspection import Inspection, inspect_checkpoint
from tasks.observation import CONTROL_HZ
from tasks.protocols import PROTOCOLS, get_protocol

__all__ = ["evaluation_line", "inspect_checkpoint", "print_inspection"]


def evaluation_line(seen: Inspection) -> str | None:
    """Give a command that evaluates the checkpoint; words in capitals are for the user to fill.

    Returns:
        The command; None where the weights are of no use, or no protocol fits the checkpoint.
    """
    contract = seen.contract
    fitting = [name for name in PROTOCOLS if get_protocol(name).orientation == contract.orientation]
    if not seen.healthy or not fitting or contract.control_hz != CONTROL_HZ:
        return None
    words = ["libero-bench eval --policy rdt --checkpoint", quote(_target(seen))]
    words += ["--suite libero_object --out runs/NAME", f"--protocol {fitting[0]}"]
    if contract.render_size not in (0, get_protocol(fitting[0]).resolution):
        words.append(f"--resolution {contract.render_size}")
    if seen.needs:
        words += ["--option.siglip FOLDER", "--option.language_cache FOLDER"]
    options = dict(seen.given)
    if seen.kind != "libero-bench":
        options = {"layout": contract.layout, "norm": contract.norm, **options}
        if seen.which == "ema" and seen.folder.name != "ema":
            options["weights"] = "ema"
    return " ".join([*words, *(f"--option.{key} {quote(value)}" for key, value in options.items())])


def _target(seen: Inspection) -> str:
    """Name what the policy loads: a checkpoint of ours by its folder, others as they were given."""
    return str(seen.folder) if seen.kind == "libero-bench" else seen.source


def print_inspection(seen: Inspection, console: Console) -> None:
    """Print what a checkpoint is and needs, and the command that evaluates it."""
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name, value in (*_weights_rows(seen), *_use_rows(seen)):
        table.add_row(name, value)
    console.print(table)
    if line := evaluation_line(seen):
        console.print("\nEvaluate it:")
        # Never folded, so that it can be copied.
        console.print(line, soft_wrap=True)
    elif seen.healthy:
        console.print("\nNo protocol has its orientation and control frequency.")


def _weights_rows(seen: Inspection) -> list[tuple[str, str]]:
    config = seen.config
    millions = f"{seen.parameters:,} in {seen.tensors} tensors"
    if seen.encoder_parameters:
        millions += f", and {seen.encoder_parameters:,} in encoders saved along"
    shape = (
        f"hidden {config.hidden_size}, depth {config.depth}, heads {config.num_heads}; adaptors "
        f"language {config.lang_adaptor}, image {config.img_adaptor}, state {config.state_adaptor}"
    )
    averaged = "none" if seen.ema is None else str(seen.ema)
    return [
        ("Checkpoint", str(seen.folder)),
        ("Kind", f"{seen.kind}, {seen.which} weights from {seen.weights.name}"),
        ("Averaged weights", averaged),
        ("Architecture", f"{seen.preset}: {shape}" if seen.preset else shape),
        ("Parameters", millions),
        ("Dtypes", ", ".join(f"{name} {count:,}" for name, count in seen.dtypes.items())),
        ("On disk", f"{seen.disk_bytes / 1e6:,.1f} MB"),
        ("Tensors and config", seen.mismatch or "fit"),
        ("Numbers", _numbers(seen)),
        *[("Note", note) for note in seen.notes],
    ]


def _numbers(seen: Inspection) -> str:
    if seen.nonfinite is None:
        return "not looked at"
    if not seen.nonfinite:
        return "all finite"
    shown = ", ".join(seen.nonfinite[:3])
    return f"NaN or infinity in {len(seen.nonfinite)} tensors: {shown}"


def _normalised(seen: Inspection) -> str:
    given = seen.contract.normalisation
    if given.method == "none":
        return "no" if seen.kind == "libero-bench" else "no (assumed, the file does not say)"
    return (
        f"{given.method}, {len(given.state.slots)} slots of the state and "
        f"{len(given.action.slots)} of the action; undone when plans are read"
    )


def _instructions(seen: Inspection) -> str:
    known = sorted(trained_sentences(seen.contract.demos))
    if not known:
        return "not recorded"
    return known[0] if len(known) == 1 else f"{len(known)}, such as “{known[0]}”"


def _use_rows(seen: Inspection) -> list[tuple[str, str]]:
    config, contract = seen.config, seen.contract
    schedule = config.noise_scheduler
    slots = ", ".join(slot or "background" for slot in seen.as_dict()["camera_slots"])
    size = f"{contract.render_size} pixels" if contract.render_size else "any size"
    demos = contract.demos.get("label") or ("not recorded" if not contract.demos else "recorded")
    said = "" if seen.norm else " (assumed, the file does not say)"
    return [
        ("Predicts", f"{schedule.prediction_type}, {config.pred_horizon} steps"),
        ("Solver", f"{schedule.num_inference_timesteps} steps"),
        ("Norm", f"{seen.norm or 'unknown'}. {seen.norm_hint}"),
        ("Cameras", f"{slots}; {contract.history} control steps"),
        (
            "Pictures",
            f"{contract.orientation}, {size}, shown to the encoder at {contract.image_size}",
        ),
        ("Encoders", f"{contract.image_encoder}; {contract.text_encoder}"),
        ("Layout", f"{contract.layout}, {contract.control_hz:g} Hz{said}"),
        ("Normalised", _normalised(seen)),
        ("Trained on", str(demos)),
        ("Instructions", _instructions(seen)),
        ("Needs", "; ".join(seen.needs) or "nothing else"),
    ]
