"""The records of the search on a static graph: written in its loops, and thinned out.

Rows as in :class:`asr.decoder.records.Trail`; a union's loss lies in an array of its own, and there
are no scores of the language model, which a static graph does not tell apart.
"""

from __future__ import annotations

from typing import Any

import numba as nb
import numpy as np

from asr.decoder.records import OTHER, PREVIOUS, SAID, START, UNION

#: Where a search stands: the next row of scores, the frame, its emitting tokens, all its tokens,
#: the records made, which side of the token arrays holds the tokens, what ran full; and where
#: to go on along arcs that take no frame: level + 2 (0: from the beginning) and token.
ROW, FRAME, EMITTING, COUNT, MADE, SIDE, FULL, LEVEL, TOKEN = range(9)
RECORDS_FULL, TOKENS_FULL, NEEDS_ARCS, GRAPH_FULL = 1, 2, 3, 4
#: How far down a union's better side an equal history is looked for.
DEPTH = 4


@nb.njit(cache=True, nogil=True)
def alike(records: Any, one: int, other: int) -> bool:
    """Whether two records say the same after the same history (they may differ in their ends)."""
    if one == other:
        return True
    if one < 0 or other < 0:
        return False
    return bool(
        records[one, SAID] == records[other, SAID]
        and records[one, SAID] != UNION
        and records[one, PREVIOUS] == records[other, PREVIOUS]
        and records[one, START] == records[other, START]
    )


@nb.njit(cache=True, nogil=True)
def holds(records: Any, record: int, other: int) -> bool:
    """Whether the best history of ``record`` is that of ``other``, as far as is quickly seen."""
    for _ in range(DEPTH):
        if alike(records, record, other):
            return True
        if record < 0 or records[record, SAID] != UNION:
            return False
        record = records[record, PREVIOUS]
    return False


@nb.njit(cache=True, nogil=True)
def write(records: Any, made: int, previous: int, other: int, said: int, start: int) -> int:
    """Write record ``made``; the next number."""
    records[made, PREVIOUS] = previous
    records[made, OTHER] = other
    records[made, SAID] = said
    records[made, START] = start
    return made + 1


@nb.njit(cache=True, nogil=True)
def union(
    records: Any, losses: Any, made: int, better: int, worse: int, frame: int, loss: float
) -> int:
    """Write record ``made``: two histories met, one of them ``loss`` worse; the next number."""
    losses[made] = loss
    return write(records, made, better, worse, UNION, frame)


@nb.njit(cache=True, nogil=True)
def collect(tokens: Any, trail: Any, at: Any) -> None:
    """Keep only the records that a token's history holds, in their order."""
    records, losses = trail.records, trail.losses
    made, side = at[MADE], at[SIDE]
    record_of, source_of = tokens.record[side], tokens.source[side]
    number = np.full(made, -1, np.int32)
    for i in range(at[COUNT]):
        if source_of[i] == i and record_of[i] >= 0:
            number[record_of[i]] = 0
    for r in range(made - 1, -1, -1):
        if number[r] == 0:
            for field in (PREVIOUS, OTHER):
                if records[r, field] >= 0:
                    number[records[r, field]] = 0
    kept = 0
    for r in range(made):
        if number[r] < 0:
            continue
        number[r] = kept
        for field in (PREVIOUS, OTHER):
            before = records[r, field]
            records[kept, field] = number[before] if before >= 0 else -1
        records[kept, SAID] = records[r, SAID]
        records[kept, START] = records[r, START]
        losses[kept] = losses[r]
        kept += 1
    for i in range(at[COUNT]):
        if source_of[i] == i and record_of[i] >= 0:
            record_of[i] = number[record_of[i]]
    at[MADE] = kept


@nb.njit(cache=True, nogil=True)
def write_all(tokens: Any, trail: Any, at: Any) -> int:
    """Write the record of every token, so that all of them are readable; 0, or what ran full."""
    side, made = at[SIDE], at[MADE]
    start_of, unit_of = tokens.start[side], tokens.unit[side]
    record_of, source_of = tokens.record[side], tokens.source[side]
    for i in range(at[COUNT]):
        if made == len(trail.losses):
            at[MADE] = made
            return RECORDS_FULL
        source = source_of[i]
        if unit_of[source] >= 0:
            made = write(
                trail.records, made, record_of[source], -1, unit_of[source], start_of[source]
            )
            record_of[source] = made - 1
            unit_of[source] = -1
        record_of[i] = record_of[source]
        source_of[i] = i
    at[MADE] = made
    return 0
