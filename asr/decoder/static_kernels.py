"""The inner loops of the search on a static graph (numba): one frame of tokens to the next.

Every state has at most one token. A frame is two steps: tokens move along arcs that take the frame,
then along those that take none, level by level (a non-emitting state's level is the longest way to
it), so that each token is complete before its arcs are followed. Arcs are sorted by cost: a state's
walk ends at the first arc that cannot pass.

What a token's path has said is a record (:mod:`asr.decoder.records`). The record of a unit is
written only when the path goes on into the next frame; most do not.
"""

from __future__ import annotations

from typing import Any

import numba as nb
import numpy as np

from asr.decoder.records import PAUSE, UNION, add_event, add_union

NEGATIVE = -1e30
#: Fields of a state's row: its first arc, its first arc that takes no frame, self-loop pdf, and (as
#: float32) what a further frame costs.
FIRST, SILENT, LOOP, LOOP_COST = range(4)
#: Fields of an arc's row: target, cost (as float32), pdf of the target (with flags) or the target's
#: level, unit.
TARGET, COST, PDF, UNIT = range(4)
PDF_MASK = (1 << 20) - 1
BEGINS = 1 << 20  # flag of an arc on which a unit begins
PAUSES = 1 << 21  # flag of an arc into a pause
#: Where a search stands: the next row of scores, the frame, its emitting tokens, all its tokens,
#: the records made, which side of the token arrays holds the tokens, and what ran full.
ROW, FRAME, EMITTING, COUNT, MADE, SIDE, FULL = range(7)
RECORDS_FULL, TOKENS_FULL = 1, 2
#: More records than the step along one arc may make.
RECORDS_PER_ARC = 4
#: How far down a union's better side an equal history is looked for.
DEPTH = 4


@nb.njit(cache=True, nogil=True, inline="always")
def _alike(records: Any, one: int, other: int) -> bool:
    """Whether two records say the same after the same history (they may differ in their ends)."""
    return one == other or (
        one >= 0
        and other >= 0
        and records.unit[one] == records.unit[other]
        and records.unit[one] != UNION
        and records.previous[one] == records.previous[other]
        and records.start[one] == records.start[other]
    )


@nb.njit(cache=True, nogil=True, inline="always")
def _holds(records: Any, record: int, other: int) -> bool:
    """Whether the best history of ``record`` is that of ``other``, as far as is quickly seen."""
    for _ in range(DEPTH):
        if _alike(records, record, other):
            return True
        if record < 0 or records.unit[record] != UNION:
            return False
        record = records.previous[record]
    return False


@nb.njit(cache=True, nogil=True, inline="always")
def _written(tokens: Any, records: Any, side: int, token: int, made: int) -> tuple[int, int]:
    """A token's record, written now if it was not yet; and the next record's number."""
    source = tokens.source[side, token]
    if tokens.unit[side, source] >= 0:
        made = add_event(
            records, made, tokens.record[side, source], tokens.unit[side, source],
            tokens.start[side, source], 0.0, 0.0,
        )  # fmt: skip
        tokens.record[side, source] = made - 1
        tokens.unit[side, source] = -1
    return tokens.record[side, source], made


@nb.njit(cache=True, nogil=True)
def _kth_best(scores: Any, count: int, k: int) -> float:
    return float(np.partition(scores[:count], count - k)[count - k])


@nb.njit(cache=True, nogil=True)
def close(graph: Any, options: Any, tokens: Any, records: Any, at: Any, side: int, cutoff: float,
          frame: int) -> int:  # fmt: skip
    """Follow arcs that take no frame from the tokens on ``side``; 0, or what ran full.

    at: ``EMITTING`` tokens are there before; ``COUNT`` and ``MADE`` are set.
    """
    states, costs = graph.states, graph.arc_floats
    arcs, place = graph.arcs, tokens.place
    emitting, made = at[EMITTING], at[MADE]
    count = emitting
    heads = tokens.heads
    heads[:] = -1
    lattice_beam = options.lattice_beam
    level, i = -1, 0
    while True:
        if level < 0:  # first the emitting tokens, then level after level
            if i == emitting:
                level, i = 0, heads[0]
                continue
        elif i < 0:
            level += 1
            if level == len(heads):
                break
            i = heads[level]
            continue
        state = tokens.state[side, i]
        score = tokens.score[side, i]
        for arc in range(states[state, SILENT], states[state + 1, FIRST]):
            new = score - costs[arc, COST]
            if new < cutoff:
                break
            if made + RECORDS_PER_ARC > len(records.unit):
                return RECORDS_FULL
            target = arcs[arc, TARGET]
            unit = arcs[arc, UNIT]
            root = tokens.source[side, i]
            if unit >= 0 and tokens.unit[side, root] >= 0:
                _, made = _written(tokens, records, side, i, made)
            there = place[target]
            if there >= count or tokens.state[side, there] != target:
                if count == tokens.state.shape[1]:
                    return TOKENS_FULL
                there = count
                count += 1
                place[target] = there
                tokens.state[side, there] = target
                group = arcs[arc, PDF]
                tokens.link[side, there] = heads[group]
                heads[group] = there
            else:
                gap = new - tokens.score[side, there]
                if gap <= 0 and (gap < -lattice_beam or lattice_beam < 0):
                    continue
                if abs(gap) <= lattice_beam:
                    same = unit < 0 and root == tokens.source[side, there]
                    if not same:
                        mine, made = _written(tokens, records, side, i, made)
                        if unit >= 0:
                            made = add_event(
                                records, made, mine, unit, tokens.start[side, i], 0.0, 0.0
                            )
                            mine = made - 1
                        yours, made = _written(tokens, records, side, there, made)
                        if gap > 0:
                            if not _alike(records, mine, yours):
                                made = add_union(records, made, mine, yours, frame, gap)
                                mine = made - 1
                            tokens.score[side, there] = new
                            tokens.start[side, there] = tokens.start[side, i]
                            yours = mine
                        elif not _holds(records, yours, mine):
                            made = add_union(records, made, yours, mine, frame, -gap)
                            yours = made - 1
                        tokens.record[side, there] = yours
                        tokens.unit[side, there] = -1
                        tokens.source[side, there] = there
                        continue
                    if gap <= 0:
                        continue
            tokens.score[side, there] = new
            tokens.start[side, there] = tokens.start[side, i]
            if unit < 0 and tokens.unit[side, root] >= 0:
                tokens.source[side, there] = root
                tokens.unit[side, there] = -1
            else:
                tokens.source[side, there] = there
                tokens.record[side, there] = tokens.record[side, root]
                tokens.unit[side, there] = unit
        i = i + 1 if level < 0 else tokens.link[side, i]
    at[COUNT] = count
    at[MADE] = made
    return 0


@nb.njit(cache=True, nogil=True)
def _survivors(tokens: Any, side: int, count: int, options: Any) -> tuple[int, float]:
    """Drop the tokens outside the beam or beyond ``max_active``; how many stay, and the cutoff."""
    scores = tokens.score[side]
    best = NEGATIVE
    for i in range(count):
        best = max(best, scores[i])
    cutoff = best - options.beam
    if count > options.max_active:
        cutoff = max(cutoff, _kth_best(scores, count, options.max_active))
    kept = 0
    for i in range(count):
        if scores[i] >= cutoff:
            if kept < i:
                tokens.state[side, kept] = tokens.state[side, i]
                scores[kept] = scores[i]
                tokens.record[side, kept] = tokens.record[side, i]
                tokens.start[side, kept] = tokens.start[side, i]
                tokens.place[tokens.state[side, i]] = kept
            tokens.source[side, kept] = kept
            tokens.unit[side, kept] = -1
            kept += 1
    return kept, cutoff


@nb.njit(cache=True, nogil=True)
def _step(graph: Any, options: Any, tokens: Any, records: Any, row: Any, at: Any) -> int:
    """Move all tokens along arcs that take the frame, to the other side; 0, or what ran full.

    at: sets ``EMITTING`` (not yet pruned) and ``MADE``.
    """
    side, made, frame = at[SIDE], at[MADE], at[FRAME]
    other = 1 - side
    states, loop_costs = graph.states, graph.state_floats
    arcs, costs = graph.arcs, graph.arc_floats
    place = tokens.place
    scores = tokens.score[other]
    beam, lattice_beam = options.beam, options.lattice_beam
    room = tokens.state.shape[1]
    emitting = at[EMITTING]
    row_best = row.max()
    bound = NEGATIVE
    for i in range(emitting):
        state = tokens.state[side, i]
        stay = tokens.score[side, i] + row[states[state, LOOP]] - loop_costs[state, LOOP_COST]
        bound = max(bound, stay - beam)
    grown = 0
    limit = 2 * options.max_active
    for i in range(at[COUNT]):
        if grown > limit:
            bound = max(bound, _kth_best(scores, grown, options.max_active))
            limit = grown + options.max_active // 2
        state = tokens.state[side, i]
        score = tokens.score[side, i]
        arc = states[state, FIRST] - 1  # the self-loop comes before the first arc
        last = states[state, SILENT]
        if i >= emitting:
            arc += 1
        while arc < last:
            flags = 0
            if arc < states[state, FIRST]:
                target = state
                new = score - loop_costs[state, LOOP_COST] + row[states[state, LOOP]]
            else:
                hope = score - costs[arc, COST]
                if hope + row_best <= bound:
                    break
                flags = arcs[arc, PDF]
                new = hope + row[flags & PDF_MASK]
                target = arcs[arc, TARGET]
            here = arc
            arc += 1
            if new <= bound:
                continue
            there = place[target]
            gap = 0.0
            fresh = there >= grown or tokens.state[other, there] != target
            if not fresh:
                gap = new - scores[there]
                if gap <= 0 and (gap < -lattice_beam or lattice_beam < 0):
                    continue
            if made + RECORDS_PER_ARC > len(records.unit):
                at[MADE] = made  # what was written down of the old tokens is theirs for good
                return RECORDS_FULL
            mine, made = _written(tokens, records, side, i, made)
            start = tokens.start[side, i]
            if here >= states[state, FIRST]:
                if arcs[here, UNIT] >= 0:
                    made = add_event(records, made, mine, arcs[here, UNIT], start, 0.0, 0.0)
                    mine = made - 1
                if flags & PAUSES:
                    made = add_event(records, made, mine, PAUSE, frame, 0.0, 0.0)
                    mine = made - 1
                if flags & BEGINS:
                    start = frame
            if fresh:
                if grown == room:
                    at[MADE] = made
                    return TOKENS_FULL
                there = grown
                grown += 1
                place[target] = there
                tokens.state[other, there] = target
            elif abs(gap) <= lattice_beam:
                yours = tokens.record[other, there]
                if gap > 0:
                    if not _alike(records, mine, yours):
                        made = add_union(records, made, mine, yours, frame, gap)
                        mine = made - 1
                else:
                    if not _holds(records, yours, mine):
                        made = add_union(records, made, yours, mine, frame, -gap)
                        tokens.record[other, there] = made - 1
                    continue
            scores[there] = new
            tokens.record[other, there] = mine
            tokens.start[other, there] = start
            bound = max(bound, new - beam)
    at[EMITTING] = grown
    at[MADE] = made
    return 0


@nb.njit(cache=True, nogil=True)
def advance(graph: Any, options: Any, tokens: Any, records: Any, loglikes: Any, at: Any) -> None:
    """Search through ``loglikes`` (float32 [T, pdfs]) from row ``at[ROW]`` on.

    ``at`` (int64, fields numbered above) is where the search stands, in and out. When records or
    tokens run full, the frame is abandoned and ``at[FULL]`` says which; the tokens before it are
    intact, to be called again with more room.
    """
    emitting = at[EMITTING]
    while at[ROW] < len(loglikes):
        emitting = at[EMITTING]
        full = _step(graph, options, tokens, records, loglikes[at[ROW]], at)
        if full == 0:
            other = 1 - at[SIDE]
            kept, cutoff = _survivors(tokens, other, at[EMITTING], options)
            count, at[EMITTING] = at[COUNT], kept
            full = close(graph, options, tokens, records, at, other, cutoff, at[FRAME] + 1)
            if full != 0:
                at[COUNT] = count
        if full != 0:
            at[EMITTING] = emitting
            at[FULL] = full
            return
        at[SIDE] = 1 - at[SIDE]
        at[ROW] += 1
        at[FRAME] += 1


@nb.njit(cache=True, nogil=True)
def collect(tokens: Any, records: Any, at: Any) -> None:
    """Keep only the records that a token's history holds, in their order."""
    made, side = at[MADE], at[SIDE]
    number = np.full(made, -1, np.int32)
    for i in range(at[COUNT]):
        if tokens.source[side, i] == i and tokens.record[side, i] >= 0:
            number[tokens.record[side, i]] = 0
    for r in range(made - 1, -1, -1):
        if number[r] == 0:
            if records.previous[r] >= 0:
                number[records.previous[r]] = 0
            if records.other[r] >= 0:
                number[records.other[r]] = 0
    kept = 0
    for r in range(made):
        if number[r] < 0:
            continue
        number[r] = kept
        previous, other = records.previous[r], records.other[r]
        records.previous[kept] = number[previous] if previous >= 0 else -1
        records.other[kept] = number[other] if other >= 0 else -1
        records.unit[kept] = records.unit[r]
        records.start[kept] = records.start[r]
        records.lm[kept] = records.lm[r]
        records.bonus[kept] = records.bonus[r]
        records.loss[kept] = records.loss[r]
        kept += 1
    for i in range(at[COUNT]):
        if tokens.source[side, i] == i and tokens.record[side, i] >= 0:
            tokens.record[side, i] = number[tokens.record[side, i]]
    at[MADE] = kept


@nb.njit(cache=True, nogil=True)
def write_all(tokens: Any, records: Any, at: Any) -> int:
    """Write the record of every token, so that all of them are readable; 0, or what ran full."""
    side, made = at[SIDE], at[MADE]
    for i in range(at[COUNT]):
        if made + RECORDS_PER_ARC > len(records.unit):
            at[MADE] = made
            return RECORDS_FULL
        record, made = _written(tokens, records, side, i, made)
        if tokens.source[side, i] != i:
            tokens.record[side, i] = record
            tokens.source[side, i] = i
    at[MADE] = made
    return 0
