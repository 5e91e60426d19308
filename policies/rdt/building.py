"""The policy ``rdt`` from what a user says: words and numbers, by the names of its options."""

from typing import TYPE_CHECKING, Literal

import torch

from policies.devices import resolve_device
from policies.rdt.adapter import RDTPolicy
from policies.rdt.config import Norm
from policies.rdt.contract import Orientation
from policies.rdt.encoders import EncoderSources, Form
from policies.rdt.official import Weights
from policies.rdt.sampling import Decay, GuidanceName, SamplingOptions
from tasks.errors import ConfigError

if TYPE_CHECKING:
    from policies.rdt.loading import LoadingOptions

DtypeName = Literal["float32", "bfloat16"]

_BATCH_ON_CPU, _BATCH = 1, 8


def build_rdt(
    *,
    checkpoint: str | None = None,
    device: str = "auto",
    batch_size: int | None = None,
    solver_steps: int | None = None,
    guidance: GuidanceName = "none",
    samples: int = 1,
    bid_decay: float = 0.5,
    inpaint_weight: float = 1.0,
    inpaint_frozen: int = 0,
    inpaint_decay: Decay = "exponential",
    compile: bool = False,
    cuda_graphs: bool = False,
    dtype: DtypeName | None = None,
    layout: str | None = None,
    norm: Norm | None = None,
    weights: Weights = "auto",
    control_hz: float | None = None,
    orientation: Orientation | None = None,
    siglip: str | None = None,
    t5: str | None = None,
    language_cache: str | None = None,
    form: Form = "official",
) -> RDTPolicy:
    """Build the policy ``rdt``.

    Args:
        checkpoint: Folder of a checkpoint of ours or in the official layout, or a hub name.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:1``.
        batch_size: Rows of every forward pass; 1 on a CPU, where unused rows cost as much as used
            ones, 8 elsewhere, if not given.
        solver_steps: See ``SamplingOptions``, as ``guidance`` to ``cuda_graphs``.
        guidance: See there.
        samples: See there.
        bid_decay: See there.
        inpaint_weight: See there.
        inpaint_frozen: See there.
        inpaint_decay: See there.
        compile: See there.
        cuda_graphs: See there.
        dtype: Of the weights; the checkpoint's if not given.
        layout: See ``LoadingOptions``, as all that follow.
        norm: See there.
        weights: See there.
        control_hz: See there.
        orientation: See there.
        siglip: Folder or hub name of the SigLIP tower of an official checkpoint.
        t5: Folder or hub name of its T5 encoder.
        language_cache: Folder of instructions encoded before.
        form: How instructions are written for T5.

    Raises:
        ConfigError: There is no checkpoint, or a setting is not allowed or does not apply.
        SpecMismatchError: Parts do not belong together.
        PrerequisiteError: A device is missing, or something is on the hub and cannot be reached.
    """
    if checkpoint is None:
        raise ConfigError(
            "Policy 'rdt' has no checkpoint. Needed: the folder of a trained one. "
            "Fix: give --checkpoint FOLDER, or train one with 'libero-bench train'."
        )
    sampling = SamplingOptions(
        solver_steps=solver_steps,
        guidance=guidance,
        samples=samples,
        bid_decay=bid_decay,
        inpaint_weight=inpaint_weight,
        inpaint_frozen=inpaint_frozen,
        inpaint_decay=inpaint_decay,
        compile=compile,
        cuda_graphs=cuda_graphs,
    )
    loading: LoadingOptions = {
        "encoders": EncoderSources(siglip=siglip, t5=t5, language_cache=language_cache),
        "dtype": None if dtype is None else getattr(torch, dtype),
        "layout": layout,
        "norm": norm,
        "weights": weights,
        "control_hz": control_hz,
        "orientation": orientation,
        "form": form,
    }
    place = resolve_device(device)
    if batch_size is None:
        batch_size = _BATCH_ON_CPU if place == "cpu" else _BATCH
    return RDTPolicy.from_checkpoint(
        checkpoint, device=place, batch_size=batch_size, sampling=sampling, **loading
    )
