"""The policy ``rdt`` from what a user says: words and numbers, by the names of its options."""

from typing import TYPE_CHECKING, Literal

import torch

from policies.rdt.checkpoint.contract import Orientation
from policies.rdt.checkpoint.location import Weights
from policies.rdt.encoders.base import EncoderSources, Form
from policies.rdt.model.config import Norm
from policies.rdt.model.sampling import Decay, GuidanceName, SamplingOptions
from policies.rdt.model.torch_runtime import resolve_device
from policies.rdt.policy import RDTPolicy
from tasks.errors import ConfigError

if TYPE_CHECKING:
    from policies.rdt.checkpoint.loading import LoadingOptions

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
    config: str | None = None,
    base: str | None = None,
) -> RDTPolicy:
    """Plans with RDT, from a checkpoint of ours or an official one.

    Args:
        checkpoint: Folder of a checkpoint of ours or in the official layout, or a hub name.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:1``.
        batch_size: Rows of every forward pass; if not given, 1 on a CPU, where unused rows cost as
            much as used ones, and 8 elsewhere.
        solver_steps: Denoising steps; the checkpoint's number if not given.
        guidance: What a plan owes to the rest of the one before: ``none``; ``bid`` keeps, of
            several samples, the nearest to it; ``inpaint`` blends it into the sampling.
        samples: ``bid``: samples per plan.
        bid_decay: ``bid``: a step counts so many times as much as the step before it.
        inpaint_weight: ``inpaint``: weight of the plan before at its first remaining step.
        inpaint_frozen: ``inpaint``: steps at full weight before it falls.
        inpaint_decay: ``inpaint``: how it falls to 0 over the overlap; ``none`` keeps it.
        compile: Compile a denoising step: minutes at the first plan, faster ones after.
        cuda_graphs: Replay a denoising step as one CUDA graph.
        dtype: Of the weights; the checkpoint's if not given.
        layout: Mapping to RDT's vector, by its name or file; what the checkpoint says, or
            ``eef-velocity`` for official ones, if not given.
        norm: What RDT's norms divide by, where the checkpoint does not say; ``variance`` fits
            weights trained with timm up to 1.0.12.
        weights: Of an official checkpoint, the raw or the averaged ones.
        control_hz: Control frequency that RDT is told, Hz; 20 for official checkpoints.
        orientation: Of the pictures an official checkpoint was trained on.
        siglip: Folder or hub name of the SigLIP tower of an official checkpoint.
        t5: Folder or hub name of its T5 encoder.
        language_cache: Folder of instructions that ``libero-bench encode-language`` encoded.
        form: How instructions are written for T5: capitalised with a period, or as they are.
        config: The config.json of weights that have none beside them, or its folder.
        base: Folder or hub name of what a LoRA adapter is merged into.

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
        "config": config,
        "base": base,
    }
    place = resolve_device(device)
    if batch_size is None:
        batch_size = _BATCH_ON_CPU if place == "cpu" else _BATCH
    return RDTPolicy.from_checkpoint(
        checkpoint, device=place, batch_size=batch_size, sampling=sampling, **loading
    )
