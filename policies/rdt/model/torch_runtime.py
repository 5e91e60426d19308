"""Devices, threads, and denoising steps on them: as written, compiled, or as a CUDA graph."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_flatten, tree_unflatten

from policies.rdt.model.transformer import Conditioning, RDTModel
from tasks.control_groups import whole_cores
from tasks.errors import ConfigError, PrerequisiteError
from tasks.native_libraries import load_triton_after_mesa

Denoise = Callable[[Conditioning, Tensor, Tensor], Tensor]
"""As ``RDTModel.denoise``: conditions, noisy actions (B, T, V), timestep (1,)."""

_WARM_UPS = 3


def choose_execution(
    model: RDTModel, device: torch.device | str, *, compile: bool, cuda_graphs: bool
) -> Denoise:
    """Give ``model.denoise``, compiled or recorded as a CUDA graph (or both) where asked for.

    Raises:
        ConfigError: CUDA graphs are asked for on another device.
    """
    denoise: Denoise = model.denoise
    if compile:
        denoise = CompiledDenoise(denoise)
    if cuda_graphs:
        if torch.device(device).type != "cuda":
            raise ConfigError(
                f"cuda_graphs was asked for on device '{device}'. Allowed: CUDA devices. "
                "Fix: give --device cuda, or leave cuda_graphs out."
            )
        denoise = GraphedDenoise(denoise)
    return denoise


class CompiledDenoise:
    """Compiles a step at the first call for each shape; its numbers differ in the last bits."""

    def __init__(self, denoise: Denoise) -> None:
        load_triton_after_mesa()
        self._compiled: Denoise = torch.compile(denoise, dynamic=False)

    def __call__(self, conditions: Conditioning, x: Tensor, t: Tensor) -> Tensor:
        """Compute one step.

        Raises:
            PrerequisiteError: There is no compiler for this device.
        """
        from torch._dynamo.exc import BackendCompilerFailed
        from torch._inductor.exc import InductorError

        try:
            return self._compiled(conditions, x, t)
        except (BackendCompilerFailed, InductorError) as error:
            why = " ".join(str(error).split())[:200]
            raise PrerequisiteError(
                f"torch.compile cannot compile here ({why}). It needs a C++ compiler on a CPU and "
                "Triton on a GPU. Fix: install it (Debian, Ubuntu: apt-get install g++), or leave "
                "compile out."
            ) from error


class GraphedDenoise:
    """Records a step once for each shape and replays it, which saves launching its kernels."""

    def __init__(self, denoise: Denoise) -> None:
        self._denoise = denoise
        self._graphs: dict[Any, _Graph] = {}

    def __call__(self, conditions: Conditioning, x: Tensor, t: Tensor) -> Tensor:
        """Compute one step on a CUDA device."""
        tensors, _ = tree_flatten((conditions, x, t))
        key = tuple((tuple(tensor.shape), tensor.dtype) for tensor in tensors if tensor is not None)
        if key not in self._graphs:
            self._graphs[key] = _Graph(self._denoise, conditions, x, t)
        return self._graphs[key].replay(conditions, x, t)


class _Graph:
    """One recorded step with the memory it reads and writes."""

    def __init__(self, denoise: Denoise, conditions: Conditioning, x: Tensor, t: Tensor) -> None:
        tensors, structure = tree_flatten(conditions)
        self._inputs = [None if tensor is None else tensor.clone() for tensor in tensors]
        self._x, self._t = x.clone(), t.clone()
        inputs: Conditioning = tree_unflatten(self._inputs, structure)
        self._latest: Conditioning | None = None
        # Warm up whatever is set up at first use, on another stream as recording demands.
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(_WARM_UPS):
                denoise(inputs, self._x, self._t)
        torch.cuda.current_stream().wait_stream(stream)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            self._out = denoise(inputs, self._x, self._t)

    def replay(self, conditions: Conditioning, x: Tensor, t: Tensor) -> Tensor:
        # The reference keeps their identity from being reused by others.
        if conditions is not self._latest:
            for target, source in zip(self._inputs, tree_flatten(conditions)[0], strict=True):
                if target is not None:
                    target.copy_(source)
            self._latest = conditions
        self._x.copy_(x)
        self._t.copy_(t)
        self._graph.replay()
        return self._out.clone()


def use_threads(count: int) -> None:
    """Have torch compute with so many threads on a CPU.

    Args:
        count: How many; 0 for torch's own number, which is that of the cores or OMP_NUM_THREADS,
            but no more than a container gives the time of.
    """
    torch.set_num_threads(count or min(torch.get_num_threads(), whole_cores()))


def resolve_device(name: str) -> str:
    """Give the name of an existing device: ``auto`` is CUDA where there is one, or else the CPU.

    Raises:
        ConfigError: There is no such name.
        PrerequisiteError: It is a CUDA device, and torch sees none.
    """
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        kind = torch.device(name).type
    except RuntimeError as error:
        raise ConfigError(f"Unknown device '{name}'. Allowed: auto, cpu, cuda, cuda:N.") from error
    if kind == "cuda" and not torch.cuda.is_available():
        raise PrerequisiteError(
            f"Device '{name}' was asked for, but torch sees no CUDA device. "
            "Fix: use --device cpu, or install a CUDA build of torch."
        )
    return name
