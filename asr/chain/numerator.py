"""The numerator: the ways to say a text, as probable as the phone n-gram has them.

With the denominator's own weights, so that the numerator is a part of it and their difference never
above 0 (Kaldi composes its supervision with the normalisation FST for the same reason, see
chain/chain-supervision.h). Without them a way that costs nothing, such as a pause between any two
eojeol, would look better than it is, and training would drive the network to hear it everywhere.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from asr.chain.hmm_graph import HmmGraph, from_edges
from asr.chain.phone_lm import EDGE, History, PhoneLm
from asr.errors import DataError


def numerator(graph: HmmGraph, phones: Sequence[str], lm: PhoneLm, unseen: float = 0.0) -> HmmGraph:
    """Compose the ways to say a text with the phone n-gram.

    A state of the result is a pair of a state and a history. The text's own costs are dropped: the
    n-gram knows how often sounds follow each other.

    Args:
        graph: of :meth:`asr.chain.supervision.TextSupervision.graph`.
        phones: what each of its states speaks.
        lm: of the denominator.
        unseen: probability of a phone that the n-gram has not seen after a history; above 0 for
            texts that it was not estimated from, which are evaluated but not trained on.

    Raises:
        DataError: the n-gram has seen no way to say the text.
    """
    arcs = _arcs(graph)
    number: dict[tuple[int, History], int] = {(0, lm.start): 0}
    places = [(0, lm.start)]
    edges: list[tuple[int, int, float]] = []
    for source, (state, history) in enumerate(places):  # grows while it is walked
        nexts = lm.nexts[history]
        for target in arcs[state]:
            probability = nexts.get(phones[target], unseen)
            after = lm.after(history, phones[target]) if probability > 0.0 else None
            if after is None:
                continue
            place = (target, after)
            if place not in number:
                number[place] = len(places)
                places.append(place)
            edges.append((source, number[place], -math.log(probability)))
    final = np.full(len(places), np.inf, np.float32)
    for row, (state, history) in enumerate(places):
        probability = lm.nexts[history].get(EDGE, unseen)
        if probability > 0.0 and np.isfinite(graph.final_cost[state]):
            final[row] = -math.log(probability)
    kept = _leading_to_an_end(final, edges)
    if not kept[0]:
        raise DataError("no way to say the text is known to the phone n-gram")
    states = np.array([state for state, _ in places])[kept]
    renumbered = np.cumsum(kept) - 1
    alive = [edge for edge in edges if kept[edge[0]] and kept[edge[1]]]
    return from_edges(
        graph.forward[states],
        graph.loop[states],
        graph.loop_cost[states],
        (
            renumbered[[edge[0] for edge in alive]],
            renumbered[[edge[1] for edge in alive]],
            np.array([edge[2] for edge in alive], np.float32),
        ),
        final[kept],
    )


def _arcs(graph: HmmGraph) -> list[list[int]]:
    """The states that each state leads to."""
    arcs: list[list[int]] = [[] for _ in range(graph.states)]
    target = np.repeat(np.arange(graph.states), np.diff(graph.edge_begin))
    for source, to in zip(graph.edge_source.tolist(), target.tolist(), strict=True):
        arcs[source].append(to)
    return arcs


def _leading_to_an_end(final: np.ndarray, edges: Sequence[tuple[int, int, float]]) -> np.ndarray:
    kept = np.isfinite(final)
    source = np.array([edge[0] for edge in edges], np.int64)
    target = np.array([edge[1] for edge in edges], np.int64)
    while True:
        before = int(kept.sum())
        np.logical_or.at(kept, source, kept[target])
        if int(kept.sum()) == before:
            return np.asarray(kept)
