"""The steps of the batched search, each a few tensor operations on all utterances at once.

The live tokens of all utterances (*lanes*) lie in one list. What a step does to a lane depends on
that lane alone, in values and in order, so that a result never depends on its neighbours.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from asr.decoder.batched_graph import Arcs

#: Several cells a lane on a GPU, so that its threads do not all wait for the same one.
GPU_CELLS = 32


class Tokens(NamedTuple):
    """Paths that are alive, N of them, int32 but the scores.

    lane: [N], which utterance. state: [N]. score: float32 [N], relative to the lane's best.
    record: [N], the last unit or pause written down, or −1. unit: [N], a unit said after that and
    not yet written down, or −1. start: [N], the frame in which the latest unit began.
    """

    lane: Tensor
    state: Tensor
    score: Tensor
    record: Tensor
    unit: Tensor
    start: Tensor

    def take(self, index: Tensor) -> Tokens:
        """Those of the given numbers."""
        return Tokens(*(column.index_select(0, index) for column in self))


def joined(parts: list[Tokens]) -> Tokens:
    """All tokens in one list."""
    return parts[0] if len(parts) == 1 else Tokens(*map(torch.cat, zip(*parts, strict=True)))


def where(mask: Tensor) -> Tensor:
    """Numbers of the places where a mask [N] is true. The host waits for their count."""
    return mask.nonzero()[:, 0]


class Moves(NamedTuple):
    """Arcs that tokens may take, M of them, in the order of the tokens.

    token: int32 [M], number of the token. arc: int32 [M]. lane: int32 [M]. score: float32 [M], the
    token's less the arc's cost.
    """

    token: Tensor
    arc: Tensor
    lane: Tensor
    score: Tensor


def moves_of(tokens: Tokens, arcs: Arcs) -> Moves:
    """All arcs that leave the tokens' states. The host waits for how many there are."""
    count = arcs.count.index_select(0, tokens.state)
    behind = count.cumsum(0, dtype=torch.int32)
    total = int(behind[-1]) if len(behind) else 0
    token = torch.repeat_interleave(count, output_size=total)
    shift = arcs.first.index_select(0, tokens.state) - (behind - count)
    place = torch.arange(total, dtype=torch.int32, device=count.device)
    arc = place + shift.index_select(0, token)
    score = tokens.score.index_select(0, token) - arcs.cost.index_select(0, arc)
    return Moves(token, arc, tokens.lane.index_select(0, token), score)


def moved(tokens: Tokens, arcs: Arcs, moves: Moves, kept: Tensor) -> Tokens:
    """The tokens that arise from the moves of the given numbers."""
    arc = moves.arc.index_select(0, kept)
    before = tokens.take(moves.token.index_select(0, kept))
    unit = arcs.unit.index_select(0, arc)
    return before._replace(
        state=arcs.target.index_select(0, arc),
        score=moves.score.index_select(0, kept),
        unit=torch.where(unit >= 0, unit, before.unit),
    )


def lane_best(score: Tensor, lane: Tensor, lanes: int, cells: int | None = None) -> Tensor:
    """The best score of each lane: float32 [lanes], −∞ where it has none.

    ``cells`` is how many parts of a lane are looked through apart; None: what suits the device.
    """
    if cells is None:
        cells = GPU_CELLS if score.is_cuda else 1
    index = lane.long()
    if cells > 1:
        index = index * cells + torch.arange(len(lane), device=lane.device) % cells
    best = score.new_full((lanes * cells,), -torch.inf)
    return best.scatter_reduce_(0, index, score, "amax").view(lanes, cells).amax(1)


def best_of_each(key: Tensor, score: Tensor) -> Tensor:
    """The number of the best-scoring element of each key, int64, in the order of the keys.

    One sort by (key, descending score) in a 64-bit word; of equals the first in the list wins.
    The host waits for how many there are.

    Args:
        key: int64 [N], from 0 to 2³² − 1.
        score: float32 [N], no NaN.
    """
    word, order = ((key << 32) | descending(score)).sort(stable=True)
    group = word >> 32
    first = torch.ones_like(group, dtype=torch.bool)
    torch.ne(group[1:], group[:-1], out=first[1:])
    return order.index_select(0, where(first))


def descending(score: Tensor) -> Tensor:
    """float32 → int64 in [0, 2³²) that ascends as the score falls."""
    bits = (-score + 0.0).view(torch.int32)  # + 0.0 makes one zero of two
    ordered = bits ^ ((bits >> 31) & 0x7FFFFFFF)
    return ordered.long() + 2**31


def pruned(tokens: Tokens, lanes: int, beam: float, most: int) -> tuple[Tokens, Tensor]:
    """Those tokens of each lane that are as good as its ``most``-th; and the lanes' cutoffs.

    A cutoff (float32 [lanes]) is the score that a lane's paths must reach to be followed: that of
    the ``most``-th token, or the beam's end, below which tokens are not made in the first place.
    The host waits for the largest number of tokens a lane.
    """
    cutoff = tokens.score.new_full((lanes,), -beam)
    ones = torch.ones_like(tokens.lane)
    count = ones.new_zeros(lanes).index_add_(0, tokens.lane, ones)
    if int(count.max()) <= most:
        return tokens, cutoff
    _, order = ((tokens.lane.long() << 32) | descending(tokens.score)).sort()
    begin = count.cumsum(0) - count
    place = (begin + most - 1).clamp(max=len(order) - 1)
    worst = tokens.score.index_select(0, order.index_select(0, place))
    cutoff = torch.where(count > most, torch.maximum(cutoff, worst), cutoff)
    return tokens.take(where(tokens.score >= cutoff.index_select(0, tokens.lane))), cutoff
