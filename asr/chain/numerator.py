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
from asr.chain.phone_lm import EDGE, SHORT, History, PhoneLm
from asr.errors import DataError
from asr.graph.reachability import leading_to_an_end


def numerator(graph: HmmGraph, phones: Sequence[str], lm: PhoneLm, unseen: float = 0.0) -> HmmGraph:
    """Compose the ways to say a text with the phone n-gram.

    States of the text that speak the same after the same states are one (subset construction):
    each sequence of HMM states counts once, however many spellings lead to it. The text's own costs
    are dropped: the n-gram knows how often sounds follow each other.

    Args:
        graph: of :meth:`asr.chain.supervision.TextSupervision.graph`.
        phones: what each of its states speaks.
        lm: of the denominator.
        unseen: probability of a phone that the n-gram has not seen after a history; above 0 for
            texts that it was not estimated from, which are evaluated but not trained on.

    Raises:
        DataError: the n-gram has seen no way to say the text.
    """
    arcs = _arcs(graph, phones)
    start: _Place = (frozenset((0,)), lm.start)
    number = {start: 0}
    places = [start]
    edges: list[tuple[int, int, float]] = []
    for source, (states, history) in enumerate(places):  # grows while it is walked
        nexts = lm.nexts.get(history, {})
        for phone, targets in _following(arcs, states):
            probability = nexts.get(phone, unseen)
            after = lm.after(history, phone) if probability > 0.0 else None
            if after is None and unseen > 0.0:  # two phones that were never heard together
                after = (*history, phone)[-SHORT:]
            if after is None:
                continue
            place = (targets, after)
            if place not in number:
                number[place] = len(places)
                places.append(place)
            edges.append((source, number[place], -math.log(probability)))
    final = np.full(len(places), np.inf, np.float32)
    for row, (states, history) in enumerate(places):
        probability = lm.nexts.get(history, {}).get(EDGE, unseen)
        if probability > 0.0 and any(np.isfinite(graph.final_cost[state]) for state in states):
            final[row] = -math.log(probability)
    begin = np.array([edge[0] for edge in edges], np.int64)
    end = np.array([edge[1] for edge in edges], np.int64)
    cost = np.array([edge[2] for edge in edges], np.float32)
    kept = leading_to_an_end(np.isfinite(final), begin, end)
    if not kept[0]:
        raise DataError("no way to say the text is known to the phone n-gram")
    speaking = np.array([min(states) for states, _ in places])[kept]  # all of a set emit alike
    renumbered = np.cumsum(kept) - 1
    alive = kept[begin] & kept[end]
    return from_edges(
        graph.forward[speaking],
        graph.loop[speaking],
        graph.loop_cost[speaking],
        (renumbered[begin[alive]], renumbered[end[alive]], cost[alive]),
        final[kept],
    )


_Place = tuple[frozenset[int], History]
_Emission = tuple[str, int, int]
"""A phone, and the pdfs of its first and its further frames."""


def _arcs(graph: HmmGraph, phones: Sequence[str]) -> list[list[tuple[_Emission, int]]]:
    """What each state leads to."""
    arcs: list[list[tuple[_Emission, int]]] = [[] for _ in range(graph.states)]
    pdfs = list(zip(graph.forward.tolist(), graph.loop.tolist(), strict=True))
    for source, to in zip(graph.edge_source.tolist(), graph.edge_target.tolist(), strict=True):
        arcs[source].append(((phones[to], *pdfs[to]), to))
    return arcs


def _following(
    arcs: Sequence[Sequence[tuple[_Emission, int]]], states: frozenset[int]
) -> list[tuple[str, frozenset[int]]]:
    """The sets of states that follow a set, those that emit alike together."""
    found: dict[_Emission, set[int]] = {}
    for state in sorted(states):
        for emission, target in arcs[state]:
            found.setdefault(emission, set()).add(target)
    return [(emission[0], frozenset(targets)) for emission, targets in found.items()]
