"""The inner loops of the beam search (numba): one frame of tokens to the next.

A token is a triple (graph state, LM state, state of the user's words) with its best score so far;
graph, language model and user words are composed here, on the fly. Scores are natural logs. All
arrays are checked and sized by :mod:`asr.decoder.search`; these functions trust them.
"""

from __future__ import annotations

from typing import Any

import numba as nb
import numpy as np

from asr.decoder.lm_kernels import bias_unit, score_labels
from asr.decoder.prefetch import prefetch
from asr.decoder.recombine import AHEAD, HASH, recombine
from asr.decoder.records import PAUSE, add_event
from asr.decoder.selection import kth_best, largest
from asr.graph.lexicon import Kind

VOWEL = int(Kind.VOWEL)
ONSET = int(Kind.ONSET)
SILENCE = int(Kind.SILENCE)
NEGATIVE = np.float32(-1e30)
#: Where a search stands: the next row of scores, the frame, the tokens, the records made, the
#: stamp of the last frame's entries in the hash table, and whether the records ran full.
ROW, FRAME, COUNT, MADE, STAMP, FULL = range(6)


@nb.njit(cache=True, nogil=True, inline="always")
def _memo_slot(memo_id: Any, mask: Any) -> Any:
    return np.uintp((np.uint64(memo_id) * np.uint64(HASH)) >> np.uint64(40)) & mask


@nb.njit(cache=True, nogil=True)
def _cutoff(scores: Any, count: int, beam: float, max_active: int, bins: Any) -> float:
    best: Any = NEGATIVE
    for i in range(count):
        best = max(best, scores[i])
    if count > max_active:
        kth = kth_best(scores, count, max_active, best - beam, best, bins)
        return float(max(best - beam, kth))
    return float(best - beam)


@nb.njit(cache=True, nogil=True)
def _tightened(scores: Any, moved: int, keep: int, bound: float, beam: float, bins: Any) -> float:
    """A bound that the ``keep`` best of the moves pass: used when there are far too many."""
    return float(max(bound, kth_best(scores, moved, keep, bound, bound + beam, bins)))


@nb.njit(cache=True, nogil=True)
def _best_stay(
    loop: Any, loop_cost: Any, states: Any, scores: Any, count: int, row: Any, cutoff: float
) -> float:
    """The best score of the next frame if every token that is not cut off takes its self-loop."""
    best = NEGATIVE
    for i in range(count):
        if scores[i] >= cutoff:
            state = states[i]
            best = max(best, scores[i] + row[loop[state]] - loop_cost[state])
    return float(best)


@nb.njit(cache=True, nogil=True, inline="always")
def _emit(
    arc_begin: Any, arc_forward: Any, arc_cost: Any, row: Any, gain: Any, best: Any, state: int
) -> None:
    """What each arc of a state gains in this frame, but for look-ahead, and the best of them."""
    most = NEGATIVE
    for arc in range(np.uintp(arc_begin[state]), np.uintp(arc_begin[state + 1])):
        value = row[np.uintp(arc_forward[arc])] - arc_cost[arc]
        gain[arc] = value
        most = max(most, value)
    best[state] = most


@nb.njit(cache=True, nogil=True, inline="always")
def _arc_values(
    gain: Any, arc_node: Any, begin: int, count: int, lookahead: Any, row: int, step: Any,
    value: Any,
) -> None:  # fmt: skip
    """What each arc of a state gains, less its look-ahead: all at once, without a branch."""
    first, at = np.uintp(begin), np.uintp(row)
    for k in range(np.uintp(count)):
        value[k] = gain[first + k] - step * np.float32(lookahead[at, np.uintp(arc_node[first + k])])


@nb.njit(cache=True, nogil=True)
def advance(
    graph: Any,
    lm: Any,
    words: Any,
    options: Any,
    memo: Any,
    table: Any,
    tokens: Any,
    moves: Any,
    trail: Any,
    scratch: Any,
    loglikes: Any,
    at: Any,
) -> None:
    """Run the search over ``loglikes`` (float32 [T, pdfs]) from row ``at[ROW]`` on.

    ``at`` (int64, fields numbered above) is where the search stands, in and out. When ``trail``
    might overflow, the frame is abandoned and ``at[FULL]`` set, to be called again with larger
    ones. The tokens are left in ``tokens``.

    Many tokens stand in the same graph state, and most arcs lead out of the beam. So what the arcs
    of a state gain in a frame is computed once (``scratch``), and look-ahead, which can only make
    it less, is asked only of arcs that pass without it.

    One long function on purpose, and its arrays are taken out of their bundles first: otherwise
    numba counts references to them in the loops, at more than half of the time.
    """
    kind_of, node_of, first_of = graph.kind, graph.node, graph.first
    loop, loop_cost, arc_begin = graph.loop, graph.loop_cost, graph.arc_begin
    arc_target, arc_cost, arc_unit = graph.arc_target, graph.arc_cost, graph.arc_unit
    arc_forward, arc_node, label_begin = graph.arc_forward, graph.arc_node, graph.label_begin
    row_of, lookahead = lm.row, lm.lookahead
    gain, best_gain, computed = scratch.gain, scratch.best, scratch.stamp
    old_state, old_lm, old_bias = tokens.state, tokens.lm_state, tokens.bias
    old_score, old_record, old_start = tokens.score, tokens.record, tokens.start
    to_state, to_lm, to_bias = moves.state, moves.lm_state, moves.bias
    to_score, to_record, to_start = moves.score, moves.record, moves.start
    most_moves = len(to_state) - options.most_records
    memo_key, memo_logp = memo.key, memo.logp
    memo_following, memo_ahead, memo_hope = memo.following, memo.ahead, memo.hope
    bins = scratch.bins
    value, most_gain = scratch.value, np.float32(options.most_gain)
    scale32 = np.float32(options.lm_scale)
    step = np.float32(options.lm_scale * options.lookahead_step)
    memo_mask = np.uintp(len(memo_key) - 1)
    memo_best, root_ahead = memo.best, lm.root
    lm_begin, lm_word, lm_next, lm_logp = lm.arc_begin, lm.arc_word, lm.arc_next, lm.arc_logp
    lm_backoff, lm_backoff_logp, labels_of = lm.backoff_state, lm.backoff_logp, graph.labels
    bonus = options.bonus
    beam, max_active, lattice_beam = options.beam, options.max_active, options.lattice_beam
    scale = options.lm_scale
    ahead_scale = options.lm_scale * options.lookahead_step
    biased = len(words.automaton.fail) > 1
    links, weights = trail.links, trail.weights
    last_room = len(links) - options.most_records
    while at[ROW] < len(loglikes):
        count = at[COUNT]
        made = at[MADE]
        row = loglikes[at[ROW]]
        frame = at[FRAME]
        stamp = at[STAMP] + 1
        at[STAMP] = stamp
        cutoff = _cutoff(old_score, count, beam, max_active, bins)
        moved = 0
        row_best = largest(row) + most_gain
        # best score of the next frame so far, less the beam; staying gives a good first guess
        bound = _best_stay(loop, loop_cost, old_state, old_score, count, row, cutoff) - beam
        limit = 4 * max_active
        for i in range(count):
            if i + AHEAD < count:  # what is known of the token soon to come
                prefetch(row_of, np.intp(old_lm[i + AHEAD]))
                prefetch(lm_begin, np.intp(old_lm[i + AHEAD]))
                later = labels_of[np.uintp(old_state[i + AHEAD])]
                memo_id = (np.int64(old_lm[i + AHEAD]) << 20) | np.int64(later)
                prefetch(memo_key, np.intp(_memo_slot(memo_id, memo_mask)))
            score = old_score[i]
            if score < cutoff:
                continue
            if made > last_room:
                at[FULL] = 1
                return
            if moved > limit:
                bound = _tightened(to_score, moved, 2 * max_active, bound, beam, bins)
                limit = moved + max_active
            if moved > most_moves:
                break  # the worst of all cases: what comes last in the frame is lost
            state = old_state[i]
            lm_state = old_lm[i]
            place = old_bias[i]
            record = old_record[i]
            began = old_start[i]
            ahead_row = row_of[lm_state]
            ahead = ahead_scale * lookahead[ahead_row, node_of[state]]
            kind = kind_of[state]
            stay = score + row[loop[state]] - loop_cost[state]
            if stay > bound:
                to_state[moved] = state
                to_lm[moved] = lm_state
                to_bias[moved] = place
                to_score[moved] = stay
                to_record[moved] = record
                to_start[moved] = began
                moved += 1
                bound = max(bound, stay - beam)
            if kind == VOWEL:
                first = label_begin[state]
                for arc in range(arc_begin[state], first):  # on to the unit's next syllable
                    pending = arc_target[arc]
                    if computed[pending] != stamp:
                        computed[pending] = stamp
                        _emit(arc_begin, arc_forward, arc_cost, row, gain, best_gain, pending)
                    base = score - arc_cost[arc]  # look-ahead stays as it is
                    if base + best_gain[pending] <= bound:
                        continue
                    for leave in range(arc_begin[pending], arc_begin[pending + 1]):
                        new = base + gain[leave]
                        if new > bound:
                            to_state[moved] = arc_target[leave]
                            to_lm[moved] = lm_state
                            to_bias[moved] = place
                            to_score[moved] = new
                            to_record[moved] = record
                            to_start[moved] = began
                            moved += 1
                            bound = max(bound, new - beam)
                if first == arc_begin[state + 1]:
                    continue
                last = arc_begin[state + 1]
                memo_id = (np.int64(lm_state) << 20) | np.int64(labels_of[state])
                slot = _memo_slot(memo_id, memo_mask)
                if memo_key[slot, 0] != memo_id:
                    memo_key[slot, 0] = memo_id
                    score_labels(
                        arc_unit, first, last, lm_begin, lm_word, lm_next, lm_logp, lm_backoff,
                        lm_backoff_logp, memo_logp, memo_following, slot, lm_state,
                    )  # fmt: skip
                    most = NEGATIVE
                    for label in range(np.uintp(last - first)):
                        next_row = row_of[np.uintp(memo_following[slot, label])]
                        memo_ahead[slot, label] = next_row
                        lent = bonus[np.uintp(arc_unit[np.uintp(first) + label])]
                        look = step * np.float32(root_ahead[np.uintp(next_row)])
                        hope = scale32 * memo_logp[slot, label] + lent - look
                        memo_hope[slot, label] = hope
                        most = max(most, hope)
                    memo_best[slot, 2] = most
                labels = last - first
                base = score + ahead
                if not biased:
                    needed = np.float32(max(cutoff, bound - row_best) - base)
                    if memo_best[slot, 2] + most_gain < needed:
                        continue
                for label in range(labels):
                    if not biased and memo_hope[slot, label] + most_gain < needed:
                        continue
                    arc = first + label
                    unit = arc_unit[arc]
                    logp = memo_logp[slot, label]
                    added = bonus[unit]
                    bias_next = place
                    if biased:
                        change, bias_next = bias_unit(words, place, unit)
                        added += change
                    base = score + scale * logp + ahead - arc_cost[arc] + added
                    next_row = memo_ahead[slot, label]
                    hope = base - ahead_scale * root_ahead[next_row]
                    if hope < cutoff:
                        continue
                    pending = arc_target[arc]
                    if computed[pending] != stamp:
                        computed[pending] = stamp
                        _emit(arc_begin, arc_forward, arc_cost, row, gain, best_gain, pending)
                    if hope + best_gain[pending] <= bound:
                        continue
                    following = memo_following[slot, label]
                    mine = -1
                    begin = arc_begin[pending]
                    leaving = arc_begin[pending + 1] - begin
                    _arc_values(gain, arc_node, begin, leaving, lookahead, next_row, step, value)
                    least = np.float32(bound - base)
                    for k in range(leaving):
                        if value[k] <= least:
                            continue
                        leave = begin + k
                        look = ahead_scale * lookahead[next_row, arc_node[leave]]
                        new = base + gain[leave] - look
                        if new <= bound:
                            continue
                        target = arc_target[leave]
                        if mine < 0:
                            mine = made
                            made = add_event(links, weights, made, record, unit, began, logp, added)
                        chain = mine
                        start = began
                        if kind_of[target] == SILENCE:
                            chain = made
                            made = add_event(links, weights, made, mine, PAUSE, frame, 0.0, 0.0)
                        elif first_of[target]:
                            start = frame
                        to_state[moved] = target
                        to_lm[moved] = following
                        to_bias[moved] = bias_next
                        to_score[moved] = new
                        to_record[moved] = chain
                        to_start[moved] = start
                        moved += 1
                        bound = max(bound, new - beam)
                        least = np.float32(bound - base)
                continue
            if computed[state] != stamp:
                computed[state] = stamp
                _emit(arc_begin, arc_forward, arc_cost, row, gain, best_gain, state)
            if score + best_gain[state] <= bound:
                continue
            base = score + ahead
            begin = arc_begin[state]
            leaving = arc_begin[state + 1] - begin
            _arc_values(gain, arc_node, begin, leaving, lookahead, ahead_row, step, value)
            least = np.float32(bound - base)
            for k in range(leaving):
                if value[k] <= least:
                    continue
                arc = begin + k
                new = base + gain[arc] - ahead_scale * lookahead[ahead_row, arc_node[arc]]
                if new <= bound:
                    continue
                target = arc_target[arc]
                chain = record
                start = began
                if kind_of[target] == SILENCE:
                    if kind != SILENCE:
                        chain = made
                        made = add_event(links, weights, made, record, PAUSE, frame, 0.0, 0.0)
                elif kind != ONSET and first_of[target]:
                    start = frame
                to_state[moved] = target
                to_lm[moved] = lm_state
                to_bias[moved] = place
                to_score[moved] = new
                to_record[moved] = chain
                to_start[moved] = start
                moved += 1
                bound = max(bound, new - beam)
                least = np.float32(bound - base)
        if moved > 2 * max_active:
            bound = _tightened(to_score, moved, 2 * max_active, bound, beam, bins)
        if made + moved > len(links):
            at[FULL] = 1
            return
        at[COUNT], at[MADE] = recombine(
            moves, moved, bound, tokens, table, trail, made, lattice_beam, stamp
        )
        at[ROW] += 1
        at[FRAME] += 1
