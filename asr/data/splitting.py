"""Splits into train, dev and test that share neither a speaker nor a sentence.

Speakers are dealt to the sets by a seeded draw. Sentences that speakers of two sets both say stay
in the set that is measured on (test before dev before train) and are dropped from the other; of
many draws, the one that drops the least is kept.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from asr.data.directory import DataDir
from asr.data.sentences import sentence_key
from asr.errors import DataError, UsageError

PARTS = ("train", "dev", "test")
_SIZE = re.compile(r"(\d+(?:\.\d+)?)(%|s|m|h|spk|)")


@dataclass(frozen=True, slots=True)
class Size:
    """How much of a directory is wanted."""

    amount: float
    unit: str
    """`%` of the seconds, `s`econds, `m`inutes, `h`ours, `spk` (speakers), or none: utterances."""

    @classmethod
    def parse(cls, text: str) -> Size:
        """Read `10%`, `600s`, `10m`, `1.5h`, `3spk` or `200` (utterances).

        Raises:
            UsageError: anything else.
        """
        match = _SIZE.fullmatch(text.strip())
        if match is None or float(match[1]) == 0:
            raise UsageError(
                f"{text!r} is no size: write 10%, 600s, 10m, 1.5h, 3spk or 200 (utterances)"
            )
        return cls(float(match[1]), match[2])

    def of(self, total_seconds: float) -> tuple[str, float]:
        """The measure (seconds, speakers, utterances) and how much of it."""
        scale = {"%": total_seconds / 100, "s": 1.0, "m": 60.0, "h": 3600.0}
        if self.unit in scale:
            return "seconds", self.amount * scale[self.unit]
        return ("speakers" if self.unit == "spk" else "utterances"), self.amount


@dataclass(frozen=True, slots=True)
class SplitConfig:
    """How to split."""

    dev: str = "10%"
    test: str = "10%"
    seed: int = 0
    draws: int = 200
    """Random orders of the speakers that are tried."""


@dataclass(frozen=True, slots=True)
class Split:
    """The parts by name, and utterances dropped because another part has their sentence."""

    parts: Mapping[str, DataDir]
    dropped: tuple[str, ...]


def split(data: DataDir, config: SplitConfig | None = None) -> Split:
    """Split a directory. The same directory and config always give the same split.

    Raises:
        DataError: fewer than three speakers, no texts, or sizes that cannot be reached.
        UsageError: a size that is none.
    """
    config = config or SplitConfig()
    sizes = {name: Size.parse(text) for name, text in (("test", config.test), ("dev", config.dev))}
    if len(data.speakers) < len(PARTS):
        raise DataError(
            f"{len(data.speakers)} speakers cannot be split three ways: give a directory with more"
        )
    if not data.has_text:
        raise DataError("without text nobody knows which sentences are the same: add text")
    corpus = _Corpus(data)
    rng = np.random.default_rng(config.seed)
    best: tuple[float, dict[str, int]] | None = None
    for _ in range(config.draws):
        parts = corpus.draw(rng.permutation(len(corpus.speakers)), sizes)
        if parts is not None:
            cost = corpus.cost(parts, sizes)
            if best is None or cost < best[0]:
                best = cost, parts
    if best is None:
        raise DataError(
            f"dev {config.dev} and test {config.test} leave no speaker to train on: ask for less"
        )
    return corpus.divide(best[1])


class _Corpus:
    """A directory's speakers as numbers, with what they say and how long."""

    def __init__(self, data: DataDir) -> None:
        self._data = data
        self.speakers = list(data.speakers)
        number = {name: i for i, name in enumerate(self.speakers)}
        self._who = np.array([number[u.speaker] for u in data.utterances])
        numbers: dict[str, int] = {}
        keys = (sentence_key(u.text or "") for u in data.utterances)
        self._sentence = np.array([numbers.setdefault(key, len(numbers)) for key in keys])
        self._seconds = np.array([data.durations[u.id] for u in data.utterances])
        self._amounts = {
            "speakers": np.ones(len(self.speakers)),
            "utterances": np.bincount(self._who, minlength=len(self.speakers)).astype(float),
            "seconds": np.bincount(self._who, self._seconds, len(self.speakers)),
        }
        self._total = float(self._seconds.sum())

    def draw(
        self, order: Sequence[int] | np.ndarray, sizes: Mapping[str, Size]
    ) -> dict[str, int] | None:
        """Deal speakers in this order to test, then dev; None if none is left to train on."""
        parts: dict[str, int] = {}
        queue = [int(i) for i in order]
        for name, size in sizes.items():
            measure, wanted = size.of(self._total)
            reached = 0.0
            while queue and reached < wanted:
                amount = float(self._amounts[measure][queue[0]])
                # the last speaker is left out where the part is nearer to its size without
                if reached and reached + amount - wanted > wanted - reached:
                    break
                parts[self.speakers[queue.pop(0)]] = PARTS.index(name)
                reached += amount
        for i in queue:
            parts[self.speakers[i]] = 0
        return parts if queue else None

    def cost(self, parts: Mapping[str, int], sizes: Mapping[str, Size]) -> float:
        """Seconds dropped, and seconds by which what is left of dev and test misses its size."""
        part = np.array([parts[name] for name in self.speakers])
        shared = self._shared(part)
        cost = float(self._seconds[shared].sum())
        for name, size in sizes.items():
            measure, wanted = size.of(self._total)
            amounts = self._amounts[measure]
            left = float(amounts[part == PARTS.index(name)].sum())
            lost = shared[part[self._who[shared]] == PARTS.index(name)]
            if measure == "utterances":
                left -= len(lost)
            elif measure == "seconds":
                left -= float(self._seconds[lost].sum())
            cost += abs(left - wanted) * self._total / float(amounts.sum())
        return cost

    def divide(self, parts: Mapping[str, int]) -> Split:
        part = np.array([parts[name] for name in self.speakers])
        dropped = set(self._shared(part).tolist())
        ids: dict[str, list[str]] = {name: [] for name in PARTS}
        for i, utterance in enumerate(self._data.utterances):
            if i not in dropped:
                ids[PARTS[part[self._who[i]]]].append(utterance.id)
        return Split(
            {name: self._data.select(ids[name]) for name in PARTS},
            tuple(self._data.utterances[i].id for i in sorted(dropped)),
        )

    def _shared(self, part: np.ndarray) -> np.ndarray:
        """Numbers of utterances whose sentence a part that goes before theirs has."""
        mine = part[self._who]
        first = np.zeros(int(self._sentence.max()) + 1, part.dtype)
        np.maximum.at(first, self._sentence, mine)
        return np.flatnonzero(mine < first[self._sentence])
