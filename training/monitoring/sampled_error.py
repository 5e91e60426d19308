"""The error of sampled plans on held-out demonstrations, measured when it is due."""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import broadcast
from torch.utils.data import default_collate

from policies.rdt.actions.layout import Layout
from policies.rdt.model.network import Batch, RDTPolicyNetwork
from training.config import TrainingConfig
from training.data.windows import DemoWindows
from training.monitoring.log import Log
from training.trained_weights import TrainedWeights

_ROWS = 16


@dataclass(frozen=True, kw_only=True)
class SampledError:
    """Mean squared errors of an action's slots, before a demonstration's end.

    They are in the layout's own units, whatever the normalisation, so that runs compare.

    Attributes:
        overall: Over slots and time steps.
        per_slot: By the number of the slot.
        per_step: By the time step of the plan.
        before_goal: Over windows that begin before the first predicate of the goal is reached;
            None without any.
        after_goal: Over the others; None without any.
        windows: The number of windows.
    """

    overall: float
    per_slot: dict[str, float]
    per_step: list[float]
    before_goal: float | None
    after_goal: float | None
    windows: int

    def as_dict(self) -> dict[str, Any]:
        """Return plain data, six significant digits each."""
        plain: dict[str, Any] = asdict(self)
        plain["overall"] = _short(self.overall)
        plain["per_slot"] = {slot: _short(value) for slot, value in self.per_slot.items()}
        for name in ("before_goal", "after_goal"):
            plain[name] = None if plain[name] is None else _short(plain[name])
        plain["per_step"] = [_short(value) for value in self.per_step]
        return plain


class SampledErrorMonitor:
    """Measures the error of sampled plans when it is due, and remembers the lowest.

    Attributes:
        latest: The latest measurement, in the main process.
        lowest: The lowest overall error of a checkpoint marked as the best.
    """

    def __init__(
        self,
        config: TrainingConfig,
        trained: TrainedWeights,
        held_out: DemoWindows | None,
        layout: Layout,
        move: Callable[[Batch], Batch],
        accelerator: Accelerator,
    ) -> None:
        """Prepare for measurements; see ``sampled_error``."""
        self._config, self._trained, self._accelerator = config, trained, accelerator
        self._held_out, self._layout, self._move = held_out, layout, move
        self.latest: SampledError | None = None
        self.lowest = math.inf

    def measure(self, update: int, log: Log | None) -> bool:
        """Measure the error after an update if that is due; all processes call this.

        Args:
            update: Updates done.
            log: The log, in the main process.

        Returns:
            Whether the weights are the best so far; equal in all processes.
        """
        period = self._config.sample_period
        if self._held_out is None or not period or update % period:
            return False
        whole = self._trained.gather(resumable=False)
        if whole is not None:
            with whole.averaged(computing=True) as network, torch.random.fork_rng():
                network.eval()
                self.latest = sampled_error(
                    network,
                    self._held_out,
                    self._layout,
                    windows=self._config.sample_windows,
                    move=self._move,
                )
                network.train()
            if log is not None:
                log.write({"update": update, "sampled": self.latest.as_dict()})
        better = self.latest is not None and self.latest.overall < self.lowest
        better = better and not self._config.eval_every  # success chooses then
        # The main process decides for all.
        if not bool(broadcast(torch.tensor(int(better), device=self._accelerator.device))):
            return False
        if self.latest is not None:
            self.lowest = self.latest.overall
        return True


@torch.no_grad()
def sampled_error(
    network: RDTPolicyNetwork,
    data: DemoWindows,
    layout: Layout,
    *,
    windows: int,
    move: Callable[[Batch], Batch],
) -> SampledError:
    """Sample plans on the same windows from the same noise at every call.

    Args:
        network: In evaluation mode.
        data: The windows; neither augmented nor masked.
        layout: The slots of an action.
        windows: Number of windows, evenly spread over all.
        move: Moves a batch to the network's device.
    """
    count = min(windows, len(data))
    chosen = [(2 * i + 1) * len(data) // (2 * count) for i in range(count)]
    generator = torch.Generator().manual_seed(0)
    shape = network.config.pred_horizon, network.config.action_dim
    units = torch.from_numpy(data.normalisation.action_units)
    sums, counts = torch.zeros(shape, dtype=torch.float64), torch.zeros(shape[0])
    slots = sorted(layout.action_slots)
    goal_sums, goal_counts = torch.zeros(2, dtype=torch.float64), torch.zeros(2)
    for first in range(0, count, _ROWS):
        rows = chosen[first : first + _ROWS]
        batch = move(default_collate([data[row] for row in rows]))
        noise = torch.randn(len(rows), *shape, generator=generator)
        plans = network.sample(batch, noise.to(batch["state"].device))
        errors = ((plans.float() - batch["actions"]).cpu() * units).square().double()
        valid = data.before_end(rows, shape[0])
        sums += (errors * valid[..., None]).sum(0)
        counts += valid.sum(0)
        per_window = (errors[..., slots].mean(-1) * valid).sum(1)
        after = data.after_goal(rows).long()
        goal_sums.index_add_(0, after, per_window)
        goal_counts.index_add_(0, after, valid.sum(1).float())
    before, since = (
        float(total / steps) if steps else None
        for total, steps in zip(goal_sums, goal_counts, strict=True)
    )
    return SampledError(
        overall=float(sums[:, slots].sum() / (counts.sum() * len(slots))),
        per_slot={str(s): float(sums[:, s].sum() / counts.sum()) for s in slots},
        per_step=(sums[:, slots].mean(1) / counts.clamp(min=1)).tolist(),
        before_goal=before,
        after_goal=since,
        windows=count,
    )


def _short(value: float) -> float:
    return float(f"{value:.6g}")
