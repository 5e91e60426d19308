"""The noising process and the sampler, equal bit for bit to the ones RDT was trained with.

The schedule is the squared-cosine one (Nichol & Dhariwal 2021); the sampler is DPM-Solver++ 2M
(Lu et al. 2022), midpoint form, linearly spaced timesteps, first order in its first and last step.
Ancestral sampling (DDPM, Ho et al. 2020) over the same timesteps is the alternative.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from policies.rdt.model.config import PredictionType
from tasks.errors import ConfigError

Predict = Callable[[int, Tensor], Tensor]
"""Maps a step's number and noisy actions (B, T, V) to the network's prediction (B, T, V)."""

Blend = Callable[[int, Tensor], Tensor]
"""Maps a step's number and noisy actions to the noisy actions to continue with."""

Guide = Callable[[int, Tensor], Tensor]
"""Maps a step's number and noisy actions to the denoised estimate to go on with."""

SolverName = Literal["dpm-solver++", "ddpm"]
"""The samplers."""

_MAX_BETA = 0.999


def alphas_cumprod(num_timesteps: int = 1000) -> Tensor:
    """Compute ᾱ, the share of signal variance left after each of n timesteps, (n,) float32.

    β_i = min(1 − c((i+1)/n)/c(i/n), 0.999) with c(u) = cos²(((u + 0.008)/1.008)·π/2).
    """

    def signal(u: float) -> float:
        return math.cos((u + 0.008) / 1.008 * math.pi / 2) ** 2

    betas = [
        min(1 - signal((i + 1) / num_timesteps) / signal(i / num_timesteps), _MAX_BETA)
        for i in range(num_timesteps)
    ]
    return torch.cumprod(1.0 - torch.tensor(betas, dtype=torch.float32, device="cpu"), dim=0)


def add_noise(x0_BTV: Tensor, noise_BTV: Tensor, t_B: Tensor, alphas_N: Tensor) -> Tensor:
    """Noise clean actions: x_t = √ᾱ_t·x0 + √(1−ᾱ_t)·noise.

    ᾱ is cast to the dtype of the actions first, as in the original training.

    Args:
        x0_BTV: Clean actions.
        noise_BTV: Standard normal, the same shape.
        t_B: Timesteps, int64.
        alphas_N: ᾱ from ``alphas_cumprod``.

    Returns:
        (B, T, V) in the dtype of ``x0_BTV``.
    """
    alphas_B = alphas_N.to(device=x0_BTV.device, dtype=x0_BTV.dtype)[t_B]
    signal_B11 = (alphas_B**0.5)[:, None, None]
    sigma_B11 = ((1 - alphas_B) ** 0.5)[:, None, None]
    return signal_B11 * x0_BTV + sigma_B11 * noise_BTV


class Solver(ABC):
    """A sampler over a fixed list of timesteps. It keeps no state between steps.

    Args:
        alphas_N: ᾱ from ``alphas_cumprod``.
        num_steps: Solver steps, 1 to N − 1.
        prediction_type: The network's prediction.

    Attributes:
        timesteps: Timesteps of the network's calls, descending.
        sigmas: (steps + 1,) float32, σ = √((1−ᾱ)/ᾱ) at these and a final 0.

    Raises:
        ConfigError: ``num_steps`` is out of range.
    """

    def __init__(
        self, alphas_N: Tensor, num_steps: int, prediction_type: PredictionType = "sample"
    ) -> None:
        total = len(alphas_N)
        if not 1 <= num_steps < total:
            raise ConfigError(
                f"Solver steps {num_steps} are out of range. Allowed: 1 to {total - 1}. "
                "Fix: give a number such as 5."
            )
        alphas = alphas_N.cpu()
        spaced = np.linspace(0, total - 1, num_steps + 1).round()[::-1][:-1].astype(np.int64)
        every_sigma = (((1 - alphas) / alphas) ** 0.5).numpy()
        chosen = np.interp(spaced, np.arange(total), every_sigma)
        self.timesteps: tuple[int, ...] = tuple(int(t) for t in spaced)
        self.sigmas: Tensor = torch.from_numpy(np.append(chosen, 0.0).astype(np.float32))
        self._prediction_type = prediction_type
        # 0-dim CPU tensors: their products with a model-dtype tensor keep the model dtype.
        self._alpha = 1 / ((self.sigmas**2 + 1) ** 0.5)
        self._scale = self.sigmas * self._alpha

    @property
    def draws(self) -> int:
        """How many times it draws noise after the start."""
        return 0

    def run(
        self,
        noise: Tensor,
        predict: Predict,
        blend: Blend | None = None,
        *,
        guide: Guide | None = None,
        drawn: Tensor | None = None,
    ) -> Tensor:
        """Take all steps.

        Args:
            noise: (B, T, V) standard normal.
            predict: The network.
            blend: Changes the noisy actions before every step and after the last one.
            guide: Gives the denoised estimate in place of the network's own.
            drawn: (draws, B, T, V) standard normal, for solvers that draw.

        Returns:
            (B, T, V) in the dtype of the prediction.
        """
        x, previous = noise, None
        for index in range(len(self.timesteps)):
            x = x if blend is None else blend(index, x)
            if guide is None:
                output = predict(index, x)
                denoised, dtype = self.denoised(index, output, x), output.dtype
            else:
                denoised = guide(index, x)
                dtype = denoised.dtype
            new = drawn[index] if drawn is not None and index < len(drawn) else None
            x, previous = self.advance(index, denoised, x, previous, new).to(dtype), denoised
        return x if blend is None else blend(len(self.timesteps), x)

    def shares(self, index: int) -> tuple[Tensor, Tensor]:
        """Return α and σ before a step, 0-dim each: x_t = α·x₀ + σ·ε with α² + σ² = 1."""
        return self._alpha[index], self._scale[index]

    def noised(self, index: int, clean: Tensor, noise: Tensor) -> Tensor:
        """Noise clean actions (B, T, V) to the level before a step.

        Args:
            index: The step, from 0; the number of steps stands for the end, without noise.
            clean: The clean actions.
            noise: The same shape, standard normal.
        """
        return self._alpha[index] * clean + self._scale[index] * noise

    def denoised(self, index: int, output: Tensor, x: Tensor) -> Tensor:
        """Return the denoised estimate x̂₀ that a prediction at a step stands for.

        Args:
            index: The step, from 0.
            output: The prediction at ``timesteps[index]``.
            x: The current noisy actions, the same shape.
        """
        if self._prediction_type == "epsilon":
            return (x - self._scale[index] * output) / self._alpha[index]
        return output

    @abstractmethod
    def advance(
        self,
        index: int,
        denoised: Tensor,
        x: Tensor,
        previous: Tensor | None,
        drawn: Tensor | None = None,
    ) -> Tensor:
        """Return the next noisy actions.

        Args:
            index: The step, from 0.
            denoised: The denoised estimate at it.
            x: The current noisy actions, the same shape.
            previous: The denoised estimate of the step before; None at the first.
            drawn: Standard normal, for solvers that draw.
        """


class DPMSolver(Solver):
    """DPM-Solver++ 2M; see ``Solver``."""

    def __init__(
        self, alphas_N: Tensor, num_steps: int, prediction_type: PredictionType = "sample"
    ) -> None:
        super().__init__(alphas_N, num_steps, prediction_type)
        self._lambda = torch.log(self._alpha) - torch.log(self._scale)

    def step(
        self, index: int, output: Tensor, x: Tensor, previous: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Take one step.

        Args:
            index: The step, from 0.
            output: The prediction at ``timesteps[index]``.
            x: The current noisy actions, the same shape.
            previous: The denoised estimate of the step before; None at the first.

        Returns:
            The next noisy actions in the dtype of ``output``, and the denoised estimate.
        """
        denoised = self.denoised(index, output, x)
        return self.advance(index, denoised, x, previous).to(output.dtype), denoised

    def advance(
        self,
        index: int,
        denoised: Tensor,
        x: Tensor,
        previous: Tensor | None,
        drawn: Tensor | None = None,
    ) -> Tensor:
        """Take a step of second order, and of first order at both ends."""
        alpha, scale, lam = self._alpha, self._scale, self._lambda
        h = lam[index + 1] - lam[index]
        gain = alpha[index + 1] * (torch.exp(-h) - 1.0)
        after = (scale[index + 1] / scale[index]) * x.to(torch.float32) - gain * denoised
        if previous is not None and index + 1 < len(self.timesteps):
            r = (lam[index] - lam[index - 1]) / h
            after = after - 0.5 * gain * ((1.0 / r) * (denoised - previous))
        return after


class DDPMSolver(Solver):
    """Ancestral sampling: a draw from the posterior of each step; see ``Solver``.

    From timestep t to s: with a = ᾱ_t/ᾱ_s, x_s = √ᾱ_s·(1 − a)/(1 − ᾱ_t)·x̂₀ +
    √a·(1 − ᾱ_s)/(1 − ᾱ_t)·x_t + √((1 − ᾱ_s)/(1 − ᾱ_t)·(1 − a))·ε. The last step, to ᾱ = 1, gives
    x̂₀.
    """

    @property
    def draws(self) -> int:
        """One for each step but the last."""
        return len(self.timesteps) - 1

    def advance(
        self,
        index: int,
        denoised: Tensor,
        x: Tensor,
        previous: Tensor | None,
        drawn: Tensor | None = None,
    ) -> Tensor:
        """Draw from the posterior; the last step returns the denoised estimate."""
        now, after = (self._alpha[at].double() ** 2 for at in (index, index + 1))
        ratio = now / after
        clean = after.sqrt() * (1 - ratio) / (1 - now)
        kept = ratio.sqrt() * (1 - after) / (1 - now)
        mean = clean.float() * denoised.to(torch.float32) + kept.float() * x.to(torch.float32)
        if index + 1 == len(self.timesteps):
            return mean
        if drawn is None:
            raise ValueError("ancestral sampling needs noise for every step but the last")
        spread = ((1 - after) / (1 - now) * (1 - ratio)).sqrt()
        return mean + spread.float() * drawn.to(torch.float32)


SOLVERS: dict[SolverName, type[Solver]] = {"dpm-solver++": DPMSolver, "ddpm": DDPMSolver}
"""The samplers by name."""
