"""Whether what was said is in the grammar at all: the measure, calibrated on real speech.

A closed search always finds some phrase. Beside it a free search (the model's own n-gram) looks for
the best path of any words over the same acoustic scores. For words of the grammar both are about as
good, and for others the free one is better, by more the more differs. How much better, per frame
and for the path's worst stretch, gives the probability that the words were in the grammar by
logistic regression (as likelihood-ratio confidences: Jiang 2005, "Confidence measures for speech
recognition: a survey", Speech Communication 45).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from asr.errors import UsageError
from asr.graph.grammar_compile import NEVER
from asr.graph.grammar_nodes import syllables_of
from asr.hangul.jamo import to_jamo

FEATURES = ("score", "acoustic", "worst")
WINDOW = 12
"""Jamo of the stretch that differs most: an eojeol or so."""


@dataclass(frozen=True, slots=True)
class RejectConfig:
    """The calibration; made by ``tools/bench/grammar.py --fit`` on train and dev of two corpora.

    It holds with a model's own decoder options in the free search, and for scale 1 without bonuses
    in the grammar's. These values are of the model ``ko-kaldi``; others bring their own in their
    section "reject".

    Attributes:
        threshold: what is in the grammar with a lower probability is rejected.
        intercept, weights: of the logistic regression on `reject_features`.
    """

    threshold: float = 0.66
    intercept: float = 2.708
    weights: tuple[float, ...] = (-5.018, -4.044, -1.89)

    def __post_init__(self) -> None:
        if not 0.0 <= self.threshold <= 1.0:
            raise UsageError(f"the reject threshold is a probability, not {self.threshold}")
        object.__setattr__(self, "weights", tuple(self.weights))
        if len(self.weights) != len(FEATURES):
            raise UsageError(f"there are {len(FEATURES)} reject features, not {len(self.weights)}")


@dataclass(frozen=True, slots=True)
class PathScore:
    """The best path of one search.

    Attributes:
        total: its score (nats): acoustic, LM and bonuses.
        acoustic: the same without LM and bonuses (but with the graph's costs).
        text: its words in Hangul; spaces do not count.
    """

    total: float
    acoustic: float
    text: str


def reject_features(grammar: PathScore, free: PathScore, frames: int) -> NDArray[np.float64]:
    """What tells words of the grammar from others: float64 [3], in the order of ``FEATURES``.

    score: nats a frame by which the free path is better; acoustic: the same without LM; worst:
    edits between the paths' jamo in the worst ``WINDOW`` jamo of the grammar's, over ``WINDOW``.
    """
    length = max(frames, 1)
    theirs, ours = to_jamo(syllables_of(free.text)), to_jamo(syllables_of(grammar.text))
    edits = _edits(theirs, ours)
    sums = np.convolve(edits, np.ones(min(WINDOW, len(edits))), "valid")
    return np.array(
        [
            (free.total - grammar.total) / length,
            (free.acoustic - grammar.acoustic) / length,
            sums.max() / WINDOW,
        ]
    )


def grammar_confidence(
    grammar: PathScore, free: PathScore, frames: int, config: RejectConfig | None = None
) -> float:
    """The probability that what was said is in the grammar; reject it below ``config.threshold``.

    Args:
        grammar: the best path of the grammar's search; 0 is returned where it is none (its score
            is that of something the grammar does not allow).
        free: the best path of a search with the model's own language model.
        frames: how many frames of scores both searched.
    """
    config = config or RejectConfig()
    if not grammar.total > NEVER / 2 or not math.isfinite(free.total):
        return 0.0
    logit = config.intercept + float(np.dot(config.weights, reject_features(grammar, free, frames)))
    return 1.0 / (1.0 + math.exp(-max(min(logit, 50.0), -50.0)))


def _edits(theirs: str, ours: str) -> NDArray[np.float64]:
    """Edits that turn ``theirs`` into ``ours``, at the place of ours where each is made.

    float64 [len(ours) + 1]; the last place is after the end. Levenshtein distance, rows of numpy.
    """
    rows = np.empty((len(theirs) + 1, len(ours) + 1), np.int32)
    rows[0] = np.arange(len(ours) + 1)
    codes = np.array([ord(c) for c in ours], np.int32)
    steps = np.arange(len(ours) + 1)
    for i, letter in enumerate(theirs, 1):
        best = np.empty(len(ours) + 1, np.int32)
        best[0] = i
        best[1:] = np.minimum(rows[i - 1][1:] + 1, rows[i - 1][:-1] + (codes != ord(letter)))
        rows[i] = np.minimum.accumulate(best - steps) + steps
    return _trace(rows, theirs, ours)


def _trace(rows: NDArray[np.int32], theirs: str, ours: str) -> NDArray[np.float64]:
    edits = np.zeros(len(ours) + 1)
    i, j = len(theirs), len(ours)
    while i or j:
        if i and j and rows[i, j] == rows[i - 1, j - 1] + (theirs[i - 1] != ours[j - 1]):
            edits[j - 1] += theirs[i - 1] != ours[j - 1]
            i, j = i - 1, j - 1
        elif i and rows[i, j] == rows[i - 1, j] + 1:
            edits[j] += 1
            i -= 1
        else:
            edits[j - 1] += 1
            j -= 1
    return edits
