"""The inner loops of the search on a static graph (numba): one frame of tokens to the next.

Arrays are taken out of their bundles before each loop and passed one by one within it: numba counts
references to what it takes out of a bundle, which cost a third of the time.

Every state has at most one token. A frame is two steps: tokens move along arcs that take the frame,
then along those that take none, level by level (a non-emitting state's level is the longest way to
it), so that each token is complete before its arcs are followed. Arcs are sorted by cost: a state's
walk ends at the first arc that cannot pass.

What a token's path has said is a record (:mod:`asr.decoder.static_records`). The record of a unit
is written only when the path goes on into the next frame; most do not.
"""

from __future__ import annotations

from typing import Any

import numba as nb
import numpy as np

from asr.decoder.graph_rows import (
    BEGINS,
    COST,
    FIRST,
    LOOP,
    LOOP_COST,
    PAUSES,
    PDF,
    PDF_MASK,
    SILENT,
    TARGET,
    UNIT,
)  # fmt: skip
from asr.decoder.growing import resolve
from asr.decoder.prefetch import prefetch
from asr.decoder.records import PAUSE
from asr.decoder.selection import largest
from asr.decoder.static_pruning import NEGATIVE, kth_best, survivors
from asr.decoder.static_records import (
    COUNT,
    EMITTING,
    FRAME,
    FULL,
    GRAPH_FULL,
    LEVEL,
    MADE,
    NEEDS_ARCS,
    RECORDS_FULL,
    ROW,
    SIDE,
    TOKEN,
    TOKENS_FULL,
    alike,
    holds,
    union,
    write,
)

#: More records than the step along one arc may make.
RECORDS_PER_ARC = 4
#: How many tokens ahead memory is asked for.
AHEAD = 12
UNWRITTEN = -2


@nb.njit(cache=True, nogil=True)
def close(
    graph: Any,
    options: Any,
    tokens: Any,
    trail: Any,
    at: Any,
    side: int,
    cutoff: float,
    frame: int,
) -> int:
    """Follow arcs that take no frame from the tokens on ``side``; 0, or what ran full.

    at: ``EMITTING`` tokens are there before; ``COUNT`` and ``MADE`` are set. At a state whose
    arcs are yet to be composed (its first one is negative) it stops, to be called again.
    """
    states, arcs, costs = graph.states, graph.arcs, graph.arc_floats
    place, heads = tokens.place, tokens.heads
    state_of, scores, link = tokens.state[side], tokens.score[side], tokens.link[side]
    start_of, source_of = tokens.start[side], tokens.source[side]
    record_of, unit_of = tokens.record[side], tokens.unit[side]
    lattice_beam = options.lattice_beam
    records, losses = trail.records, trail.losses
    last_room = len(losses) - RECORDS_PER_ARC
    room = len(state_of)
    emitting, made = at[EMITTING], at[MADE]
    end_row, end_field = np.uintp(graph.end_row), np.uintp(graph.end_field)
    count = emitting
    level = -1
    i: Any = 0
    if at[LEVEL] > 0:
        level, i, count = at[LEVEL] - 2, np.intp(at[TOKEN]), at[COUNT]
        at[LEVEL] = 0
    else:
        heads[:] = -1
    while True:
        if level < 0:  # first the emitting tokens, then level after level
            if i == emitting:
                level, i = 0, np.intp(heads[0])
                continue
            if i + AHEAD < emitting:
                ahead = np.uintp(state_of[i + AHEAD])
                prefetch(arcs, np.intp(states[ahead, SILENT]))
        elif i < 0:
            level += 1
            if level == len(heads):
                break
            i = np.intp(heads[level])
            continue
        state = np.uintp(state_of[i])
        if states[state, FIRST] < 0:
            at[LEVEL], at[TOKEN], at[COUNT], at[MADE] = level + 2, i, count, made
            return NEEDS_ARCS
        arc, last = np.uintp(states[state, SILENT]), np.uintp(states[state + end_row, end_field])
        score = scores[i]
        while arc < last:
            new = score - costs[arc, COST]
            if new < cutoff:
                break
            if made > last_room:
                return RECORDS_FULL
            target = np.uintp(arcs[arc, TARGET])
            unit = arcs[arc, UNIT]
            level_of = arcs[arc, PDF]
            arc += np.uintp(1)
            root = source_of[i]
            if unit >= 0 and unit_of[root] >= 0:
                made = write(records, made, record_of[root], -1, unit_of[root], start_of[root])
                record_of[root] = made - 1
                unit_of[root] = -1
            there: Any = np.intp(place[target])
            if there >= count or state_of[there] != target:
                if count == room:
                    return TOKENS_FULL
                there = count
                count += 1
                place[target] = there
                state_of[there] = target
                link[there] = heads[level_of]
                heads[level_of] = there
            else:
                gap = new - scores[there]
                if gap <= 0 and (gap < -lattice_beam or lattice_beam < 0):
                    continue
                if abs(gap) <= lattice_beam:
                    if unit >= 0 or root != source_of[there]:
                        for source in (root, source_of[there]):
                            if unit_of[source] >= 0:
                                made = write(
                                    records, made, record_of[source], -1, unit_of[source],
                                    start_of[source],
                                )  # fmt: skip
                                record_of[source] = made - 1
                                unit_of[source] = -1
                        mine, yours = record_of[root], record_of[source_of[there]]
                        if unit >= 0:
                            made = write(records, made, mine, -1, unit, start_of[i])
                            mine = made - 1
                        if gap > 0:
                            if not alike(records, mine, yours):
                                made = union(records, losses, made, mine, yours, frame, gap)
                                mine = made - 1
                            scores[there] = new
                            start_of[there] = start_of[i]
                            yours = mine
                        elif not holds(records, yours, mine):
                            made = union(records, losses, made, yours, mine, frame, -gap)
                            yours = made - 1
                        record_of[there] = yours
                        unit_of[there] = -1
                        source_of[there] = there
                        continue
                    if gap <= 0:
                        continue
            scores[there] = new
            start_of[there] = start_of[i]
            if unit < 0 and unit_of[root] >= 0:
                source_of[there] = root
                unit_of[there] = -1
            else:
                source_of[there] = there
                record_of[there] = record_of[root]
                unit_of[there] = unit
        i = i + 1 if level < 0 else np.intp(link[i])
    at[COUNT] = count
    at[MADE] = made
    return 0


@nb.njit(cache=True, nogil=True)
def step(graph: Any, options: Any, tokens: Any, trail: Any, row: Any, at: Any) -> int:
    """Move all tokens along arcs that take the frame, to the other side; 0, or what ran full.

    at: sets ``EMITTING`` (not yet pruned) and ``MADE``.
    """
    side, made, frame = at[SIDE], at[MADE], at[FRAME]
    other = 1 - side
    states, loop_costs = graph.states, graph.state_floats
    arcs, costs = graph.arcs, graph.arc_floats
    growing = graph.growing
    table, filled, lm, lm_floats = growing.table, growing.filled, growing.lm, growing.lm_floats
    lexicon, lexicon_floats = growing.lexicon, growing.lexicon_floats
    entries, entry_floats = growing.entries, growing.entry_floats
    place = tokens.place
    old_state, old_score, old_start = tokens.state[side], tokens.score[side], tokens.start[side]
    old_record, unit_of, source_of = tokens.record[side], tokens.unit[side], tokens.source[side]
    state_of, scores = tokens.state[other], tokens.score[other]
    record_of, start_of = tokens.record[other], tokens.start[other]
    beam, lattice_beam = options.beam, options.lattice_beam
    room = len(state_of)
    records, losses = trail.records, trail.losses
    last_room = len(losses) - RECORDS_PER_ARC
    emitting = at[EMITTING]
    count = at[COUNT]
    row_best = largest(row)
    bound = NEGATIVE
    for i in range(min(AHEAD, count)):
        prefetch(states, np.intp(old_state[i]))
    for i in range(emitting):
        if i + AHEAD < count:
            prefetch(states, np.intp(old_state[i + AHEAD]))
        state = np.uintp(old_state[i])
        stay = old_score[i] + row[np.uintp(states[state, LOOP])] - loop_costs[state, LOOP_COST]
        bound = max(bound, stay - beam)
    grown = 0
    limit = 2 * options.max_active
    for i in range(count):
        if i + AHEAD < count:
            later = np.uintp(old_state[i + AHEAD])
            prefetch(arcs, np.intp(states[later, FIRST]))
            prefetch(place, np.intp(later))
        if grown > limit:
            bound = max(bound, kth_best(scores, grown, options.max_active))
            limit = grown + options.max_active // 2
        state = np.uintp(old_state[i])
        score = old_score[i]
        start = old_start[i]
        mine = UNWRITTEN
        first = np.uintp(states[state, FIRST])
        last = np.uintp(states[state, SILENT])
        arc = first
        loops = i < emitting  # the self-loop comes before the first arc
        while loops or arc < last:
            flags = 0
            unit = -1
            if loops:
                loops = False
                target = state
                new = score - loop_costs[state, LOOP_COST] + row[np.uintp(states[state, LOOP])]
            else:
                hope = score - costs[arc, COST]
                if hope + row_best <= bound:
                    break
                flags = arcs[arc, PDF]
                new = hope + row[np.uintp(flags & PDF_MASK)]
                if new <= bound:
                    arc += np.uintp(1)
                    continue
                number = arcs[arc, TARGET]
                if number < 0:
                    number = resolve(
                        table, filled, lexicon, lexicon_floats, lm, lm_floats, entries,
                        entry_floats, states, loop_costs, state, -1 - number,
                    )  # fmt: skip
                    if number < 0:
                        at[MADE] = made
                        return GRAPH_FULL
                    arcs[arc, TARGET] = number
                target = np.uintp(number)
                unit = arcs[arc, UNIT]
                arc += np.uintp(1)
            if new <= bound:
                continue
            there: Any = np.intp(place[target])
            gap = 0.0
            fresh = there >= grown or state_of[there] != target
            if not fresh:
                gap = new - scores[there]
                if gap <= 0 and (gap < -lattice_beam or lattice_beam < 0):
                    continue
            if made > last_room:
                at[MADE] = made  # what was written down of the old tokens is theirs for good
                return RECORDS_FULL
            if mine == UNWRITTEN:
                source = source_of[i]
                if unit_of[source] >= 0:
                    mine = made
                    made = write(
                        records, made, old_record[source], -1, unit_of[source], old_start[source]
                    )
                    old_record[source] = mine
                    unit_of[source] = -1
                mine = old_record[source]
            said = mine
            began = start
            if unit >= 0:
                made = write(records, made, said, -1, unit, start)
                said = made - 1
            if flags & PAUSES:
                made = write(records, made, said, -1, PAUSE, frame)
                said = made - 1
            if flags & BEGINS:
                began = frame
            if fresh:
                if grown == room:
                    at[MADE] = made
                    return TOKENS_FULL
                there = grown
                grown += 1
                place[target] = there
                state_of[there] = target
            elif abs(gap) <= lattice_beam:
                yours = record_of[there]
                if gap > 0:
                    if not alike(records, said, yours):
                        made = union(records, losses, made, said, yours, frame, gap)
                        said = made - 1
                else:
                    if not holds(records, yours, said):
                        made = union(records, losses, made, yours, said, frame, -gap)
                        record_of[there] = made - 1
                    continue
            scores[there] = new
            record_of[there] = said
            start_of[there] = began
            bound = max(bound, new - beam)
    at[EMITTING] = grown
    at[MADE] = made
    return 0


@nb.njit(cache=True, nogil=True)
def enter_frame(
    graph: Any, options: Any, tokens: Any, trail: Any, row: Any, at: Any
) -> tuple[int, float]:
    """Move tokens into a frame, on the other side, and prune; what ran full or 0, the cutoff."""
    full = step(graph, options, tokens, trail, row, at)
    if full != 0:
        return full, 0.0
    at[EMITTING], cutoff = survivors(tokens, 1 - at[SIDE], at[EMITTING], options)
    return 0, cutoff


@nb.njit(cache=True, nogil=True)
def leave_frame(at: Any, full: int, emitting: int, count: int) -> None:
    """Go on to the next frame; where something ran full, back to the tokens before this one."""
    at[FULL] = full
    if full != 0:
        at[EMITTING], at[COUNT] = emitting, count
        return
    at[SIDE] = 1 - at[SIDE]
    at[ROW] += 1
    at[FRAME] += 1


@nb.njit(cache=True, nogil=True)
def advance(graph: Any, options: Any, tokens: Any, trail: Any, loglikes: Any, at: Any) -> None:
    """Search through ``loglikes`` (float32 [T, pdfs]) from row ``at[ROW]`` on.

    ``at`` (int64, fields numbered above) is where the search stands, in and out. When records or
    tokens run full, the frame is abandoned and ``at[FULL]`` says which; the tokens before it are
    intact, to be called again with more room.
    """
    while at[ROW] < len(loglikes) and at[FULL] == 0:
        emitting, count = at[EMITTING], at[COUNT]
        full, cutoff = enter_frame(graph, options, tokens, trail, loglikes[at[ROW]], at)
        if full == 0:
            side = 1 - at[SIDE]
            full = close(graph, options, tokens, trail, at, side, cutoff, at[FRAME] + 1)
        leave_frame(at, full, emitting, count)
