"""LM look-ahead: the best language-model score that the units below a graph node can still get.

Look-ahead after each unit uses the bigram of that unit, a dense table that is cheap to build and
to read; the exact (higher-order) score replaces it as soon as the unit is known. Follows the idea
of Ortmanns, Ney & Eiden 1996, "Language-model look-ahead for large vocabulary speech recognition".
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from asr.errors import ModelError
from asr.graph.hcl import HclGraph
from asr.graph.lexicon import Kind
from asr.graph.nodes import NUM_NODES, ROOT_NODE, onset_node, vowel_node
from asr.hangul.jamo import decompose, is_syllable
from asr.lm.automaton import LmAutomaton
from asr.lm.units import EOJEOL_MARK

STEP = 0.1
"""Nats between neighbouring entries of the table."""
NEVER = -100.0
"""Log-probability where no unit is."""
MAX_DEPTH = 4096
"""Arcs that a path through one unit may have."""


def unit_nodes(words: Sequence[str]) -> NDArray[np.int32]:
    """Nodes above each LM unit: int32 [V, 3] (root, onset and vowel of its first syllable).

    −1 where a unit is not made of Hangul syllables.
    """
    nodes = np.full((len(words), 3), -1, np.int32)
    for word_id, word in enumerate(words):
        syllables = word.removeprefix(EOJEOL_MARK)
        if syllables and all(map(is_syllable, syllables)):
            onset, nucleus, _ = decompose(syllables[0])
            initial = word != syllables
            nodes[word_id] = (
                ROOT_NODE,
                onset_node(initial, onset),
                vowel_node(initial, onset, nucleus),
            )
    return nodes


def last_words(lm: LmAutomaton) -> NDArray[np.int32]:
    """The last unit of each LM state's context: int32 [S]; the vocabulary's size for no context."""
    size = int(lm.arc_begin[1] - lm.arc_begin[0])
    last = np.full(len(lm.backoff_state), size, np.int32)
    last[lm.arc_next] = lm.arc_word  # all arcs into a state agree, but for state 0
    last[0] = size
    return last


def lookahead_table(lm: LmAutomaton, nodes: NDArray[np.int32]) -> NDArray[np.uint8]:
    """Best log-probability below each node after each last unit: uint8 [V + 1, NUM_NODES].

    Row ``v`` is for contexts that end in unit v; the last row is for the empty context. An entry q
    stands for −q · ``STEP`` nats. Coarse steps cost no accuracy, as what look-ahead adds to a path
    it takes away again, and a small table stays in the processor's cache.
    """
    exact = _exact_table(lm, nodes)
    return np.clip(np.rint(-exact / STEP), 0, 255).astype(np.uint8)


def _exact_table(lm: LmAutomaton, nodes: NDArray[np.int32]) -> NDArray[np.float32]:
    size = len(nodes)
    table = np.empty((size + 1, NUM_NODES), np.float32)
    unigram = np.full(NUM_NODES, NEVER, np.float32)
    first = slice(int(lm.arc_begin[0]), int(lm.arc_begin[1]))
    _raise(unigram, nodes[lm.arc_word[first]], lm.arc_logp[first])
    table[:] = unigram
    contexts = lm.arc_next[first]
    for word_id, state in zip(lm.arc_word[first].tolist(), contexts.tolist(), strict=True):
        if state != 0:
            row = table[word_id]
            row += lm.backoff_logp[state]
            arcs = slice(int(lm.arc_begin[state]), int(lm.arc_begin[state + 1]))
            _raise(row, nodes[lm.arc_word[arcs]], lm.arc_logp[arcs])
    return table


def _raise(row: NDArray[np.float32], nodes: NDArray[np.int32], logp: NDArray[np.float32]) -> None:
    known = nodes[:, 0] >= 0
    for column in range(nodes.shape[1]):
        np.maximum.at(row, nodes[known, column], logp[known])


def state_ahead(graph: HclGraph, lm: LmAutomaton) -> NDArray[np.float32]:
    """What is known of a unit beyond its first syllable: float32 [S], nats, none above 0.

    For a state past the first vowel of a unit: the best unigram log-probability of the units that
    can still be spelled from there, less that of all units with this first onset and vowel (whose
    score the table of :func:`lookahead_table` gives). 0 for all other states.

    Raises:
        ModelError: the graph's units are not the model's, or never end.
    """
    words = len(lm.vocabulary)
    if graph.arc_unit.size and int(graph.arc_unit.max()) >= words:
        raise ModelError("the graph has units that the language model lacks; build it again")
    deeper = (graph.node != ROOT_NODE) & (graph.first == 0)
    ahead = np.zeros(len(graph.kind), np.float32)
    if not deeper.any():
        return ahead
    unigram = np.full(words, NEVER, np.float32)
    first = slice(int(lm.arc_begin[0]), int(lm.arc_begin[1]))
    unigram[lm.arc_word[first]] = lm.arc_logp[first]
    by_node = np.full(NUM_NODES, NEVER, np.float32)
    _raise(by_node, unit_nodes(lm.vocabulary.units), unigram)
    best = _best_below(graph, unigram)
    ahead[deeper] = np.minimum(best[deeper] - by_node[graph.node[deeper]], 0.0)
    return ahead


def _best_below(graph: HclGraph, unigram: NDArray[np.float32]) -> NDArray[np.float32]:
    """The best unigram that can be spelled from each state before any unit ends: float32 [S]."""
    source = np.repeat(np.arange(len(graph.kind)), np.diff(graph.arc_begin))
    best = np.full(len(graph.kind), NEVER, np.float32)
    labelled = graph.arc_unit >= 0
    np.maximum.at(best, source[labelled], unigram[graph.arc_unit[labelled]])
    spelling = (graph.node != ROOT_NODE) & (graph.kind != Kind.SILENCE)
    inside = ~labelled & spelling[source] & spelling[graph.arc_target]
    source, target = source[inside], graph.arc_target[inside]
    for _ in range(MAX_DEPTH):
        before = best.copy()
        np.maximum.at(best, source, best[target])
        if np.array_equal(best, before):
            return best
    raise ModelError("the decoding graph has units without an end; build it again")
