"""The inner loops of the beam search (numba): one frame of tokens to the next.

A token is a triple (graph state, LM state, state of the user's words) with its best score so far;
graph, language model and user words are composed here, on the fly. Scores are natural logs. All
arrays are checked and sized by :mod:`asr.decoder.search`; these functions trust them.
"""

from __future__ import annotations

from typing import Any

import numba as nb
import numpy as np

from asr.decoder.records import PAUSE, add_event, add_union
from asr.graph.bias import bias_step
from asr.graph.lexicon import Kind

VOWEL = int(Kind.VOWEL)
ONSET = int(Kind.ONSET)
SILENCE = int(Kind.SILENCE)
NEGATIVE = np.float32(-1e30)
#: Odd multiplier of the hash tables (fits a signed 64-bit integer, so the product wraps).
HASH = 0x1E3779B97F4A7C15
#: How many bits of a token's key say its graph state, its LM state and that of the user's words.
STATE_BITS, LM_BITS, BIAS_BITS = 20, 24, 20
#: Where a search stands: the next row of scores, the frame, the tokens, the records made, the
#: stamp of the last frame's entries in the hash table, and whether the records ran full.
ROW, FRAME, COUNT, MADE, STAMP, FULL = range(6)


@nb.njit(cache=True, nogil=True)
def _lower_bound(words: Any, low: int, high: int, word: int) -> int:
    """The first place from ``low`` on (``high`` if none) where ``words`` is not below ``word``."""
    while low < high:
        middle = (low + high) >> 1
        if words[middle] < word:
            low = middle + 1
        else:
            high = middle
    return low


@nb.njit(cache=True, nogil=True)
def lm_step(lm: Any, state: int, word: int) -> tuple[float, int]:
    """Log-probability of ``word`` after LM ``state``, and the state that follows."""
    logp = 0.0
    while state != 0:
        end = lm.arc_begin[state + 1]
        place = _lower_bound(lm.arc_word, lm.arc_begin[state], end, word)
        if place < end and lm.arc_word[place] == word:
            return logp + lm.arc_logp[place], lm.arc_next[place]
        logp += lm.backoff_logp[state]
        state = lm.backoff_state[state]
    place = lm.arc_begin[0] + word  # the unigram state holds every word, in order
    return logp + lm.arc_logp[place], lm.arc_next[place]


@nb.njit(cache=True, nogil=True)
def bias_unit(words: Any, state: int, unit: int) -> tuple[float, int]:
    """What the user's words add to the score of ``unit``, and their state after it."""
    added = 0.0
    for place in range(words.unit_begin[unit], words.unit_begin[unit + 1]):
        change, state = bias_step(words.automaton, state, words.unit_symbol[place])
        added += change
    return added, state


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
    first = graph.label_begin[state]
    labels = graph.arc_begin[state + 1] - first
    for label in range(labels):
        memo.following[row, label] = -1
    missing = labels
    backoff = 0.0
    while lm_state != 0 and missing > 0:
        end = lm.arc_begin[lm_state + 1]
        place = _lower_bound(lm.arc_word, lm.arc_begin[lm_state], end, graph.arc_unit[first])
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
        memo.ahead[row, label] = lm.row[memo.following[row, label]]
    return int(row)


@nb.njit(cache=True, nogil=True)
def _put(
    tokens: Any,
    table: Any,
    records: Any,
    lattice_beam: float,
    stamp: int,
    count: int,
    made: int,
    state: int,
    lm_state: int,
    bias: int,
    score: float,
    record: int,
    start: int,
) -> tuple[int, int]:
    """Add a token, or join it with the one in the same place; how many tokens and records now."""
    key = (np.int64(state) << BIAS_BITS) | np.int64(bias)
    key = (key << LM_BITS) | np.int64(lm_state)
    mask = len(table.key) - 1
    slot = ((key * HASH) >> 32) & mask
    while table.whose[slot, 2] == stamp:
        if table.key[slot, 0] == key:
            place = table.whose[slot, 3]
            gain = score - tokens.score[place]
            other = tokens.record[place]
            if other != record and abs(gain) <= lattice_beam:
                better, worse = (record, other) if gain > 0 else (other, record)
                tokens.record[place] = made
                made = add_union(records, made, better, worse, start, abs(gain))
            elif gain > 0:
                tokens.record[place] = record
            if gain > 0:
                tokens.score[place] = score
                tokens.start[place] = start
            return count, made
        slot = (slot + 1) & mask
    if count == len(tokens.score):
        return count, made
    table.key[slot, 0] = key
    table.whose[slot, 2] = stamp
    table.whose[slot, 3] = count
    tokens.state[count] = state
    tokens.lm_state[count] = lm_state
    tokens.bias[count] = bias
    tokens.score[count] = score
    tokens.record[count] = record
    tokens.start[count] = start
    return count + 1, made


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
            state = tokens.state[i]
            best = max(best, tokens.score[i] + row[graph.loop[state]] - graph.loop_cost[state])
    return float(best)


@nb.njit(cache=True, nogil=True)
def _tightened(spare: Any, grown: int, keep: int, bound: float) -> float:
    """A bound that the ``keep`` best of the new tokens pass: used when there are far too many."""
    return max(bound, float(np.partition(spare.score[:grown], grown - keep)[grown - keep]))


@nb.njit(cache=True, nogil=True)
def advance(
    graph: Any,
    lm: Any,
    words: Any,
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

    ``at`` (int64, fields numbered above) is where the search stands, in and out. When ``records``
    might overflow, the frame is abandoned and ``at[FULL]`` set, to be called again with larger
    ones. The tokens are left in ``tokens``.

    One long function on purpose: passing these bundles of arrays on made it 2.4 times slower.
    """
    scale = options.lm_scale
    ahead_scale = options.lm_scale * options.lookahead_step
    lattice_beam = options.lattice_beam
    biased = len(words.automaton.fail) > 1
    while at[ROW] < len(loglikes):
        count = at[COUNT]
        made = at[MADE]
        row = loglikes[at[ROW]]
        frame = at[FRAME]
        stamp = at[STAMP] + 1
        at[STAMP] = stamp
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
            if made + options.most_records > len(records.unit):
                at[FULL] = 1
                return
            if grown > limit:
                bound = _tightened(spare, grown, options.max_active, bound)
                limit = grown + options.max_active // 2
            state = tokens.state[i]
            lm_state = tokens.lm_state[i]
            place = tokens.bias[i]
            record = tokens.record[i]
            ahead_row = lm.row[lm_state]
            ahead = ahead_scale * lm.lookahead[ahead_row, graph.node[state]]
            kind = graph.kind[state]
            stay = score + row[graph.loop[state]] - graph.loop_cost[state]
            if stay > bound:
                grown, made = _put(
                    spare, table, records, lattice_beam, stamp, grown, made,
                    state, lm_state, place, stay, record, tokens.start[i],
                )  # fmt: skip
                bound = max(bound, stay - options.beam)
            if kind == VOWEL:
                first = graph.label_begin[state]
                for arc in range(graph.arc_begin[state], first):  # on to the unit's next syllable
                    pending = graph.arc_target[arc]
                    base = score - graph.arc_cost[arc] + ahead
                    for leave in range(graph.arc_begin[pending], graph.arc_begin[pending + 1]):
                        new = (
                            base
                            - graph.arc_cost[leave]
                            - ahead_scale * lm.lookahead[ahead_row, graph.arc_node[leave]]
                            + row[graph.arc_forward[leave]]
                        )
                        if new > bound:
                            grown, made = _put(
                                spare, table, records, lattice_beam, stamp, grown, made,
                                graph.arc_target[leave], lm_state, place, new, record,
                                tokens.start[i],
                            )  # fmt: skip
                            bound = max(bound, new - options.beam)
                if first == graph.arc_begin[state + 1]:
                    continue
                slot = _score_labels(graph, lm, memo, state, lm_state)
                for label in range(graph.arc_begin[state + 1] - first):
                    arc = first + label
                    unit = graph.arc_unit[arc]
                    logp = memo.logp[slot, label]
                    added = options.bonus[unit]
                    bias_next = place
                    if biased:
                        change, bias_next = bias_unit(words, place, unit)
                        added += change
                    base = score + scale * logp + ahead - graph.arc_cost[arc] + added
                    following = memo.following[slot, label]
                    next_row = memo.ahead[slot, label]
                    hope = base - ahead_scale * lm.lookahead[next_row, 0]
                    if hope < cutoff or hope + row_best <= bound:
                        continue
                    pending = graph.arc_target[arc]
                    mine = -1
                    for leave in range(graph.arc_begin[pending], graph.arc_begin[pending + 1]):
                        new = (
                            base
                            - graph.arc_cost[leave]
                            - ahead_scale * lm.lookahead[next_row, graph.arc_node[leave]]
                            + row[graph.arc_forward[leave]]
                        )
                        if new <= bound:
                            continue
                        target = graph.arc_target[leave]
                        if mine < 0:
                            mine = made
                            made = add_event(
                                records, made, record, unit, tokens.start[i], logp, added
                            )
                        chain = mine
                        start = tokens.start[i]
                        if graph.kind[target] == SILENCE:
                            chain = made
                            made = add_event(records, made, mine, PAUSE, frame, 0.0, 0.0)
                        elif graph.first[target]:
                            start = frame
                        grown, made = _put(
                            spare, table, records, lattice_beam, stamp, grown, made,
                            target, following, bias_next, new, chain, start,
                        )  # fmt: skip
                        bound = max(bound, new - options.beam)
                continue
            for arc in range(graph.arc_begin[state], graph.arc_begin[state + 1]):
                new = (
                    score
                    - graph.arc_cost[arc]
                    + row[graph.arc_forward[arc]]
                    + ahead
                    - ahead_scale * lm.lookahead[ahead_row, graph.arc_node[arc]]
                )
                if new <= bound:
                    continue
                target = graph.arc_target[arc]
                chain = record
                start = tokens.start[i]
                if graph.kind[target] == SILENCE:
                    chain = made
                    made = add_event(records, made, record, PAUSE, frame, 0.0, 0.0)
                elif kind != ONSET and graph.first[target]:
                    start = frame
                grown, made = _put(
                    spare, table, records, lattice_beam, stamp, grown, made,
                    target, lm_state, place, new, chain, start,
                )  # fmt: skip
                bound = max(bound, new - options.beam)
        for i in range(grown):
            tokens.state[i] = spare.state[i]
            tokens.lm_state[i] = spare.lm_state[i]
            tokens.bias[i] = spare.bias[i]
            tokens.score[i] = spare.score[i]
            tokens.record[i] = spare.record[i]
            tokens.start[i] = spare.start[i]
        at[ROW] += 1
        at[FRAME] += 1
        at[COUNT] = grown
        at[MADE] = made


@nb.njit(cache=True, nogil=True)
def endings(
    graph: Any, lm: Any, words: Any, options: Any, tokens: Any, count: int, eos: int, found: Any
) -> int:
    """All ways in which an utterance may end here, into ``found``; returns how many.

    found: of arrays [at least 28 · count]: token int32, unit int32 (the unit still to be said, or
    −1), score float64 (with the end of sentence, and without what user words lent), lm float32
    and bonus float32 of the unit, end float32 (log-probability of the end of sentence).
    """
    made = 0
    for i in range(count):
        state = tokens.state[i]
        lm_state = tokens.lm_state[i]
        ahead = options.lookahead_step * lm.lookahead[lm.row[lm_state], graph.node[state]]
        if graph.kind[state] == VOWEL:
            for arc in range(graph.label_begin[state], graph.arc_begin[state + 1]):
                if not graph.final[graph.arc_target[arc]]:
                    continue
                unit = graph.arc_unit[arc]
                logp, following = lm_step(lm, lm_state, unit)
                added, place = bias_unit(words, tokens.bias[i], unit)
                added += options.bonus[unit] - words.automaton.potential[place]
                end, _ = lm_step(lm, following, eos)
                found.token[made] = i
                found.unit[made] = unit
                found.lm[made] = logp
                found.bonus[made] = added
                found.end[made] = end
                found.score[made] = (
                    tokens.score[i]
                    + options.lm_scale * (logp + end + ahead)
                    + added
                    - graph.arc_cost[arc]
                )
                made += 1
        elif graph.final[state]:
            end, _ = lm_step(lm, lm_state, eos)
            found.token[made] = i
            found.unit[made] = -1
            found.lm[made] = 0.0
            found.bonus[made] = 0.0
            found.end[made] = end
            found.score[made] = (
                tokens.score[i]
                + options.lm_scale * (end + ahead)
                - words.automaton.potential[tokens.bias[i]]
            )
            made += 1
    return made
