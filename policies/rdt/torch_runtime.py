"""How a denoising step is executed: as it is written, compiled, or as one CUDA graph."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_flatten, tree_map, tree_unflatten

from policies.rdt.model.sampling import Precedent, SamplingOptions, inpainting, nearest
from policies.rdt.model.transformer import Conditions, RDTModel
from tasks.errors import ConfigError, PrerequisiteError
from tasks.llvm import load_triton_after_mesa

Denoise = Callable[[Conditions, Tensor, Tensor], Tensor]
"""As ``RDTModel.denoise``: conditions, noisy actions (B, T, V), timestep (1,)."""

_WARM_UPS = 3


def choose_execution(
    model: RDTModel, options: SamplingOptions, device: torch.device | str
) -> Denoise:
    """Give what executes a denoising step.

    Args:
        model: The weights, where they stay.
        options: ``compile`` and ``cuda_graphs``; both together record what was compiled.
        device: Where the model is.

    Raises:
        ConfigError: CUDA graphs are asked for on another device.
    """
    denoise: Denoise = model.denoise
    if options.compile:
        denoise = CompiledDenoise(denoise)
    if options.cuda_graphs:
        if torch.device(device).type != "cuda":
            raise ConfigError(
                f"cuda_graphs was asked for on device '{device}'. Allowed: CUDA devices. "
                "Fix: give --device cuda, or leave cuda_graphs out."
            )
        denoise = GraphedDenoise(denoise)
    return denoise


class CompiledDenoise:
    """Compiles at the first call for each shape; every call computes nearly the same numbers.

    Args:
        denoise: What to compile.
    """

    def __init__(self, denoise: Denoise) -> None:
        load_triton_after_mesa()
        self._compiled: Denoise = torch.compile(denoise, dynamic=False)

    def __call__(self, conditions: Conditions, x: Tensor, t: Tensor) -> Tensor:
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
    """Records a step once for each shape and replays it, which spares launching its kernels.

    Args:
        denoise: What to record.
    """

    def __init__(self, denoise: Denoise) -> None:
        self._denoise = denoise
        self._graphs: dict[Any, _Graph] = {}

    def __call__(self, conditions: Conditions, x: Tensor, t: Tensor) -> Tensor:
        """Compute one step on a CUDA device."""
        given, _ = tree_flatten((conditions, x, t))
        key = tuple((tuple(part.shape), part.dtype) for part in given if part is not None)
        if key not in self._graphs:
            self._graphs[key] = _Graph(self._denoise, conditions, x, t)
        return self._graphs[key].replay(conditions, x, t)


class _Graph:
    """One recorded step with the memory it reads and writes."""

    def __init__(self, denoise: Denoise, conditions: Conditions, x: Tensor, t: Tensor) -> None:
        parts, shape = tree_flatten(conditions)
        self._parts = [None if part is None else part.clone() for part in parts]
        self._x, self._t = x.clone(), t.clone()
        own: Conditions = tree_unflatten(self._parts, shape)
        self._latest: Conditions | None = None
        # What is made at first use, on a stream of its own as recording demands.
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(_WARM_UPS):
                denoise(own, self._x, self._t)
        torch.cuda.current_stream().wait_stream(stream)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            self._out = denoise(own, self._x, self._t)

    def replay(self, conditions: Conditions, x: Tensor, t: Tensor) -> Tensor:
        # Keeping them makes sure that others are not at the same address.
        if conditions is not self._latest:
            for mine, given in zip(self._parts, tree_flatten(conditions)[0], strict=True):
                if mine is not None:
                    mine.copy_(given)
            self._latest = conditions
        self._x.copy_(x)
        self._t.copy_(t)
        self._graph.replay()
        return self._out.clone()


class PlanSampler:
    """Samples plans from conditions.

    Args:
        model: The weights, in their place.
        options: How to sample.
        device: Where the model is.

    Raises:
        ConfigError: An option is out of range, or not possible on that device.
    """

    def __init__(
        self, model: RDTModel, options: SamplingOptions, device: torch.device | str
    ) -> None:
        self.options = options
        self._solver = model.solver(options.solver_steps)
        self._times = torch.tensor(self._solver.timesteps, device=device)
        self._denoise = choose_execution(model, options, device)

    @torch.no_grad()
    def sample(
        self, conditions: Conditions, noise: Tensor, precedent: Precedent | None = None
    ) -> Tensor:
        """Sample one plan per row.

        Args:
            conditions: Of B plans, from ``RDTModel.condition``.
            noise: (B, S, T, V) standard normal, S being ``options.samples``.
            precedent: What the plans before say; not used without guidance.

        Returns:
            (B, T, V), zero outside the mask.
        """
        noise = noise.to(conditions.state.dtype)
        samples = noise.shape[1]
        if samples > 1:
            conditions = tree_map(lambda part: _repeated(part, samples), conditions)
        start = noise.flatten(0, 1)
        blend = None
        if self.options.guidance == "inpaint" and precedent is not None:
            blend = inpainting(precedent, self.options, self._solver, start)
        x = self._solver.run(
            start,
            lambda index, x: self._denoise(conditions, x, self._times[index, None]),
            blend,
        )
        masked = x * conditions.action_mask
        plans: Tensor = masked.reshape(-1, samples, *masked.shape[1:])
        if self.options.guidance == "bid" and precedent is not None:
            return nearest(plans, precedent, self.options.bid_decay)
        return plans[:, 0]


def _repeated(part: Tensor, samples: int) -> Tensor:
    """Give each row several times in a row; a single one takes no more memory than before."""
    return part.unsqueeze(1).expand(-1, samples, *part.shape[1:]).flatten(0, 1)
