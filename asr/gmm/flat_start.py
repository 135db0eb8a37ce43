"""The first alignment of all, without any model: a text's states share its frames equally."""

from __future__ import annotations

from typing import Any

import numba as nb
import numpy as np
from numpy.typing import NDArray

from asr.errors import DataError
from asr.gmm.alignment import Alignment
from asr.gmm.text_graphs import TrainingGraph
from asr.gmm.viterbi import alignment_of
from asr.hmm.topology import SILENCE_ID
from asr.hmm.transition import TransitionModel

_PAUSE_COST = 1.0
_EDGE_BONUS = 100.0


def equal_alignment(
    graph: TrainingGraph, frames: int, transitions: TransitionModel
) -> Alignment:
    """Frames dealt out evenly over the states of the likeliest way to say a text.

    Recordings mostly begin and end in silence, so the path does; pauses within are left out.

    Raises:
        DataError: there are more states than frames.
    """
    path = _plain_path(graph, transitions)
    if len(path) > frames:
        raise DataError(f"the text takes {len(path)} frames and the sound has {frames}")
    node = path[np.arange(frames) * len(path) // frames]
    entered = np.diff(node, prepend=-1) != 0
    return alignment_of(graph.text.forward[node], entered, transitions)


def _plain_path(graph: TrainingGraph, transitions: TransitionModel) -> NDArray[np.int32]:
    """Nodes of the cheapest path that begins and ends in silence, each once."""
    text = graph.text
    phone = transitions.tuple_phone[text.forward]
    state = transitions.tuple_state[text.forward]
    target = np.repeat(np.arange(len(phone)), np.diff(text.edge_begin))
    pause = (phone == SILENCE_ID) & (state == 0)
    cost = text.edge_cost.astype(np.float64) + _PAUSE_COST * pause[target]
    cost -= _EDGE_BONUS * (pause[target] & (text.edge_source == 0))
    final = text.final_cost.astype(np.float64) - _EDGE_BONUS * (phone == SILENCE_ID)
    nodes = _cheapest(text.edge_begin, text.edge_source, cost, final)
    if len(nodes) == 0:
        raise DataError("the text cannot be said with the model's phones")
    return np.asarray(nodes[1:] if len(nodes) > 1 else nodes, np.int32)


@nb.njit(cache=True, nogil=True)
def _cheapest(edge_begin: Any, edge_source: Any, cost: Any, final: Any) -> Any:
    """The nodes of the cheapest path from node 0 to an end, of a graph without cycles."""
    nodes = len(final)
    best = np.full(nodes, np.inf)
    back = np.full(nodes, -1, np.int64)
    best[0] = 0.0
    changed = True
    while changed:  # nodes ascend along the text, so a few rounds do
        changed = False
        for node in range(nodes):
            for edge in range(edge_begin[node], edge_begin[node + 1]):
                value = best[edge_source[edge]] + cost[edge]
                if value < best[node] - 1e-9:
                    best[node] = value
                    back[node] = edge_source[edge]
                    changed = True
    path = [np.int64(0) for _ in range(0)]
    node = -1
    least = np.inf
    for n in range(nodes):
        if best[n] + final[n] < least:
            least = best[n] + final[n]
            node = n
    while node >= 0:
        path.append(np.int64(node))
        node = back[node]
    return np.array(path)[::-1].copy()
