"""Loops over a lattice of records (numba): pruning, the N best texts, rescoring, posteriors.

All rely on the records' order: ``previous`` and ``other`` come before their record.
"""

from __future__ import annotations

from typing import Any

import numba as nb
import numpy as np

from asr.decoder.lm_kernels import lm_step
from asr.decoder.records import UNION, Records

HASH_FACTOR = 0x1E3779B97F4A7C15


@nb.njit(cache=True, nogil=True)
def prune(
    records: Any, made: int, end_record: Any, end_score: Any, beam: float
) -> tuple[Records, Any]:
    """Keep the records of paths at most ``beam`` worse than the best; number them anew from 1.

    Number 0 is the beginning, before anything was said. Returns the records and each ending's one.
    """
    value = np.full(made, -np.inf)
    best = end_score.max()
    for i in range(len(end_record)):
        if end_record[i] >= 0:
            value[end_record[i]] = max(value[end_record[i]], end_score[i] - best)
    kept = 1
    for r in range(made - 1, -1, -1):
        if value[r] < -beam:
            continue
        kept += 1
        if records.previous[r] >= 0:
            value[records.previous[r]] = max(value[records.previous[r]], value[r])
        other = records.other[r]
        if records.unit[r] == UNION and other >= 0:
            value[other] = max(value[other], value[r] - records.loss[r])
    result = Records(
        np.zeros(kept, np.int32), np.full(kept, -1, np.int32), np.full(kept, UNION, np.int32),
        np.zeros(kept, np.int32), np.zeros(kept, np.float32), np.zeros(kept, np.float32),
        np.zeros(kept, np.float32),
    )  # fmt: skip
    result.previous[0] = -1
    place = np.zeros(made, np.int32)
    n = 1
    for r in range(made):
        if value[r] < -beam:
            continue
        previous = 0 if records.previous[r] < 0 else place[records.previous[r]]
        if records.unit[r] == UNION:
            other = 0 if records.other[r] < 0 else place[records.other[r]]
            if value[r] - records.loss[r] < -beam or other == previous:
                place[r] = previous  # nothing is left to choose
                continue
            result.other[n] = other
        place[r] = n
        result.previous[n] = previous
        result.unit[n] = records.unit[r]
        result.start[n] = records.start[r]
        result.lm[n] = records.lm[r]
        result.bonus[n] = records.bonus[r]
        result.loss[n] = records.loss[r]
        n += 1
    ends = np.zeros(len(end_record), np.int32)
    for i in range(len(end_record)):
        ends[i] = 0 if end_record[i] < 0 else place[end_record[i]]
    return Records(
        result.previous[:n], result.other[:n], result.unit[:n], result.start[:n],
        result.lm[:n], result.bonus[:n], result.loss[:n],
    ), ends  # fmt: skip


@nb.njit(cache=True, nogil=True)
def _insert(
    cost: Any, text: Any, back: Any, state: Any, count: int,
    new_cost: float, new_text: int, new_back: int, new_state: int,
) -> int:  # fmt: skip
    """Put an entry into a list that ascends by cost and holds each text once; its new length."""
    for k in range(count):
        if text[k] == new_text:
            if cost[k] <= new_cost:
                return count
            for j in range(k, count - 1):
                cost[j], text[j], back[j], state[j] = (
                    cost[j + 1], text[j + 1], back[j + 1], state[j + 1],
                )  # fmt: skip
            count -= 1
            break
    if count == len(cost):
        if cost[count - 1] <= new_cost:
            return count
        count -= 1
    k = count
    while k > 0 and cost[k - 1] > new_cost:
        cost[k], text[k], back[k], state[k] = cost[k - 1], text[k - 1], back[k - 1], state[k - 1]
        k -= 1
    cost[k], text[k], back[k], state[k] = new_cost, new_text, new_back, new_state
    return count + 1


@nb.njit(cache=True, nogil=True)
def spell(text: int, unit: int, unit_begin: Any, unit_symbol: Any) -> int:
    """The hash of a text that goes on with a unit: equal texts have equal hashes, however cut."""
    for place in range(unit_begin[unit], unit_begin[unit + 1]):
        text = (text * HASH_FACTOR + unit_symbol[place] + 1) ^ (text >> 29)
    return text


@nb.njit(cache=True, nogil=True)
def kbest(
    records: Any, width: int, beam: float, unit_begin: Any, unit_symbol: Any,
    lm: Any, lm_start: int, rescore: bool, old_scale: float, new_scale: float,
) -> tuple[Any, Any, Any, Any, Any]:  # fmt: skip
    """The ``width`` best different texts that lead to each record.

    The cost of an entry is what it loses to the best path through its record. With ``rescore``
    the language model's scores (at ``old_scale``) are replaced by those of ``lm``.

    Returns cost float64, text int64 (hash), back int32 (2 · entry of the record before, plus 1
    where that is ``other``), state int32 (of ``lm``), all [N, width], and how many: int32 [N].
    """
    n = len(records.unit)
    cost = np.empty((n, width), np.float64)
    text = np.empty((n, width), np.int64)
    back = np.empty((n, width), np.int32)
    state = np.zeros((n, width), np.int32)
    counts = np.zeros(n, np.int32)
    cost[0, 0], text[0, 0], back[0, 0], state[0, 0] = 0.0, 1, -1, lm_start
    counts[0] = 1
    for r in range(1, n):
        unit = records.unit[r]
        p = records.previous[r]
        count = 0
        for k in range(counts[p]):
            added, following, spelled = 0.0, state[p, k], text[p, k]
            if unit >= 0:
                spelled = spell(spelled, unit, unit_begin, unit_symbol)
                if rescore:
                    logp, following = lm_step(lm, following, unit)
                    added = old_scale * records.lm[r] - new_scale * logp
            count = _insert(cost[r], text[r], back[r], state[r], count,
                            cost[p, k] + added, spelled, 2 * k, following)  # fmt: skip
        if unit == UNION:
            o = records.other[r]
            loss = records.loss[r]
            for k in range(counts[o]):
                count = _insert(cost[r], text[r], back[r], state[r], count,
                                cost[o, k] + loss, text[o, k], 2 * k + 1, state[o, k])  # fmt: skip
        while count > 1 and cost[r, count - 1] > cost[r, 0] + beam:
            count -= 1
        counts[r] = count
    return cost, text, back, state, counts


@nb.njit(cache=True, nogil=True)
def log_sum(a: float, b: float) -> float:
    """log(exp(a) + exp(b))."""
    high, low = max(a, b), min(a, b)
    if low == -np.inf:
        return high
    return high + np.log1p(np.exp(low - high))


@nb.njit(cache=True, nogil=True)
def posteriors(records: Any, end_record: Any, end_score: Any, scale: float) -> Any:
    """The share of all paths that goes through each record: float64 [N].

    Paths weigh exp(scale · score); forward-backward in the log semiring.
    """
    n = len(records.unit)
    forward = np.zeros(n)
    for r in range(1, n):
        forward[r] = forward[records.previous[r]]
        if records.unit[r] == UNION:
            other = forward[records.other[r]] - scale * records.loss[r]
            forward[r] = log_sum(forward[r], other)
    backward = np.full(n, -np.inf)
    total = -np.inf
    best = end_score.max()
    for i in range(len(end_record)):
        weight = scale * (end_score[i] - best)
        backward[end_record[i]] = log_sum(backward[end_record[i]], weight)
        total = log_sum(total, weight + forward[end_record[i]])
    for r in range(n - 1, 0, -1):
        if backward[r] == -np.inf:
            continue
        p = records.previous[r]
        backward[p] = log_sum(backward[p], backward[r])
        if records.unit[r] == UNION:
            o = records.other[r]
            backward[o] = log_sum(backward[o], backward[r] - scale * records.loss[r])
    return np.exp(forward + backward - total)


@nb.njit(cache=True, nogil=True)
def agreement(records: Any, posterior: Any, units: Any, starts: Any, ends: Any, slack: int) -> Any:
    """The share of paths that say each of ``units`` at about the same time: float64 [U].

    Of a record only the start is known: it agrees where that lies within half the unit's length, at
    least ``slack`` frames, of the unit's own start.
    """
    shares = np.zeros(len(units))
    for i in range(len(units)):
        reach = max(slack, (ends[i] - starts[i]) // 2)
        for r in range(1, len(records.unit)):
            if records.unit[r] == units[i] and abs(records.start[r] - starts[i]) <= reach:
                shares[i] += posterior[r]
    return np.minimum(shares, 1.0)
