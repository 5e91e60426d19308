"""Training steps of a preset without demonstrations: windows of the right shapes, random weights.

What is timed is the trainer's own update: copying the batch to the device, augmentation, the frozen
encoders, the loss, the gradient, its clipping, AdamW and the average of the weights. Reading
demonstrations is not part of it.
"""

import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from harness.benchmarks.config import PolicyCase, TrainingSpeedConfig
from harness.benchmarks.gpu_memory import in_gpu_memory
from harness.benchmarks.policy_workload import build_case
from policies.rdt.actions.layout import FRESH_LAYOUT
from policies.rdt.actions.layout_file import get_layout
from policies.rdt.model.network import RDTPolicyNetwork
from policies.rdt.model.torch_runtime import resolve_device, use_threads
from results.signals import Interruption
from tasks.native_libraries import environment_variables
from training.adapters import prepare_network
from training.config import TrainingConfig
from training.data.windows import DemoWindows, Window
from training.launch import open_accelerator
from training.losses import slot_weights
from training.progress import Throughput
from training.setup import RunSetup
from training.trained_weights import TrainedWeights
from training.update import Updater

PEAK_TFLOPS = {
    "H200": 989.4,
    "H100 80GB HBM3": 989.4,
    "H100 PCIe": 756.0,
    "A100": 312.0,
    "L40S": 362.0,
}
"""Most 16-bit operations without sparsity, 10¹² per second, by a part of the card's name; from
NVIDIA's data sheets."""

_WARM = 3
_BATCHES = 2
_COUNTED = 2
_FRAME = 128
_SENTENCE = "put the black bowl on the plate and close the top drawer of the cabinet"


@dataclass(frozen=True, kw_only=True)
class StepFigures:
    """Figures of one preset's training step.

    Attributes:
        preset: The shape.
        device: Name of the card, or ``cpu``.
        precision: ``no``, ``bf16`` or ``fp16``.
        batch_size: Windows per update.
        weights: Trained weights.
        update_ms: Milliseconds of an update, the median.
        samples_per_s: Windows per second.
        gpu_mb: Most memory on the GPU, 10⁶ bytes; 0 on a CPU.
        tflop: Floating-point operations of an update as torch counts them, 10¹²: matrix products,
            convolutions and attention, forward and backward.
        peak_share: Those per second as a share of the card's most; None where that is not known or
            the precision is fp32.
    """

    preset: str
    device: str
    precision: str
    batch_size: int
    weights: int
    update_ms: float
    samples_per_s: float
    gpu_mb: float
    tflop: float
    peak_share: float | None


class _MadeWindows:
    """What masking needs of windows: the mean state and the empty instruction."""

    def __init__(self, network: RDTPolicyNetwork) -> None:
        self.mean_state = torch.zeros(network.config.action_dim)
        tokens, mask = network.text_encoder.prepare([""])
        self.no_text = tokens[0], mask[0]


def measure_step(config: TrainingSpeedConfig) -> StepFigures:
    """Time the updates of a preset with random weights.

    Args:
        config: The preset, the batch, the precision and the device.

    Raises:
        ConfigError: There is no such preset.
        PrerequisiteError: A GPU is asked for, and torch sees none.
        HarnessError: The GPU's memory does not suffice.
    """
    with tempfile.TemporaryDirectory() as folder:
        settings = TrainingConfig(
            demos=(Path(folder),),
            out=Path(folder) / "run",
            preset=config.preset or "rdt-small",
            updates=_WARM + config.updates + 1,
            batch_size=config.batch_size,
            precision=config.precision,
            gradient_checkpointing=config.gradient_checkpointing,
            compile=config.compile,
        )
        what = f"{settings.preset} with {config.batch_size} windows"
        with in_gpu_memory(what, fix="a smaller --batch-size, or --gradient-checkpointing"):
            return _measure(config, settings)


def _measure(config: TrainingSpeedConfig, settings: TrainingConfig) -> StepFigures:
    use_threads(0)
    on_cpu = resolve_device(config.device) == "cpu"
    with environment_variables({"ACCELERATE_USE_CPU": "true"}) if on_cpu else nullcontext():
        accelerator = open_accelerator(settings)
    device = accelerator.device
    cuda = device.type == "cuda"
    case = PolicyCase(preset=settings.preset, device=device.type, dtype="float32")
    network, contract = build_case(case)
    layout = get_layout(FRESH_LAYOUT)
    made: Any = _MadeWindows(network)
    setup = RunSetup(
        network=network,
        layout=layout,
        contract=contract,
        windows=cast("DemoWindows", made),
        held_out=None,
        notes=(),
    )
    trained = TrainedWeights(network, prepare_network(network, settings), settings, accelerator)
    weights = slot_weights(settings, layout, torch.ones(network.config.action_dim))
    updater = Updater(settings, setup, trained, weights, accelerator)
    trained.network.train()
    batches = cycle([_batch(network, config.batch_size, n, pin=cuda) for n in range(_BATCHES)])
    throughput, interruption = Throughput(0, updater.samples), Interruption()

    def timed() -> Iterator[float]:
        for number in range(_WARM + config.updates):
            if number == _WARM and cuda:
                torch.cuda.reset_peak_memory_stats()
            before = time.perf_counter()
            updater.update(number, batches, throughput, interruption)
            if cuda:
                torch.cuda.synchronize()
            yield time.perf_counter() - before

    seconds = statistics.median(list(timed())[_WARM:])
    memory = torch.cuda.max_memory_allocated() / 1e6 if cuda else 0.0
    counted = min(config.batch_size, _COUNTED)
    tflop = _tflop(network, updater, counted) * config.batch_size / counted
    name = torch.cuda.get_device_name(device) if cuda else "cpu"
    peak = next((most for part, most in PEAK_TFLOPS.items() if part in name), None)
    known = peak is not None and config.precision != "no"
    return StepFigures(
        preset=settings.preset,
        device=name,
        precision=config.precision,
        batch_size=config.batch_size,
        weights=sum(w.numel() for w in network.parameters() if w.requires_grad),
        update_ms=seconds * 1e3,
        samples_per_s=config.batch_size / seconds,
        gpu_mb=memory,
        tflop=tflop,
        peak_share=tflop / seconds / peak if known and peak else None,
    )


def _tflop(network: RDTPolicyNetwork, updater: Updater, windows: int) -> float:
    """Count the operations of an update of a few windows: counting keeps what is computed."""
    network.rdt.model._compiled_call_impl = None  # what is compiled is not counted
    few = iter([_batch(network, windows, 0, pin=False)])
    with FlopCounterMode(display=False) as counter:
        updater.update(0, few, Throughput(0, windows), Interruption())
    return float(counter.get_total_flops()) / 1e12


def _batch(network: RDTPolicyNetwork, size: int, seed: int, *, pin: bool) -> Window:
    """Return a batch of made windows: noise for pictures, states and actions."""
    random = np.random.default_rng(seed)
    shape = network.config
    cameras = len(network.encoders_config.cameras)
    frames = random.integers(0, 256, (size, network.history, cameras, _FRAME, _FRAME, 3), np.uint8)
    tokens, mask = network.text_encoder.prepare([_SENTENCE] * size)
    used = torch.from_numpy(get_layout(FRESH_LAYOUT).action_mask)

    def noise(*lengths: int) -> Tensor:
        return torch.from_numpy(random.standard_normal(lengths, np.float32)) * used

    batch: Any = {
        "images": network.image_encoder.prepare(frames),
        "token_ids": tokens,
        "token_mask": mask,
        "state": noise(size, shape.action_dim),
        "state_std": torch.ones(size, shape.action_dim),
        "action_mask": used.expand(size, -1).contiguous(),
        "actions": noise(size, shape.pred_horizon, shape.action_dim),
    }
    window: Window = {name: _laid_out(value, pin) for name, value in batch.items()}  # type: ignore[assignment]
    return window


def _laid_out(value: Tensor, pin: bool) -> Tensor:
    whole = value.contiguous()
    return whole.pin_memory() if pin and not whole.is_cuda else whole
