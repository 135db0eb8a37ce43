"""LM look-ahead: the best language-model score that the units below a graph node can still get.

Look-ahead after each unit uses the bigram of that unit, a dense table that is cheap to build and
to read; the exact (higher-order) score replaces it as soon as the unit is known. Follows the idea
of Ortmanns, Ney & Eiden 1996, "Language-model look-ahead for large vocabulary speech recognition".
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from asr.graph.hcl import NUM_NODES, ROOT_NODE, onset_node, vowel_node
from asr.hangul.jamo import decompose
from asr.lm.automaton import LmAutomaton
from asr.lm.units import EOJEOL_MARK

STEP = 0.1
"""Nats between neighbouring entries of the table."""


def unit_nodes(words: Sequence[str]) -> NDArray[np.int32]:
    """Nodes above each LM unit: int32 [V, 3] (root, onset, vowel); −1 if it is no syllable."""
    nodes = np.full((len(words), 3), -1, np.int32)
    for word_id, word in enumerate(words):
        syllable = word.removeprefix(EOJEOL_MARK)
        if len(syllable) == 1 and "가" <= syllable <= "힣":
            onset, nucleus, _ = decompose(syllable)
            initial = word != syllable
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
    unigram = np.full(NUM_NODES, -100.0, np.float32)
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
