"""Fitting the shares of several corpora to a text of the kind to be recognised."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from asr.lm.counts import NgramCounts
from asr.lm.kneser_ney import Discount, Mixture, discounted, modified_counts

_POWER_RANGE = (0.0, 1.5)
_LEAST = 1e-3  # a reserve of 0 has no log to start from
_DAMPING = 1e-4
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Evidence:
    """What the corpora say of each token of a text at one order; float64 [corpora, tokens]."""

    totals: np.ndarray  # sum of the modified counts after the token's context
    explicit: np.ndarray  # discounted relative frequency of the token
    left: np.ndarray  # share that goes to the lower order


def fit_mixture(
    counts: NgramCounts,
    discounts: Sequence[Sequence[Discount]],
    tokens: np.ndarray,
    start: Mixture,
    token_weights: np.ndarray | None = None,
    iterations: int = 40,
) -> Mixture:
    """Maximise the likelihood of a text over the weights, power and reserve of the mixture.

    Fisher scoring (Gauss-Newton steps on the log likelihood) with step halving: no step makes the
    likelihood worse.

    Args:
        tokens: uint16 [t], as `units.encode_lines` makes them.
        start: where to begin.
        token_weights: float64 [t], how much each token matters; all alike if None.
    """
    evidence = _collect(counts, discounts, tokens)
    predicted = tokens != counts.bos
    weights = np.where(predicted, 1.0 if token_weights is None else token_weights, 0.0)
    weights = weights / weights.sum()
    uniform = 1.0 / (len(counts.tables[0]) - 1)
    theta = np.array([*np.log([*start.weights, max(start.reserve, _LEAST)]), start.power])
    best, slope = _likelihood(evidence, theta, weights, uniform)
    for _ in range(iterations):
        fisher = (slope * weights[:, None]).T @ slope
        gradient = weights @ slope
        direction = np.linalg.solve(fisher + _DAMPING * np.eye(len(theta)), gradient)
        size, gain = 1.0, -1.0
        while size > 1e-3 and gain <= 0:
            trial = theta + size * direction
            trial[:-1] -= trial[:-2].max()
            trial[-1] = np.clip(trial[-1], *_POWER_RANGE)
            score, new_slope = _likelihood(evidence, trial, weights, uniform)
            gain, size = score - best, size / 2
        if gain <= 0:
            break
        theta, best, slope = trial, score, new_slope
        if gain < 1e-6:
            break
    mixture = _mixture(theta)
    log.info("%s, perplexity of the tuning texts %.3f", mixture, np.exp(-best))
    return mixture


def _mixture(theta: np.ndarray) -> Mixture:
    """The parameters are the logs of the weights and of the reserve, and the power."""
    *weights, reserve = np.exp(theta[:-1]).tolist()
    return Mixture(tuple(weights), float(theta[-1]), reserve)


def _likelihood(
    evidence: list[_Evidence], theta: np.ndarray, weights: np.ndarray, uniform: float
) -> tuple[float, np.ndarray]:
    """Return the weighted mean log probability and d log p / d theta [tokens, parameters]."""
    mixture = _mixture(theta)
    p = np.full(len(weights), uniform)
    dp = np.zeros((len(weights), len(theta)))
    for order in evidence:
        share = mixture.shares(order.totals)
        known = share.sum(axis=0) > 0
        doubt = np.where(known, 1.0 - share.sum(axis=0), 0.0)
        lower = p
        own = order.explicit + order.left * lower
        left = np.where(known, (share * order.left).sum(axis=0) + doubt, 1.0)
        p = (share * order.explicit).sum(axis=0) + left * lower
        d_share = share * (own - p)
        dp *= left[:, None]
        dp[:, :-2] += d_share.T
        dp[:, -2] += doubt * (lower - p)
        dp[:, -1] += (d_share * np.log(np.maximum(order.totals, 1.0))).sum(axis=0)
    p = np.where(weights > 0, p, 1.0)
    return float(weights @ np.log(p)), dp / p[:, None]


def _collect(
    counts: NgramCounts, discounts: Sequence[Sequence[Discount]], tokens: np.ndarray
) -> list[_Evidence]:
    """Look every token of a text up in the trie at all orders."""
    words = tokens.astype(np.int64)
    opens = words == counts.bos
    ending = np.zeros(len(words), np.int64)
    result = []
    for n, table in enumerate(counts.tables, 1):
        contexts = len(counts.tables[n - 2]) if n > 1 else 1
        context = ending
        if n > 1:
            context = np.concatenate([[-1], ending[:-1]])
            context[opens] = -1
        ending = counts.find(n, context, words)
        seen, known = np.maximum(ending, 0), np.maximum(context, 0)
        totals, explicit, left = (np.zeros((counts.corpora, len(words))) for _ in range(3))
        for c, (index, row) in enumerate(modified_counts(counts, n)):
            mass = np.zeros(len(table))
            mass[index] = discounted(row, discounts[n - 1][c])
            own = table.context[index]
            total = np.bincount(own, row, minlength=contexts)
            used = np.bincount(own, mass[index], minlength=contexts)
            totals[c] = np.where(context >= 0, total[known], 0.0)
            safe = np.maximum(totals[c], 1e-300)
            explicit[c] = np.where(ending >= 0, mass[seen] / safe, 0.0)
            left[c] = np.where(totals[c] > 0, 1.0 - used[known] / safe, 0.0)
        result.append(_Evidence(totals, explicit, left))
    return result
