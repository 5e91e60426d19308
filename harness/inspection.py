"""How ``libero-bench inspect`` shows a checkpoint."""

from shlex import quote

from rich.console import Console
from rich.table import Table

from harness.wording import trained_sentences
from policies.rdt.checkpoint.inspection import Inspection, inspect_checkpoint
from tasks.observation import CONTROL_HZ
from tasks.protocols import PROTOCOLS, get_protocol

__all__ = ["evaluation_line", "inspect_checkpoint", "print_inspection"]


def evaluation_line(inspection: Inspection) -> str | None:
    """Give a command that evaluates the checkpoint; words in capitals are for the user to fill.

    Returns:
        The command; None where the weights are of no use, or no protocol fits the checkpoint.
    """
    contract = inspection.contract
    fitting = [name for name in PROTOCOLS if get_protocol(name).orientation == contract.orientation]
    if not inspection.healthy or not fitting or contract.control_hz != CONTROL_HZ:
        return None
    words = ["libero-bench eval --policy rdt --checkpoint", quote(_target(inspection))]
    words += ["--suite libero_object --out runs/NAME", f"--protocol {fitting[0]}"]
    if contract.render_size not in (0, get_protocol(fitting[0]).resolution):
        words.append(f"--resolution {contract.render_size}")
    if inspection.needs:
        words += ["--option.siglip FOLDER", "--option.language_cache FOLDER"]
    options = dict(inspection.given)
    if inspection.kind != "libero-bench":
        options = {"layout": contract.layout, "norm": contract.norm, **options}
        if inspection.which == "ema" and inspection.folder.name != "ema":
            options["weights"] = "ema"
    return " ".join([*words, *(f"--option.{key} {quote(value)}" for key, value in options.items())])


def _target(inspection: Inspection) -> str:
    """Name what the policy loads: a checkpoint of ours by its folder, others as they were given."""
    return str(inspection.folder) if inspection.kind == "libero-bench" else inspection.source


def print_inspection(inspection: Inspection, console: Console) -> None:
    """Print what a checkpoint is and needs, and the command that evaluates it."""
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name, value in (*_weights_rows(inspection), *_use_rows(inspection)):
        table.add_row(name, value)
    console.print(table)
    if line := evaluation_line(inspection):
        console.print("\nEvaluate it:")
        # Never folded, so that it can be copied.
        console.print(line, soft_wrap=True)
    elif inspection.healthy:
        console.print("\nNo protocol has its orientation and control frequency.")


def _weights_rows(inspection: Inspection) -> list[tuple[str, str]]:
    config = inspection.config
    millions = f"{inspection.parameters:,} in {inspection.tensors} tensors"
    if inspection.encoder_parameters:
        millions += f", and {inspection.encoder_parameters:,} in encoders saved along"
    shape = (
        f"hidden {config.hidden_size}, depth {config.depth}, heads {config.num_heads}; adaptors "
        f"language {config.lang_adaptor}, image {config.img_adaptor}, state {config.state_adaptor}"
    )
    averaged = "none" if inspection.ema is None else str(inspection.ema)
    return [
        ("Checkpoint", str(inspection.folder)),
        ("Kind", f"{inspection.kind}, {inspection.which} weights from {inspection.weights.name}"),
        ("Averaged weights", averaged),
        ("Architecture", f"{inspection.preset}: {shape}" if inspection.preset else shape),
        ("Parameters", millions),
        ("Dtypes", ", ".join(f"{name} {count:,}" for name, count in inspection.dtypes.items())),
        ("On disk", f"{inspection.disk_bytes / 1e6:,.1f} MB"),
        ("Tensors and config", inspection.mismatch or "fit"),
        ("Numbers", _numbers(inspection)),
        *[("Note", note) for note in inspection.notes],
    ]


def _numbers(inspection: Inspection) -> str:
    if inspection.nonfinite is None:
        return "not looked at"
    if not inspection.nonfinite:
        return "all finite"
    names = ", ".join(inspection.nonfinite[:3])
    return f"NaN or infinity in {len(inspection.nonfinite)} tensors: {names}"


def _normalised(inspection: Inspection) -> str:
    normalisation = inspection.contract.normalisation
    if normalisation.method == "none":
        return "no" if inspection.kind == "libero-bench" else "no (assumed, the file does not say)"
    return (
        f"{normalisation.method}, {len(normalisation.state.slots)} slots of the state and "
        f"{len(normalisation.action.slots)} of the action; undone when plans are read"
    )


def _instructions(inspection: Inspection) -> str:
    known = sorted(trained_sentences(inspection.contract.demos))
    if not known:
        return "not recorded"
    return known[0] if len(known) == 1 else f"{len(known)}, such as “{known[0]}”"


def _use_rows(inspection: Inspection) -> list[tuple[str, str]]:
    config, contract = inspection.config, inspection.contract
    schedule = config.noise_scheduler
    slots = ", ".join(slot or "background" for slot in inspection.as_dict()["camera_slots"])
    size = f"{contract.render_size} pixels" if contract.render_size else "any size"
    demos = contract.demos.get("label") or ("not recorded" if not contract.demos else "recorded")
    assumed = "" if inspection.norm else " (assumed, the file does not say)"
    return [
        ("Predicts", f"{schedule.prediction_type}, {config.pred_horizon} steps"),
        ("Solver", f"{schedule.num_inference_timesteps} steps"),
        ("Norm", f"{inspection.norm or 'unknown'}. {inspection.norm_hint}"),
        ("Cameras", f"{slots}; {contract.history} control steps"),
        (
            "Pictures",
            f"{contract.orientation}, {size}, shown to the encoder at {contract.image_size}",
        ),
        ("Encoders", f"{contract.image_encoder}; {contract.text_encoder}"),
        ("Layout", f"{contract.layout}, {contract.control_hz:g} Hz{assumed}"),
        ("Normalised", _normalised(inspection)),
        ("Trained on", str(demos)),
        ("Instructions", _instructions(inspection)),
        ("Needs", "; ".join(inspection.needs) or "nothing else"),
    ]
