"""How much memory a model would take, before it is loaded: weights, cache and scratch against what is free."""

from dataclasses import dataclass
from typing import Final, Literal, Protocol

from appliance.config import Inference
from appliance.inference.engine import CacheType
from appliance.inference.load_settings import LoadSettings
from appliance.machine import resources

SCRATCH_BYTES: Final = 256 << 20
"""What a child needs beside weights and cache."""

_RESERVE_BYTES, _RESERVE_SHARE = 1 << 30, 8
"""The box's own processes need the smaller of these: so many bytes, or this part of all memory."""


class Cached(Protocol):
    """What is known of a model that keeps what it has read."""

    @property
    def cache_bytes_per_token(self) -> int: ...

    @property
    def scratch_bytes_per_token(self) -> int: ...


_BLOCK_BYTES: Final[dict[CacheType, int]] = {"f16": 64, "q8_0": 34, "q4_0": 18}
"""Bytes that 32 numbers of the cache take."""

Verdict = Literal["fits", "tight", "too_big"]
Cause = Literal["limit", "machine"]
"""What a model is too big for: what one model may take here beside its weights, or all memory of the machine."""


@dataclass(frozen=True)
class Estimate:
    """All sizes in bytes. The cache is for full contexts of all answers at once."""

    weights: int
    cache: int
    scratch: int
    context: int
    """Tokens of one answer on this box."""
    parallel: int
    """Answers at once."""
    available: int
    """What can be taken now without swapping, the model's own memory included if it is loaded."""
    total: int
    limit: int
    """What one model may take beside its weights; the process of one that outgrows it is ended."""

    @property
    def needed(self) -> int:
        return self.weights + self.cache + self.scratch

    @property
    def verdict(self) -> Verdict:
        """`tight`: other models have to make room, or hardly anything is left. `too_big`: not on this box."""
        if self.cause:
            return "too_big"
        return "fits" if self.needed + self._reserve <= self.available else "tight"

    @property
    def cause(self) -> Cause | None:
        """Why it is too big; None for one that isn't."""
        if self.over_limit:
            return "limit"
        return "machine" if self.needed > self.total - self._reserve else None

    @property
    def over_limit(self) -> int:
        """By how much it would outgrow `limit`; such a model is not loaded."""
        return max(0, self.cache + self.scratch - self.limit)

    @property
    def _reserve(self) -> int:
        return min(_RESERVE_BYTES, self.total // _RESERVE_SHARE)


def estimate(
    size: int,
    context: int,
    settings: Inference,
    *,
    header: Cached | None = None,
    held: int = 0,
    parallel: int | None = None,
    wish: LoadSettings = LoadSettings(),  # noqa: B008 - frozen
) -> Estimate:
    """For a model of `size` bytes that was trained to hold `context` tokens.

    `header` is there for models with a cache; `held` is what the model takes already, less what the kernel calls free
    although models have it in use (it may be negative); `parallel` is how many
    answers its engine writes at once where that is not for the settings to say; `wish` is what the operator wants for
    this very model.
    """
    own = wish.context_of(context, settings) if header else context
    parallel = (parallel or wish.parallel_of(settings)) if header else 1
    return Estimate(
        weights=size,
        cache=header.cache_bytes_per_token * own * parallel * _BLOCK_BYTES[wish.cache_type] // 64 if header else 0,
        scratch=SCRATCH_BYTES + (header.scratch_bytes_per_token * own if header else 0),
        context=own,
        parallel=parallel,
        available=max(0, resources.available() + held),
        total=resources.total(),
        limit=settings.child_memory_mb << 20,
    )
