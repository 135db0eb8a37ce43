"""What it costs to hear one phone for another: nats, set by hand after the phonology of Korean.

Cheapest are vowels that most speakers no longer tell apart (ㅐ/ㅔ, ㅚ/ㅙ/ㅞ), then lenis, tense and
aspirated consonants of one place, a coda that has moved to the next syllable (꽃이 → 꼬치), and
vowels and codas that are neighbours. Sounds that nobody confuses cost the most.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from asr.hangul.phones import NUCLEUS_PHONES, PHONES
from asr.search.phonetic import CLASS_OF, NUMBER

NEVER = 12.0
"""A vowel for a consonant: dearer than losing one and adding the other."""
_OTHER_CONSONANT, _OTHER_VOWEL = 4.0, 4.0

_GROUPS: tuple[tuple[float, str], ...] = (
    # vowels
    (0.2, "ae e"), (0.3, "oe wae we"), (0.3, "yae ye"), (0.8, "ae e ye yae"),
    (1.2, "ae e oe wae we"),
    (2.0, "ae e yae ye oe wae we"), (1.0, "ui i"), (1.6, "ui eu"), (1.8, "wi i"), (1.8, "eu u"),
    (1.8, "eo o"), (1.8, "yeo yo"), (2.0, "eo eu"), (2.0, "o u"), (2.0, "yo yu"), (2.0, "a eo"),
    (2.2, "a ya"), (2.2, "eo yeo"), (2.2, "o yo"), (2.2, "u yu"), (2.0, "wo eo"), (2.0, "wo o"),
    (2.0, "wa a"), (2.2, "wa o"), (2.4, "i e ae ye"), (2.4, "ya yeo"), (2.4, "wi we wae oe"),
    (2.6, "wi u"), (2.6, "eu i"), (2.6, "wa wo"),
    # lenis, tense, aspirated
    (0.9, "g gg kh"), (0.9, "d dd t"), (0.9, "b bb p"), (0.9, "j jj ch"), (0.7, "s ss"),
    # a coda and the onset it becomes
    (0.2, "g2 g"), (0.2, "b2 b"), (0.3, "d2 d"), (0.1, "l l2"), (0.1, "n n2"), (0.1, "m m2"),
    (0.5, "g2 gg kh"), (0.5, "d2 dd t"), (0.5, "b2 bb p"), (1.0, "d2 s ss"), (1.0, "d2 j jj ch"),
    # codas of one manner, and of one place (assimilated or not)
    (1.8, "g2 d2 b2"), (1.8, "n2 m2 ng"), (1.8, "n2 l2"), (2.0, "g2 ng"), (2.0, "d2 n2"),
    (2.0, "b2 m2"),
    # onsets
    (1.8, "n l"), (2.2, "n m"), (2.2, "d n"), (2.2, "b m"), (2.2, "d l"), (2.2, "h kh"),
    (2.4, "h p"), (2.4, "h g"), (2.6, "g d b"), (2.6, "gg dd bb"), (2.6, "kh t p"),
    (2.2, "j d"), (2.2, "ch t"), (2.2, "s j"), (2.2, "ss jj"), (2.2, "s ch"),
)  # fmt: skip
"""(cost, phones): of every pair of these, where no cheaper group has it."""

_LOST = {
    "h": 1.6, "l2": 2.2, "n2": 2.4, "ng": 2.4, "m2": 2.6, "g2": 2.2, "d2": 1.8, "b2": 2.2, "n": 2.4,
    "l": 2.4, "g": 2.8, "eu": 2.6, "i": 2.8,
}  # fmt: skip
_LOST_CONSONANT, _LOST_VOWEL = 3.0, 3.2


@dataclass(frozen=True, slots=True, eq=False)
class Costs:
    """Costs of edits between what was heard and an entry: nats, none negative.

    Attributes:
        substitute: float32 [46, 46], symmetric, 0 on the diagonal; [heard, meant].
        insert: float32 [46], of a phone that was heard and not meant.
        delete: float32 [46], of a phone that was meant and not heard.
    """

    substitute: NDArray[np.float32]
    insert: NDArray[np.float32]
    delete: NDArray[np.float32]

    def least_per_gram(self, length: int) -> float:
        """No class n-gram of an entry is missing in what was heard for less than this.

        An edit spoils at most ``length`` of the entry's n-grams (an insertion one fewer), and
        substitution within a class spoils none.
        """
        across = CLASS_OF[:, None] != CLASS_OF[None, :]
        whole = min(float(self.substitute[across].min()), float(self.delete.min())) / length
        between = float(self.insert.min()) / (length - 1)
        return min(whole, between)


@cache
def phonetic_costs() -> Costs:
    """The costs of the table above."""
    vowel = np.zeros(len(PHONES), bool)
    vowel[[NUMBER[name] for name in NUCLEUS_PHONES]] = True
    substitute = np.full((len(PHONES), len(PHONES)), NEVER, np.float32)
    substitute[np.ix_(vowel, vowel)] = _OTHER_VOWEL
    substitute[np.ix_(~vowel, ~vowel)] = _OTHER_CONSONANT
    for cost, names in _GROUPS:
        for one, other in combinations([NUMBER[name] for name in names.split()], 2):
            cheapest = min(cost, float(substitute[one, other]))
            substitute[one, other] = substitute[other, one] = cheapest
    np.fill_diagonal(substitute, 0.0)
    lost = np.where(vowel, _LOST_VOWEL, _LOST_CONSONANT).astype(np.float32)
    for name, cost in _LOST.items():
        lost[NUMBER[name]] = cost
    return Costs(substitute, lost.copy(), lost)


def unit_costs() -> Costs:
    """Levenshtein's: every edit costs 1."""
    substitute = 1.0 - np.eye(len(PHONES), dtype=np.float32)
    ones = np.ones(len(PHONES), np.float32)
    return Costs(substitute, ones, ones)


