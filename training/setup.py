"""What a run starts from: its network and its data."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict

import torch
from torch.utils.data import DataLoader, Sampler

from policies.rdt.actions.layout_file import get_layout
from policies.rdt.checkpoint.contract import Contract
from policies.rdt.checkpoint.hub import is_hub_name
from policies.rdt.checkpoint.inspection import inspect_checkpoint
from policies.rdt.checkpoint.loading import LoadingOptions, load_network
from policies.rdt.checkpoint.location import is_own_checkpoint
from policies.rdt.checkpoint.storage import load_checkpoint
from policies.rdt.encoders.base import EncodersConfig, EncoderSources
from policies.rdt.encoders.factory import load_frozen_encoders
from policies.rdt.model.network import RDTPolicyNetwork
from policies.rdt.model.presets import build_network, get_preset
from tasks.errors import ConfigError
from training.config import TrainingConfig
from training.data.sampling import DrawnBatches, EndlessBatches, WindowWeights
from training.data.windows import DemoWindows, Window
from training.terms import Terms


def check_start(config: TrainingConfig) -> Contract | None:
    """Refuse a start of which it is seen without loading it that it cannot be.

    Args:
        config: The run.

    Returns:
        The contract of the checkpoint to start from; None for a fresh network, or where it is on
        the hub.

    Raises:
        ConfigError: There is no such preset, layout or checkpoint, or encoders are lacking.
        SpecMismatchError: The checkpoint has another layout.
    """
    layout = None if config.layout is None else get_layout(config.layout)
    if config.checkpoint is None:
        preset = get_preset(config.preset)
        if preset.encoders is None and not (config.t5 or config.language_cache):
            raise ConfigError(
                f"The preset '{config.preset}' needs {preset.needs}. Fix: give t5 or "
                "language_cache, or take the preset rdt-small."
            )
        _refuse_sources(config, small=preset.encoders is not None)
        return None
    if is_hub_name(config.checkpoint):
        return None
    contract = inspect_checkpoint(config.checkpoint, check_numbers=False).contract
    if layout is not None and is_own_checkpoint(config.checkpoint):
        contract.check_layout(layout)
    return contract


def _refuse_sources(config: TrainingConfig, *, small: bool) -> None:
    if small and any((config.siglip, config.t5, config.language_cache)):
        raise ConfigError(
            "--siglip, --t5 and --language-cache are for policies with large frozen encoders; this "
            "one has small ones of its own. Fix: drop them."
        )


def start_network(
    config: TrainingConfig, device: str | torch.device = "cpu"
) -> tuple[RDTPolicyNetwork, Contract | None]:
    """Build a fresh network, or load the checkpoint to start from and its contract.

    Args:
        config: The run.
        device: Where frozen encoders compute.

    Raises:
        ConfigError: There is no such preset or checkpoint, or an encoder is missing.
        SpecMismatchError: The checkpoint has another layout, or other encoders.
    """
    sources = EncoderSources(
        siglip=config.siglip, t5=config.t5, language_cache=config.language_cache
    )
    network, contract = _start(config, sources, device)
    _refuse_sources(config, small=isinstance(network.encoders_config, EncodersConfig))
    return network.train(), contract


def _start(
    config: TrainingConfig, sources: EncoderSources, device: str | torch.device
) -> tuple[RDTPolicyNetwork, Contract | None]:
    if config.checkpoint is not None:
        if is_own_checkpoint(config.checkpoint):
            network, contract = load_checkpoint(config.checkpoint, sources=sources, device=device)
            if config.layout is not None:
                contract.check_layout(get_layout(config.layout))
        else:
            options = LoadingOptions(**asdict(sources), layout=config.layout, dtype="float32")
            network, contract = load_network(config.checkpoint, options, device=device)
        return network, contract
    preset = get_preset(config.preset)
    if preset.encoders is not None:
        return build_network(config.preset), None
    shape = preset.rdt
    encoders = load_frozen_encoders(sources, max_words=shape.max_lang_cond_len, device=device)
    return RDTPolicyNetwork(shape, encoders), None


def read_windows(
    config: TrainingConfig,
    network: RDTPolicyNetwork,
    terms: Terms,
    *,
    held_out: bool = False,
) -> DemoWindows:
    """Read the demonstrations as this network takes them.

    Args:
        config: The run.
        network: Whose encoders prepare pictures and words.
        terms: Their layout, how they are normalised, and which cameras are missing.
        held_out: Read those that are held out instead of those to train on.

    Raises:
        ConfigError: A file cannot be used.
    """
    return DemoWindows(
        config.demos,
        layout=terms.layout,
        cameras=network.encoders_config.cameras,
        image_encoder=network.image_encoder,
        text_encoder=network.text_encoder,
        history=network.history,
        horizon=network.config.pred_horizon,
        settings=config,
        normalisation=terms.normalisation,
        missing_cameras=terms.missing_cameras,
        held_out=held_out,
    )


@contextmanager
def load_windows(
    config: TrainingConfig,
    data: DemoWindows,
    *,
    start: int,
    together: int,
    rank: int,
    of: int,
    pin_memory: bool = False,
) -> Iterator[Iterator[Window]]:
    """Give the batches of a process, from an update on.

    Args:
        config: See ``batches``.
        data: See ``batches``.
        start: See ``batches``.
        together: See ``batches``.
        rank: See ``batches``.
        of: See ``batches``.
        pin_memory: Whether batches are copied to a GPU.

    Raises:
        ConfigError: See ``batches``.
    """
    stream = iter(
        DataLoader(
            data,
            batch_sampler=batches(config, data, start=start, together=together, rank=rank, of=of),
            num_workers=config.workers,
            pin_memory=pin_memory,
            worker_init_fn=_outlast_signals,
        )
    )
    try:
        yield stream
    finally:
        # The traceback of an error keeps the iterator, and Python would wait for its processes.
        getattr(stream, "_shutdown_workers", lambda: None)()


def _outlast_signals(_: int) -> None:
    """Let a process that loads data leave signals meant for a whole group to the main one."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda number, _: signal.signal(number, signal.SIG_DFL))


def batches(
    config: TrainingConfig, data: DemoWindows, *, start: int, together: int, rank: int, of: int
) -> Sampler[list[int]]:
    """Return the order in which a process sees windows.

    Args:
        config: The run.
        data: Its windows.
        start: Updates done.
        together: Batches of all processes in an update.
        rank: Number of this process.
        of: How many there are.

    Raises:
        ConfigError: The way of sampling gives nothing on these demonstrations.
    """
    place = {
        "seed": config.seed,
        "start": start * together,
        "stop": config.updates * together,
        "rank": rank,
        "processes": of,
    }
    if config.sampling == "uniform" and config.curriculum == "none":
        return EndlessBatches(len(data), config.batch_size, **place)
    weights = WindowWeights(data, config)
    return DrawnBatches(weights, config.batch_size, together=together, **place)
