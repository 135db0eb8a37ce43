"""How sure an error rate is, and a difference of two: the bootstrap over utterances.

After Bisani & Ney, "Bootstrap estimates for confidence intervals in ASR performance evaluation"
(ICASSP 2004), as Kaldi's ``compute-wer-bootci``: utterances are drawn anew with replacement, and
the rates of the drawn sets show how far chance carries them. Two systems are compared on the same
draws, so that what is hard for both cancels out.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_DRAWS_AT_ONCE = 1 << 22
_ALIKE = 1e-12
"""Differences below this are rounding."""


@dataclass(frozen=True, slots=True)
class BootstrapConfig:
    """How many sets of utterances are drawn, from which seed, and how much an interval covers."""

    replicates: int = 10_000
    seed: int = 0
    coverage: float = 0.95


@dataclass(frozen=True, slots=True)
class Interval:
    """Where the middle ``coverage`` of the drawn values lies."""

    low: float
    high: float

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Of one rate: the second system's less the first's, on the same utterances.

    better: part of the draws in which the second system was better (Kaldi's "probability of
    improvement"). p_value: two-sided, of no difference; at least 2 / (replicates + 1).
    """

    first: float
    second: float
    interval: Interval | None
    better: float | None
    p_value: float | None

    @property
    def difference(self) -> float:
        return self.second - self.first

    def as_dict(self) -> dict[str, Any]:
        return {**asdict(self), "difference": self.difference}


@dataclass(frozen=True, slots=True)
class Ratios:
    """Rates that are ratios of sums over utterances.

    parts, wholes: float64 [rates, utterances]; rate r is parts[r].sum() / wholes[r].sum().
    """

    parts: NDArray[np.float64]
    wholes: NDArray[np.float64]


def intervals(ratios: Ratios, config: BootstrapConfig | None = None) -> list[Interval | None]:
    """The interval of each rate (percentiles of the drawn rates); None for a single utterance.

    Draws without anything to divide by are left out.
    """
    config = config or BootstrapConfig()
    if ratios.parts.shape[1] < 2:
        return [None] * len(ratios.parts)
    return [_interval(rates, config) for rates in _drawn_rates([ratios], config)[0]]


def compare(
    first: Ratios,
    second: Ratios,
    lower_is_better: list[bool],
    config: BootstrapConfig | None = None,
) -> list[Comparison]:
    """Compare two systems' rates over the same utterances in the same order."""
    config = config or BootstrapConfig()
    totals = [ratios.parts.sum(axis=1) / ratios.wholes.sum(axis=1) for ratios in (first, second)]
    if first.parts.shape[1] < 2:
        return [
            Comparison(float(a), float(b), None, None, None) for a, b in zip(*totals, strict=True)
        ]
    drawn = _drawn_rates([first, second], config)
    return [
        _compared(float(a), float(b), other - one, lower, config)
        for a, b, one, other, lower in zip(*totals, *drawn, lower_is_better, strict=True)
    ]


def _compared(
    first: float, second: float, gains: NDArray[np.float64], lower: bool, config: BootstrapConfig
) -> Comparison:
    gains = gains[np.isfinite(gains)]
    down, up = int((gains < -_ALIKE).sum()), int((gains > _ALIKE).sum())
    same = len(gains) - down - up
    tail = (min(down, up) + same + 1) / (len(gains) + 1)
    return Comparison(
        first=first,
        second=second,
        interval=_interval(gains, config),
        better=(down if lower else up) / max(len(gains), 1),
        p_value=min(1.0, 2 * tail),
    )


def _interval(values: NDArray[np.float64], config: BootstrapConfig) -> Interval | None:
    values = values[np.isfinite(values)]
    if not len(values):
        return None
    tail = 50 * (1 - config.coverage)
    low, high = np.percentile(values, [tail, 100 - tail])
    return Interval(float(low), float(high))


def _drawn_rates(systems: list[Ratios], config: BootstrapConfig) -> list[NDArray[np.float64]]:
    """Rates of each system in each draw: float64 [rates, replicates]; not finite where 0 / 0."""
    utterances = systems[0].parts.shape[1]
    random = np.random.default_rng(config.seed)
    rows = max(1, _DRAWS_AT_ONCE // utterances)
    pieces: list[list[NDArray[np.float64]]] = [[] for _ in systems]
    for begin in range(0, config.replicates, rows):
        weights = _draw(random, min(rows, config.replicates - begin), utterances)
        for piece, system in zip(pieces, systems, strict=True):
            with np.errstate(divide="ignore", invalid="ignore"):
                piece.append((system.parts @ weights) / (system.wholes @ weights))
    return [np.concatenate(piece, axis=1) for piece in pieces]


def _draw(random: np.random.Generator, sets: int, utterances: int) -> NDArray[np.float64]:
    """How often each utterance was drawn into each set: float64 [utterances, sets]."""
    chosen = random.integers(0, utterances, (sets, utterances))
    chosen += utterances * np.arange(sets)[:, None]
    counts = np.bincount(chosen.ravel(), minlength=sets * utterances)
    return counts.reshape(sets, utterances).T.astype(np.float64)
