"""HCL ∘ G: compose the lexicon graph with a small language model into one static graph.

A state is a pair (HCL state, LM state). Back-off is an epsilon arc, as in Kaldi's G.fst (Mohri,
Pereira & Riley 2008, "Speech recognition with weighted finite-state transducers"): it is taken
between units only, and below an LM state only the units that it lists are spelled out. So a unit
that is listed may also be reached through the back-off, as in every such graph.

Back-off leads from a state between units to its *exit*, a non-emitting copy in the lower LM state
that holds only the arcs on which a unit begins: codas and pauses are not multiplied by the LM
states that may be backed off to.

Language-model scores are paid as early as possible: a state's potential is the best score that the
LM state lists for a unit that can still be spelled from there (:mod:`asr.graph.static_ahead`).
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from asr.errors import ModelError
from asr.graph import static_kernels as kernels
from asr.graph.hcl import ROOT_NODE, HclGraph
from asr.graph.lexicon import Kind
from asr.graph.static_ahead import ListedAhead, unit_classes
from asr.graph.static_graph import Role, StaticGraph
from asr.lm.automaton import LmAutomaton
from asr.lm.units import EOJEOL_MARK

MOST_ARCS = 400_000_000
"""A graph of more arcs is refused: it would need some 7 GB to build."""


class LmWeights(Protocol):
    """What the composition needs of the search's options (asr.decoder.config.DecoderConfig)."""

    @property
    def lm_scale(self) -> float: ...
    @property
    def unit_bonus(self) -> float: ...
    @property
    def space_bonus(self) -> float: ...


def compile_static(hcl: HclGraph, lm: LmAutomaton, options: LmWeights) -> StaticGraph:
    """Compose ``hcl`` with ``lm``.

    Args:
        hcl: the lexicon graph, whose labels are the model's units.
        lm: the language model; every n-gram makes some ten arcs.
        options: ``lm_scale``, ``unit_bonus`` and ``space_bonus`` go into the costs.

    Returns:
        The graph. The cost of a path is that of HCL, less ``lm_scale`` · log-probability of its
        units and of the end of sentence, less the bonuses.

    Raises:
        ModelError: the units are not the model's, or the graph would be too large.
    """
    size = len(lm.vocabulary)
    check_graph(hcl, lm)
    lists, end = lm_costs(lm, options)
    between = hcl.node == ROOT_NODE
    state_class, classes = unit_classes(hcl, between, size)
    ahead = ListedAhead.of(lists, classes, np.unique(hcl.arc_unit[hcl.arc_unit >= 0]))
    composed = kernels.compose(
        _plain(hcl, between, state_class), lists, ahead.arrays, end,
        int(hcl.start[0]), lm.start_state, MOST_ARCS,
    )  # fmt: skip
    if len(composed.state) == 0:
        raise ModelError(
            f"the static graph would have more than {MOST_ARCS} arcs; prune the language model"
            " more (asr train-lm --prune)"
        )
    return _numbered(hcl, lm, composed)


def check_graph(hcl: HclGraph, lm: LmAutomaton) -> None:
    """Refuse a graph of other units, or with arcs that cannot be composed.

    Those are arcs that leave a unit without naming it, or that pass two pending states.

    Raises:
        ModelError: it is such a graph.
    """
    if hcl.arc_unit.size and int(hcl.arc_unit.max()) >= len(lm.vocabulary):
        raise ModelError("the graph has units that the language model lacks; build it again")
    between = hcl.node == ROOT_NODE
    source = np.repeat(np.arange(len(between)), np.diff(hcl.arc_begin))
    pending = hcl.kind == Kind.PENDING
    leaks = (hcl.arc_unit < 0) & ~between[source] & between[hcl.arc_target]
    if bool(leaks.any()) or bool((pending[source] & pending[hcl.arc_target]).any()):
        raise ModelError("the decoding graph has arcs that no lexicon makes; build it again")


def lm_costs(lm: LmAutomaton, options: LmWeights) -> tuple[kernels.LmLists, NDArray[np.float64]]:
    """The language model as costs, and that of the end of sentence in each of its states."""
    bonus = options.unit_bonus + options.space_bonus * np.array(
        [unit.startswith(EOJEOL_MARK) for unit in lm.vocabulary.units], np.float64
    )
    lists = kernels.LmLists(
        lm.arc_begin.astype(np.int64),
        lm.arc_word.astype(np.int32),
        lm.arc_next,
        -options.lm_scale * lm.arc_logp.astype(np.float64) - bonus[lm.arc_word],
        lm.backoff_state,
        -options.lm_scale * lm.backoff_logp.astype(np.float64),
    )
    return lists, kernels.end_costs(lists, lm.eos, float(bonus[lm.eos]))


def backoff_depth(lm: LmAutomaton) -> NDArray[np.int64]:
    """How often each LM state can back off: int64 [S]."""
    depth = np.zeros(lm.states, np.int64)
    at = np.arange(lm.states)
    while at.any():
        depth += at != 0
        at = lm.backoff_state[at]
    return depth


def _plain(
    hcl: HclGraph, between: NDArray[np.bool_], state_class: NDArray[np.int32]
) -> kernels.Lexicon:
    """HCL as the kernel takes it."""
    source = np.repeat(np.arange(len(between)), np.diff(hcl.arc_begin))
    begins = (hcl.arc_unit < 0) & ~between[hcl.arc_target]
    return kernels.Lexicon(
        hcl.arc_begin, hcl.arc_target, hcl.arc_cost, hcl.arc_unit, hcl.final,
        between, state_class, np.bincount(source[begins], minlength=len(between)) > 0,
    )  # fmt: skip


def _numbered(hcl: HclGraph, lm: LmAutomaton, composed: kernels.Composed) -> StaticGraph:
    """Put emitting states first, then pending ones, then exits, the deepest LM states first."""
    depth = backoff_depth(lm)
    silent = composed.is_exit | (hcl.kind[composed.state] == Kind.PENDING)
    rank = np.where(silent, 1, 0)
    rank[composed.is_exit] = 2 + depth.max() - depth[composed.lm_state[composed.is_exit]]
    order = np.argsort(rank, kind="stable")
    number = np.empty(len(order), np.int64)
    number[order] = np.arange(len(order))
    emitting = int((~silent).sum())
    counts = np.diff(composed.arc_begin)[order]
    target = number[composed.arc_target].astype(np.int32)
    arcs = kernels.sorted_arcs(composed.arc_begin, order, target, composed.arc_cost, emitting)
    hcl_state = composed.state[order]
    role = np.where(hcl.node[hcl_state] == ROOT_NODE, Role.BETWEEN, Role.SPELLING)
    role[hcl.kind[hcl_state] == Kind.SILENCE] = Role.PAUSE
    role[emitting:][composed.is_exit[order[emitting:]]] = Role.BETWEEN
    return StaticGraph(
        forward=hcl.forward[hcl_state[:emitting]],
        loop=hcl.loop[hcl_state[:emitting]],
        loop_cost=hcl.loop_cost[hcl_state[:emitting]],
        arc_begin=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        arc_target=target[arcs],
        arc_cost=composed.arc_cost[arcs],
        arc_unit=composed.arc_unit[arcs],
        final_cost=composed.final_cost[order],
        start=int(number[0]),
        units=lm.vocabulary.units,
        role=role.astype(np.uint8),
    )
