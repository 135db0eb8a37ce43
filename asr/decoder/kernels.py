"""The inner loops of the beam search (numba): one frame of tokens to the next.

A token is a pair (graph state, LM state) with its best score so far; the graph and the language
model are composed here, on the fly. Scores are natural logs. All arrays are checked and sized by
:mod:`asr.decoder.search`; these functions trust them.
"""

from __future__ import annotations

from typing import Any

import numba as nb
import numpy as np

from asr.graph.lexicon import Kind

VOWEL = int(Kind.VOWEL)
ONSET = int(Kind.ONSET)
SILENCE = int(Kind.SILENCE)
NEGATIVE = np.float32(-1e30)
#: Odd multiplier of the hash tables (fits a signed 64-bit integer, so the product wraps).
HASH = 0x1E3779B97F4A7C15
#: More records than one token can make in a frame: 28 codas, each once more with a pause.
RECORDS_PER_TOKEN = 60
#: Where a search stands: the next row of scores, the frame, the tokens, the records made, and the
#: stamp of the last frame's entries in the hash table.
ROW, FRAME, COUNT, MADE, STAMP = range(5)
#: Record label of a pause.
PAUSE_UNIT = -1


@nb.njit(cache=True, nogil=True)
def _lower_bound(lm: Any, state: int, word: int) -> int:
    """The first arc of an LM state whose word is not below ``word``."""
    low = lm.arc_begin[state]
    high = lm.arc_begin[state + 1]
    while low < high:
        middle = (low + high) >> 1
        if lm.arc_word[middle] < word:
            low = middle + 1
        else:
            high = middle
    return int(low)


@nb.njit(cache=True, nogil=True)
def lm_step(lm: Any, state: int, word: int) -> tuple[float, int]:
    """Log-probability of ``word`` after LM ``state``, and the state that follows."""
    logp = 0.0
    while state != 0:
        place = _lower_bound(lm, state, word)
        if place < lm.arc_begin[state + 1] and lm.arc_word[place] == word:
            return logp + lm.arc_logp[place], lm.arc_next[place]
        logp += lm.backoff_logp[state]
        state = lm.backoff_state[state]
    place = lm.arc_begin[0] + word  # the unigram state holds every word, in order
    return logp + lm.arc_logp[place], lm.arc_next[place]


@nb.njit(cache=True, nogil=True)
def _score_labels(graph: Any, lm: Any, memo: Any, state: int, lm_state: int) -> int:
    """Score all units that a vowel state may spell out (they differ in their codas).

    Returns the memo's row that holds, label by label, what :func:`lm_step` gives. The units ascend,
    as do an LM state's arcs, so one pass along both finds all that the state lists.
    """
    key = (np.int64(lm_state) << 20) | np.int64(graph.labels[state])
    row = ((key * HASH) >> 40) & (len(memo.key) - 1)
    if memo.key[row] == key:
        return int(row)
    memo.key[row] = key
    first = graph.arc_begin[state]
    labels = graph.arc_begin[state + 1] - first
    for label in range(labels):
        memo.following[row, label] = -1
    missing = labels
    backoff = 0.0
    while lm_state != 0 and missing > 0:
        place = _lower_bound(lm, lm_state, graph.arc_unit[first])
        end = lm.arc_begin[lm_state + 1]
        label = 0
        while place < end and label < labels:
            unit = graph.arc_unit[first + label]
            word = lm.arc_word[place]
            if word == unit and memo.following[row, label] < 0:
                memo.logp[row, label] = backoff + lm.arc_logp[place]
                memo.following[row, label] = lm.arc_next[place]
                missing -= 1
            if word <= unit:
                place += 1
            if word >= unit:
                label += 1
        backoff += lm.backoff_logp[lm_state]
        lm_state = lm.backoff_state[lm_state]
    for label in range(labels):
        if memo.following[row, label] < 0:  # the unigram state holds every word, in order
            place = lm.arc_begin[0] + graph.arc_unit[first + label]
            memo.logp[row, label] = backoff + lm.arc_logp[place]
            memo.following[row, label] = lm.arc_next[place]
    return int(row)


@nb.njit(cache=True, nogil=True)
def _put(
    tokens: Any,
    table: Any,
    stamp: int,
    count: int,
    state: int,
    lm_state: int,
    score: float,
    record: int,
    start: int,
) -> int:
    """Add a token or improve the one in the same place; the new number of tokens."""
    key = (np.int64(state) << 32) | np.int64(lm_state)
    mask = len(table.key) - 1
    slot = ((key * HASH) >> 32) & mask
    while table.whose[slot, 2] == stamp:
        if table.key[slot, 0] == key:
            place = table.whose[slot, 3]
            if score > tokens.score[place]:
                tokens.score[place] = score
                tokens.record[place] = record
                tokens.start[place] = start
            return count
        slot = (slot + 1) & mask
    if count == len(tokens.score):
        return count
    table.key[slot, 0] = key
    table.whose[slot, 2] = stamp
    table.whose[slot, 3] = count
    tokens.state[count] = state
    tokens.lm_state[count] = lm_state
    tokens.score[count] = score
    tokens.record[count] = record
    tokens.start[count] = start
    return count + 1


@nb.njit(cache=True, nogil=True)
def _record(records: Any, count: int, previous: int, unit: int, start: int) -> int:
    """Write down that ``unit`` was said (or a pause made) from frame ``start``; its number."""
    records.previous[count] = previous
    records.unit[count] = unit
    records.start[count] = start
    return count


@nb.njit(cache=True, nogil=True)
def _cutoff(tokens: Any, count: int, beam: float, max_active: int) -> float:
    best = NEGATIVE
    for i in range(count):
        best = max(best, tokens.score[i])
    cutoff = best - beam
    if count > max_active:
        kth = np.partition(tokens.score[:count], count - max_active)[count - max_active]
        cutoff = max(cutoff, kth)
    return float(cutoff)


@nb.njit(cache=True, nogil=True)
def _best_stay(graph: Any, tokens: Any, count: int, row: Any, cutoff: float) -> float:
    """The best score of the next frame if every token that is not cut off takes its self-loop."""
    best = NEGATIVE
    for i in range(count):
        if tokens.score[i] >= cutoff:
            best = max(best, tokens.score[i] + row[graph.loop[tokens.state[i]]])
    return float(best)


@nb.njit(cache=True, nogil=True)
def _tightened(spare: Any, grown: int, keep: int, bound: float) -> float:
    """A bound that the ``keep`` best of the new tokens pass: used when there are far too many."""
    return max(bound, float(np.partition(spare.score[:grown], grown - keep)[grown - keep]))


@nb.njit(cache=True, nogil=True)
def advance(
    graph: Any,
    lm: Any,
    options: Any,
    memo: Any,
    table: Any,
    tokens: Any,
    spare: Any,
    records: Any,
    loglikes: Any,
    at: Any,
) -> None:
    """Run the search over ``loglikes`` (float32 [T, pdfs]) from row ``at[ROW]`` on.

    ``at`` (int64, fields numbered above) is where the search stands, in and out. Stops early when
    ``records`` might overflow, to be called again with larger ones. The tokens are left in
    ``tokens``.

    One long function on purpose: passing these bundles of arrays on made it 2.4 times slower.
    """
    scale = options.lm_scale
    ahead_scale = options.lm_scale * options.lookahead_step
    no_word = len(lm.lookahead) - 1
    while at[ROW] < len(loglikes):
        count = at[COUNT]
        made = at[MADE]
        if made + RECORDS_PER_TOKEN * count + 1 > len(records.unit):
            return
        row = loglikes[at[ROW]]
        frame = at[FRAME]
        stamp = at[STAMP] + 1
        cutoff = _cutoff(tokens, count, options.beam, options.max_active)
        grown = 0
        # best score of the next frame so far, less the beam; staying gives a good first guess
        bound = _best_stay(graph, tokens, count, row, cutoff) - options.beam
        row_best = row.max()
        limit = 2 * options.max_active
        for i in range(count):
            score = tokens.score[i]
            if score < cutoff:
                continue
            if grown > limit:
                bound = _tightened(spare, grown, options.max_active, bound)
                limit = grown + options.max_active // 2
            state = tokens.state[i]
            lm_state = tokens.lm_state[i]
            last = lm.last_word[lm_state]
            ahead = lm.lookahead[last, graph.node[state]]
            kind = graph.kind[state]
            stay = score + row[graph.loop[state]]
            if stay > bound:
                grown = _put(
                    spare,
                    table,
                    stamp,
                    grown,
                    state,
                    lm_state,
                    stay,
                    tokens.record[i],
                    tokens.start[i],
                )
                bound = max(bound, stay - options.beam)
            if kind == VOWEL:
                slot = _score_labels(graph, lm, memo, state, lm_state)
                first = graph.arc_begin[state]
                for label in range(graph.arc_begin[state + 1] - first):
                    arc = first + label
                    unit = graph.arc_unit[arc]
                    base = (
                        score
                        + scale * memo.logp[slot, label]
                        + ahead_scale * ahead
                        - graph.arc_cost[arc]
                        + options.bonus[unit]
                    )
                    following = memo.following[slot, label]
                    # a context that is not empty ends in the unit just said
                    next_last = unit if following != 0 else no_word
                    hope = base - ahead_scale * lm.lookahead[next_last, 0]
                    if hope < cutoff or hope + row_best <= bound:
                        continue
                    pending = graph.arc_target[arc]
                    mine = -1
                    for leave in range(graph.arc_begin[pending], graph.arc_begin[pending + 1]):
                        new = (
                            base
                            - graph.arc_cost[leave]
                            - ahead_scale * lm.lookahead[next_last, graph.arc_node[leave]]
                            + row[graph.arc_forward[leave]]
                        )
                        if new <= bound:
                            continue
                        target = graph.arc_target[leave]
                        if mine < 0:
                            mine = _record(records, made, tokens.record[i], unit, tokens.start[i])
                            made += 1
                        chain = mine
                        start = tokens.start[i]
                        if graph.kind[target] == SILENCE:
                            chain = _record(records, made, mine, PAUSE_UNIT, frame)
                            made += 1
                        elif graph.kind[target] <= VOWEL:
                            start = frame
                        grown = _put(
                            spare, table, stamp, grown, target, following, new, chain, start
                        )
                        bound = max(bound, new - options.beam)
                continue
            for arc in range(graph.arc_begin[state], graph.arc_begin[state + 1]):
                new = (
                    score
                    - graph.arc_cost[arc]
                    + row[graph.arc_forward[arc]]
                    + ahead_scale * ahead
                    - ahead_scale * lm.lookahead[last, graph.arc_node[arc]]
                )
                if new <= bound:
                    continue
                target = graph.arc_target[arc]
                chain = tokens.record[i]
                start = tokens.start[i]
                if graph.kind[target] == SILENCE:
                    chain = _record(records, made, chain, PAUSE_UNIT, frame)
                    made += 1
                elif kind != ONSET:
                    start = frame
                grown = _put(spare, table, stamp, grown, target, lm_state, new, chain, start)
                bound = max(bound, new - options.beam)
        for i in range(grown):
            tokens.state[i] = spare.state[i]
            tokens.lm_state[i] = spare.lm_state[i]
            tokens.score[i] = spare.score[i]
            tokens.record[i] = spare.record[i]
            tokens.start[i] = spare.start[i]
        at[ROW] += 1
        at[FRAME] += 1
        at[COUNT] = grown
        at[MADE] = made
        at[STAMP] = stamp


@nb.njit(cache=True, nogil=True)
def finish(
    graph: Any, lm: Any, options: Any, tokens: Any, count: int, eos: int
) -> tuple[float, int, int]:
    """The best token where an utterance may end: (score, token, unit to add or −1).

    The score counts the end of sentence. The token is −1 where none may end.
    """
    scale = options.lm_scale
    best, winner, extra = NEGATIVE, -1, -1
    for i in range(count):
        state = tokens.state[i]
        lm_state = tokens.lm_state[i]
        ahead = -options.lookahead_step * lm.lookahead[lm.last_word[lm_state], graph.node[state]]
        if graph.kind[state] == VOWEL:
            for arc in range(graph.arc_begin[state], graph.arc_begin[state + 1]):
                if graph.final[graph.arc_target[arc]]:
                    logp, following = lm_step(lm, lm_state, graph.arc_unit[arc])
                    end, _ = lm_step(lm, following, eos)
                    score = (
                        tokens.score[i]
                        + scale * (logp + end - ahead)
                        + options.bonus[graph.arc_unit[arc]]
                        - graph.arc_cost[arc]
                    )
                    if score > best:
                        best, winner, extra = score, i, graph.arc_unit[arc]
        elif graph.final[state]:
            end, _ = lm_step(lm, lm_state, eos)
            score = tokens.score[i] + scale * (end - ahead)
            if score > best:
                best, winner, extra = score, i, -1
    return float(best), winner, extra
