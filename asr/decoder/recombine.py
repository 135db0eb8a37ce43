"""Tokens of the beam search that meet in one place: the better one lives on (numba)."""

from __future__ import annotations

from typing import Any

import numba as nb
import numpy as np

from asr.decoder.prefetch import prefetch
from asr.decoder.records import add_union

#: Odd multipliers of the hash tables, one for each part of a key.
HASH, HASH_LM, HASH_BIAS = 0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9
#: How many bits of a token's key say its graph state, its LM state and that of the user's words.
STATE_BITS, LM_BITS, BIAS_BITS = 20, 24, 20
#: How many tokens ahead memory is asked for.
AHEAD = 8


@nb.njit(cache=True, nogil=True, inline="always")
def _slot(state: Any, lm_state: Any, place: Any, mask: Any) -> Any:
    """Where the hash table is first looked into; every part reaches the bits that are kept."""
    mixed = np.uint64(state) * np.uint64(HASH)
    mixed += np.uint64(lm_state) * np.uint64(HASH_LM)
    mixed += np.uint64(place) * np.uint64(HASH_BIAS)
    return np.uintp(mixed >> np.uint64(40)) & mask


@nb.njit(cache=True, nogil=True)
def recombine(
    moves: Any, count: int, bound: float, tokens: Any, table: Any, trail: Any, made: int,
    lattice_beam: float, stamp: int,
) -> tuple[int, int]:  # fmt: skip
    """Make tokens of the moves above ``bound``, one in each place; how many, and how many records.

    Of moves that meet the better one lives on; the other is kept in the lattice where it is not
    ``lattice_beam`` worse.
    """
    to_state, to_lm, to_bias = moves.state, moves.lm_state, moves.bias
    to_score, to_record, to_start = moves.score, moves.record, moves.start
    state_of, lm_of, bias_of = tokens.state, tokens.lm_state, tokens.bias
    score_of, record_of, start_of = tokens.score, tokens.record, tokens.start
    keys, whose = table.key, table.whose
    links, weights = trail.links, trail.weights
    mask = np.uintp(1023)
    while mask + np.uintp(1) < np.uintp(2 * count):
        mask = np.uintp(2) * mask + np.uintp(1)
    grown = 0
    for move in range(count):
        if move + AHEAD < count:
            later = move + AHEAD
            prefetch(keys, np.intp(_slot(to_state[later], to_lm[later], to_bias[later], mask)))
        score = to_score[move]
        if score <= bound:
            continue
        record = to_record[move]
        key = (np.int64(to_state[move]) << BIAS_BITS) | np.int64(to_bias[move])
        key = (key << LM_BITS) | np.int64(to_lm[move])
        slot = _slot(to_state[move], to_lm[move], to_bias[move], mask)
        while whose[slot, 2] == stamp and keys[slot, 0] != key:
            slot = (slot + np.uintp(1)) & mask
        if whose[slot, 2] == stamp:
            place = np.uintp(whose[slot, 3])
            gain = score - score_of[place]
            other = record_of[place]
            if other != record and abs(gain) <= lattice_beam:
                better, worse = (record, other) if gain > 0 else (other, record)
                record_of[place] = made
                made = add_union(links, weights, made, better, worse, to_start[move], abs(gain))
            elif gain > 0:
                record_of[place] = record
            if gain > 0:
                score_of[place] = score
                start_of[place] = to_start[move]
            continue
        keys[slot, 0] = key
        whose[slot, 2] = stamp
        whose[slot, 3] = grown
        state_of[grown] = to_state[move]
        lm_of[grown] = to_lm[move]
        bias_of[grown] = to_bias[move]
        score_of[grown] = score
        record_of[grown] = record
        start_of[grown] = to_start[move]
        grown += 1
    return grown, made
