"""The noising process and the sampler, equal bit for bit to the ones RDT was trained with.

The schedule is the squared-cosine one (Nichol & Dhariwal 2021); the sampler is DPM-Solver++ 2M
(Lu et al. 2022), midpoint form, linearly spaced timesteps, first order in its first and last step.
"""

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from policies.rdt.model.config import PredictionType
from tasks.errors import ConfigError

Predict = Callable[[int, Tensor], Tensor]
"""Maps a step's number and noisy actions (B, T, V) to the network's prediction (B, T, V)."""

Blend = Callable[[int, Tensor], Tensor]
"""Maps a step's number and noisy actions to the noisy actions to continue with."""

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


class DPMSolver:
    """DPM-Solver++ 2M over a fixed list of timesteps. It keeps no state between steps.

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
        self._lambda = torch.log(self._alpha) - torch.log(self._scale)

    def run(self, noise: Tensor, predict: Predict, blend: Blend | None = None) -> Tensor:
        """Take all steps.

        Args:
            noise: (B, T, V) standard normal.
            predict: The network.
            blend: Changes the noisy actions before every step and after the last one.

        Returns:
            (B, T, V) in the dtype of the prediction.
        """
        x, previous = noise, None
        for index in range(len(self.timesteps)):
            x = x if blend is None else blend(index, x)
            x, previous = self.step(index, predict(index, x), x, previous)
        return x if blend is None else blend(len(self.timesteps), x)

    def noised(self, index: int, clean: Tensor, noise: Tensor) -> Tensor:
        """Noise clean actions (B, T, V) to the level before a step.

        Args:
            index: The step, from 0; the number of steps stands for the end, without noise.
            clean: The clean actions.
            noise: The same shape, standard normal.
        """
        return self._alpha[index] * clean + self._scale[index] * noise

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
        alpha, scale, lam = self._alpha, self._scale, self._lambda
        if self._prediction_type == "epsilon":
            denoised = (x - scale[index] * output) / alpha[index]
        else:
            denoised = output
        h = lam[index + 1] - lam[index]
        gain = alpha[index + 1] * (torch.exp(-h) - 1.0)
        after = (scale[index + 1] / scale[index]) * x.to(torch.float32) - gain * denoised
        if previous is not None and index + 1 < len(self.timesteps):
            r = (lam[index] - lam[index - 1]) / h
            after = after - 0.5 * gain * ((1.0 / r) * (denoised - previous))
        return after.to(output.dtype), denoised
