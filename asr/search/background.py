"""How ordinary a name is as text: 사람 and 지도 are said all day, 가산디지털단지역 is not.

In a sentence an everyday word is seldom meant as an entry. Its phones are worth less evidence:
by as much as a language model of ordinary text expects it more than a string of phones.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from asr.graph.bias import score_syllables
from asr.lm.automaton import LmAutomaton

UNHEARD = 14.0
"""Nats: a text that is less likely than exp(-14) is no everyday word."""


def commonness(texts: Sequence[str], lm: LmAutomaton) -> NDArray[np.float32]:
    """Nats by which each text is likelier in ordinary text than a name would be; 0 at least.

    Args:
        texts: Hangul syllables and spaces; at least one syllable each.
    """
    scores = score_syllables(texts, lm)
    begin = np.cumsum([0, *(len(text) - text.count(" ") for text in texts)])
    return np.maximum(UNHEARD + np.add.reduceat(scores, begin[:-1]), 0.0).astype(np.float32)
