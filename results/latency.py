"""How long a policy's requests took: a histogram that runs keep, and that adds up."""

import dataclasses
import math
import threading
from collections import Counter
from collections.abc import Iterable
from typing import Annotated, Self

from pydantic import ConfigDict, Field, computed_field
from pydantic.dataclasses import dataclass

_FINEST_MS = 0.01
_GROWTH = 1.02
"""Upper over lower end of a bucket: what is read from one is right within 1 %."""

_LAST = 2000
"""The last bucket, of 1.6e12 seconds."""

Count = Annotated[int, Field(ge=0)]
Bucket = Annotated[int, Field(ge=0, le=_LAST)]

PERCENTILES = (50, 95, 99)


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="ignore"))
class LatencyHistogram:
    """Latencies of requests for a plan, as the client saw them.

    A request counts from when the policy is given it to when its plan is there. Waiting for a free
    connection, time-outs, new connections and repetitions are in it. An episode asks for its next
    plan only after the last one, so a server that stalls is seen once by each waiting episode; a
    robot that asks at a fixed rate would see it more often.
    """

    buckets: dict[Bucket, Annotated[int, Field(ge=1)]] = dataclasses.field(default_factory=dict)
    """Answered requests by bucket: bucket i holds 0.01 · 1.02^i milliseconds up to 1.02 times
    that, bucket 0 what is faster, too."""

    total_ms: Annotated[float, Field(ge=0)] = 0.0
    """Sum of their latencies."""

    failed: Count = 0
    """Requests that got no plan, which are in no bucket."""

    resent: Count = 0
    """Messages that were sent again after a time-out or a lost connection."""

    @computed_field  # type: ignore[prop-decorator]
    @property
    def requests(self) -> int:
        """Answered requests."""
        return sum(self.buckets.values())

    @computed_field  # type: ignore[prop-decorator]
    @property
    def mean_ms(self) -> float | None:
        """Mean latency; None without a request."""
        return round(self.total_ms / self.requests, 3) if self.buckets else None

    @computed_field  # type: ignore[prop-decorator]
    @property
    def percentiles_ms(self) -> dict[str, float]:
        """The latencies that 50, 95 and 99 of 100 requests did not exceed; empty without one."""
        return {f"p{share}": self.percentile(share) for share in PERCENTILES if self.buckets}

    @computed_field  # type: ignore[prop-decorator]
    @property
    def longest_ms(self) -> float | None:
        """The longest latency, within 1 %; None without a request."""
        return self.percentile(100) if self.buckets else None

    def percentile(self, share: float) -> float:
        """Return the latency in milliseconds that a share of the requests did not exceed.

        Args:
            share: From 0 to 100. The value is that of the request of this rank, rounded up.

        Raises:
            ValueError: There is no request.
        """
        rank = max(1, math.ceil(self.requests * share / 100))
        for index in sorted(self.buckets):
            rank -= self.buckets[index]
            if rank <= 0:
                return float(f"{_FINEST_MS * _GROWTH ** (index + 0.5):.4g}")
        raise ValueError("no requests")

    def __add__(self, other: Self) -> Self:
        """Return the requests of both."""
        return dataclasses.replace(
            self,
            buckets=dict(sorted((Counter(self.buckets) + Counter(other.buckets)).items())),
            total_ms=round(self.total_ms + other.total_ms, 3),
            failed=self.failed + other.failed,
            resent=self.resent + other.resent,
        )

    def __sub__(self, earlier: Self) -> Self:
        """Return the requests since an earlier state of the same histogram."""
        return dataclasses.replace(
            self,
            buckets=dict(sorted((Counter(self.buckets) - Counter(earlier.buckets)).items())),
            total_ms=max(0.0, round(self.total_ms - earlier.total_ms, 3)),
            failed=self.failed - earlier.failed,
            resent=self.resent - earlier.resent,
        )

    def __bool__(self) -> bool:
        """Whether there was any request."""
        return bool(self.buckets) or self.failed > 0


class LatencyRecorder:
    """Collects latencies from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._buckets: Counter[int] = Counter()
        self._total_ms = 0.0
        self._failed = 0

    def answered(self, seconds: float, requests: int = 1) -> None:
        """Count requests that got their plans after so long."""
        ms = 1e3 * seconds
        index = max(0, math.floor(math.log(max(ms, _FINEST_MS) / _FINEST_MS) / math.log(_GROWTH)))
        with self._lock:
            self._buckets[index] += requests
            self._total_ms += ms * requests

    def failed(self, requests: int = 1) -> None:
        """Count requests that got none."""
        with self._lock:
            self._failed += requests

    def histogram(self, *, resent: int = 0) -> LatencyHistogram:
        """Return what was collected so far.

        Args:
            resent: Messages that were sent again.
        """
        with self._lock:
            return LatencyHistogram(
                buckets=dict(sorted(self._buckets.items())),
                total_ms=round(self._total_ms, 3),
                failed=self._failed,
                resent=resent,
            )


def sum_up(latencies: Iterable[LatencyHistogram | None]) -> LatencyHistogram | None:
    """Return the requests of all; None if there are none."""
    total = LatencyHistogram()
    for latency in latencies:
        total += latency or LatencyHistogram()
    return total or None
