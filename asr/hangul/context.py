"""Which reading a junction takes in a given word: a sparse log-linear model over its context.

Tensing in 문법 but not in 방법, ㄴ added in 담요 but not in 금요일: 표준발음법 leaves these to
the words. Weights learned from the dictionary (`data/junction_weights.tsv`; trained by
`tools/train_junction_weights.py`) score each reading against the plain one from the syllables
around the junction and, when it is known, from the morpheme structure.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from itertools import accumulate

from asr.hangul.jamo import CODAS, ONSETS, decompose
from asr.hangul.junction import Reading
from asr.hangul.tables import read_table

Weights = dict[str, tuple[tuple[Reading, float], ...]]
"""Log-odds of readings against the plain one, by context feature."""

_FAR = 4
"""Syllables from the junction to the edge of the word are counted up to this many."""


def junction_scores(
    word: str, position: int, parts: Sequence[str] | None = None
) -> dict[Reading, float]:
    """Log-odds (nats) of each reading against Reading.PLAIN between word[position] and the next.

    word: one eojeol of Hangul syllables; parts: its morphemes, whose concatenation is `word`, or
    None when they are not known. A reading that is absent has a score of 0.
    """
    scores: dict[Reading, float] = {}
    weights = load_weights()
    for feature in features(word, position, parts):
        for reading, weight in weights.get(feature, ()):
            scores[reading] = scores.get(reading, 0.0) + weight
    return scores


def features(word: str, position: int, parts: Sequence[str] | None = None) -> list[str]:
    """Names of the context features at a junction; arguments as for `junction_scores`.

    `문|법` are the syllables at the junction, `^` and `$` the edges of the word, a digit the
    syllables to the edge, a jamo the coda or onset. Names with `=` (inside a morpheme) or `-`
    (between two) need the structure; `[법]` is a whole morpheme.
    """
    names = _syllable_features(word[: position + 1], word[position + 1 :])
    if parts is not None:
        names += _structure_features(word, position, parts)
    return list(dict.fromkeys(names))


def _syllable_features(left: str, right: str) -> list[str]:
    l1, r1 = left[-1], right[0]
    l2, l3 = ("^" + left)[-2:], ("^" + left)[-3:]
    r2, r3 = (right + "$")[:2], (right + "$")[:3]
    before, after = min(len(left), _FAR), min(len(right), _FAR)
    coda, onset = _edges(l1, r1)
    return [
        "|", f"{before}|{after}", f"{coda}|{onset}", f"{before}{coda}|{onset}{after}",
        f"{l1}|", f"{l2}|", f"{l3}|", f"|{r1}", f"|{r2}", f"|{r3}",
        f"{l1}|{onset}", f"{l2}|{onset}", f"{coda}|{r1}", f"{coda}|{r2}",
        f"{l1}|{r1}", f"{l2}|{r1}", f"{l1}|{r2}", f"{l2}|{r2}", f"{l3}|{r1}", f"{l1}|{r3}",
        f"{before}|{r1}", f"{before}|{r2}", f"{before}{coda}|{r1}",
        f"{l1}|{after}", f"{l2}|{after}", f"{before}{l1}|{r1}{after}",
    ]  # fmt: skip


def _structure_features(word: str, position: int, parts: Sequence[str]) -> list[str]:
    l1, r1 = word[position], word[position + 1]
    before, after = min(position + 1, _FAR), min(len(word) - position - 1, _FAR)
    coda, onset = _edges(l1, r1)
    index, offset, divided = _locate(position, parts)
    mark = "-" if divided else "="
    names = [
        mark, f"{before}{mark}{after}", f"{coda}{mark}{onset}",
        f"{before}{coda}{mark}{onset}{after}",
        f"{l1}{mark}{onset}", f"{coda}{mark}{r1}", f"{l1}{mark}{r1}",
    ]  # fmt: skip
    if not divided:
        part = parts[index]
        return [*names, f"[{part}]=", f"[{part}]{offset}={onset}"]
    left, right = parts[index], parts[index + 1]
    return [
        *names, f"[{left}]-", f"[{left}]-{onset}",
        f"-[{right}]", f"{coda}-[{right}]", f"{before}{coda}-[{right}]",
    ]  # fmt: skip


def _edges(left: str, right: str) -> tuple[str, str]:
    return CODAS[decompose(left)[2]], ONSETS[decompose(right)[0]]


def _locate(position: int, parts: Sequence[str]) -> tuple[int, int, bool]:
    """The part that holds word[position], its place in it, and whether the part ends there."""
    for index, end in enumerate(accumulate(map(len, parts))):
        if position < end:
            return index, position - end + len(parts[index]), position == end - 1
    raise IndexError(position)


@cache
def load_weights() -> Weights:
    """The weights that come with the package."""
    return weights_of(read_table("junction_weights.tsv"))


def weights_of(rows: Iterable[Sequence[str]]) -> Weights:
    """Weights by feature, of rows of (feature, reading, log-odds)."""
    weights: Weights = {}
    for name, reading, weight in rows:
        weights[name] = (*weights.get(name, ()), (Reading(reading), float(weight)))
    return weights
