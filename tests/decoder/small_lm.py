"""A small random language model for tests of searches that are checked exhaustively."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from asr.lm.automaton import LmAutomaton, build_automaton
from asr.lm.ngram import NgramModel, NgramOrder
from asr.lm.units import SPECIALS, Vocabulary


def random_bigram(units: Sequence[str], seed: int) -> LmAutomaton:
    """A random bigram (probabilities need not be normalised for the search)."""
    rng = np.random.default_rng(seed)
    vocabulary = Vocabulary((*SPECIALS, *units))
    size = len(vocabulary)
    unigrams = NgramOrder(
        np.zeros(size, np.int32),
        np.arange(size, dtype=np.uint16),
        rng.normal(-2, 1, size).astype(np.float32),
        rng.normal(-0.5, 0.2, size).astype(np.float32),
    )
    pairs = sorted({(int(a), int(b)) for a, b in rng.integers(1, size, (40, 2))})
    bigrams = NgramOrder(
        np.array([a for a, _ in pairs], np.int32),
        np.array([b for _, b in pairs], np.uint16),
        rng.normal(-1, 1, len(pairs)).astype(np.float32),
        np.zeros(len(pairs), np.float32),
    )
    return build_automaton(NgramModel(vocabulary, (unigrams, bigrams)))
