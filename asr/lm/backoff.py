"""From probabilities over a trie to a back-off model, and entropy pruning (Stolcke, 1998)."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Sequence

import numpy as np

from asr.lm.counts import NgramCounts
from asr.lm.ngram import LOG_ZERO, NgramModel, NgramOrder
from asr.lm.units import Vocabulary

_TINY = 1e-10
_THRESHOLDS = (math.log(1e-14), 0.0)
_THRESHOLD_STEP = 1e-3
log = logging.getLogger(__name__)


def backoff_weights(
    counts: NgramCounts, probabilities: Sequence[np.ndarray], kept: Sequence[np.ndarray]
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield for each order above the first the weights of its contexts, and p(w | h') of it.

    The weights make each distribution sum to one:
    (1 - sum of p(w|h)) / (1 - sum of p(w|h')) over the kept w. p(w | h'), h' being h without its
    first unit, is what the model gives after backing off, also where the n-gram of h' and w is
    not kept itself.

    Args:
        probabilities: for each order float64 [n], p(w | h) of the n-grams that are kept.
        kept: for each order bool [n].

    Yields:
        weight: float64 [n of the order below]; 1 where nothing kept continues it.
        below: float64 [n], p(w | h').
    """
    tables = counts.tables
    model = probabilities[0]
    for n in range(2, counts.order + 1):
        table, keep = tables[n - 1], kept[n - 1]
        contexts = len(tables[n - 2])
        below = model[table.suffix]
        chosen = table.context[keep]
        left = 1.0 - np.bincount(chosen, probabilities[n - 1][keep], minlength=contexts)
        free = 1.0 - np.bincount(chosen, below[keep], minlength=contexts)
        weight = np.where(free > _TINY, np.maximum(left, 0.0) / np.maximum(free, _TINY), 1.0)
        yield weight, below
        model = np.where(keep, probabilities[n - 1], weight[table.context] * below)


def entropy_prune(
    counts: NgramCounts,
    probabilities: Sequence[np.ndarray],
    kept: Sequence[np.ndarray],
    frequency: Sequence[np.ndarray],
    threshold: float,
) -> list[np.ndarray]:
    """Choose the n-grams to keep: those whose loss costs at least `threshold`.

    Args:
        probabilities, kept, frequency: as for `prune_costs`.

    Returns:
        For each order bool [n].
    """
    return _costlier(counts, kept, prune_costs(counts, probabilities, kept, frequency), threshold)


def prune_to_size(
    counts: NgramCounts,
    probabilities: Sequence[np.ndarray],
    kept: Sequence[np.ndarray],
    frequency: Sequence[np.ndarray],
    size: int,
) -> list[np.ndarray]:
    """As `entropy_prune`, with the least threshold that leaves no more than `size` n-grams.

    Unigrams are always kept, even if they are more.
    """
    low, high = _THRESHOLDS
    if sum(map(np.count_nonzero, kept)) <= size:
        return list(kept)
    costs = prune_costs(counts, probabilities, kept, frequency)
    chosen = _costlier(counts, kept, costs, math.exp(high))
    while high - low > _THRESHOLD_STEP:
        middle = (low + high) / 2
        trial = _costlier(counts, kept, costs, math.exp(middle))
        if sum(map(np.count_nonzero, trial)) > size:
            low = middle
        else:
            high, chosen = middle, trial
    log.info("pruned with threshold %.3g to %d n-grams", math.exp(high),
             sum(map(np.count_nonzero, chosen)))  # fmt: skip
    return chosen


def prune_costs(
    counts: NgramCounts,
    probabilities: Sequence[np.ndarray],
    kept: Sequence[np.ndarray],
    frequency: Sequence[np.ndarray],
) -> list[np.ndarray]:
    """Return for each order above the first float32 [n], what the loss of each n-gram costs.

    The cost is the relative growth of perplexity, as for SRILM's -prune. The frequency of a
    context is given, not taken from the model, because Kneser-Ney's lower orders do not hold it
    (Chelba et al., Interspeech 2010).

    Args:
        probabilities, kept: as for `backoff_weights`; unigrams are always kept.
        frequency: for each order float [n], how often the n-gram occurs a token.
    """
    result = []
    for n, (_, below) in enumerate(backoff_weights(counts, probabilities, kept), 2):
        context, keep = counts.tables[n - 1].context, kept[n - 1]
        cost = _prune_cost(context, probabilities[n - 1], below, keep, frequency[n - 2])
        result.append(cost.astype(np.float32))
    return result


def _costlier(
    counts: NgramCounts,
    kept: Sequence[np.ndarray],
    costs: Sequence[np.ndarray],
    threshold: float,
) -> list[np.ndarray]:
    """Return which n-grams cost at least `threshold`, or are needed by such.

    The first and the last n-1 units of a kept n-gram are kept as well: the latter too, for KenLM
    and others expect them and they pay for themselves.
    """
    result = [keep.copy() for keep in kept]
    needed = np.zeros(len(counts.tables[-1]), bool)
    for n in range(counts.order, 1, -1):
        table = counts.tables[n - 1]
        result[n - 1] &= needed | (costs[n - 2] >= threshold)
        needed = np.zeros(len(counts.tables[n - 2]), bool)
        needed[table.context[result[n - 1]]] = True
        needed[table.suffix[result[n - 1]]] = True
    return result


def _prune_cost(
    context: np.ndarray,
    p: np.ndarray,
    below: np.ndarray,
    keep: np.ndarray,
    frequency: np.ndarray,
) -> np.ndarray:
    """Return the relative growth of perplexity when one n-gram alone is dropped."""
    contexts = len(frequency)
    left = 1.0 - np.bincount(context[keep], p[keep], minlength=contexts)
    free = 1.0 - np.bincount(context[keep], below[keep], minlength=contexts)
    left, free = np.maximum(left, _TINY)[context], np.maximum(free, _TINY)[context]
    p, below = np.maximum(p, 1e-300), np.maximum(below, 1e-300)
    new_log = np.log(left + p) - np.log(free + below)
    change = new_log - np.log(left / free)
    loss = p * (np.log(below) + new_log - np.log(p)) + left * change
    return np.expm1(np.maximum(-frequency[context] * loss, 0.0))


def compact(
    vocabulary: Vocabulary,
    counts: NgramCounts,
    probabilities: Sequence[np.ndarray],
    kept: Sequence[np.ndarray],
) -> NgramModel:
    """Make the model of the kept n-grams; their contexts must be kept too."""
    weights = (weight for weight, _ in backoff_weights(counts, probabilities, kept))
    orders = []
    place = np.zeros(1, np.int32)
    for n, table in enumerate(counts.tables, 1):
        keep = kept[n - 1]
        with np.errstate(divide="ignore"):
            logp = np.maximum(np.log(probabilities[n - 1][keep]), LOG_ZERO)
            backoff = (
                np.maximum(np.log(next(weights)[keep]), LOG_ZERO)
                if n < counts.order
                else np.zeros(len(logp))
            )
        orders.append(
            NgramOrder(
                context=place[table.context[keep]],
                word=table.word[keep],
                logp=logp.astype(np.float32),
                backoff=backoff.astype(np.float32),
            )
        )
        place = (np.cumsum(keep) - 1).astype(np.int32)
    while len(orders) > 1 and len(orders[-1]) == 0:
        orders.pop()
    return NgramModel(vocabulary, tuple(orders))
