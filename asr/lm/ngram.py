"""A back-off n-gram model in memory, with scores and perplexity by plain numpy."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from asr.lm.counts import find_keys
from asr.lm.units import BOS, EOJEOL_MARK, EOS, SPECIALS, UNK, Vocabulary, encode_lines

LOG_ZERO = -99.0 * math.log(10.0)
"""Natural log of the "zero" probability of ARPA files (-99 in base 10), given to <s>."""


@dataclass(frozen=True)
class NgramOrder:
    """The n-grams of one order, sorted by (context, word).

    context: int32 [n], index of the first n-1 units in the order below (0 for n=1).
    word: uint16 [n], the last unit; order 1 has every unit of the vocabulary, in order of id.
    logp: float32 [n], natural log of p(word | context).
    backoff: float32 [n], natural log of the weight when the n-gram is a context; 0 if it is none.
    """

    context: np.ndarray
    word: np.ndarray
    logp: np.ndarray
    backoff: np.ndarray

    def __len__(self) -> int:
        return len(self.word)


@dataclass(frozen=True)
class Perplexity:
    """Sums over a text.

    logp: natural log probability of all, <unk> and </s> included.
    tokens: units and one </s> a sentence.
    unknown: how many of the units are <unk>.
    syllables: of the known units; of an unknown unit 1.
    jamo: likewise, and one more for each space and each </s>. So figures per syllable and per jamo
        compare models of different units, as long as the same characters are unknown to them.
    hits: for each order how many tokens were scored by an n-gram of that length.
    unknown_logp: the part of logp that is of <unk>.
    """

    logp: float
    tokens: int
    unknown: int
    sentences: int
    syllables: int
    jamo: int
    hits: tuple[int, ...] = ()
    unknown_logp: float = 0.0

    def __add__(self, other: Perplexity) -> Perplexity:
        """Return the sums over both texts, scored by the same model."""
        return Perplexity(
            logp=self.logp + other.logp,
            tokens=self.tokens + other.tokens,
            unknown=self.unknown + other.unknown,
            sentences=self.sentences + other.sentences,
            syllables=self.syllables + other.syllables,
            jamo=self.jamo + other.jamo,
            hits=tuple(a + b for a, b in zip(self.hits, other.hits, strict=True)),
            unknown_logp=self.unknown_logp + other.unknown_logp,
        )

    @property
    def per_unit(self) -> float:
        return math.exp(-self.logp / max(self.tokens, 1))

    @property
    def per_known_unit(self) -> float:
        """Perplexity of the units that are not <unk>; contexts may hold <unk>."""
        known = self.tokens - self.unknown
        return math.exp((self.unknown_logp - self.logp) / max(known, 1))

    @property
    def per_syllable(self) -> float:
        return math.exp(-self.logp / max(self.syllables, 1))

    @property
    def bits_per_jamo(self) -> float:
        return -self.logp / math.log(2.0) / max(self.jamo, 1)

    @property
    def per_jamo(self) -> float:
        return math.exp(-self.logp / max(self.jamo, 1))


@dataclass(frozen=True)
class NgramModel:
    """An n-gram back-off model: p(w | h) is stored, or backoff(h) p(w | h without its first).

    licence, attribution: on what terms and with whose name it may be passed on.
    """

    vocabulary: Vocabulary
    orders: tuple[NgramOrder, ...]
    licence: str = ""
    attribution: str = ""

    @property
    def order(self) -> int:
        return len(self.orders)

    @property
    def size(self) -> int:
        """Number of n-grams of all orders."""
        return sum(len(table) for table in self.orders)

    @cached_property
    def keys(self) -> tuple[np.ndarray, ...]:
        """For each order the sorted int64 keys context * len(vocabulary) + word."""
        width = len(self.vocabulary)
        return tuple(t.context.astype(np.int64) * width + t.word for t in self.orders)

    def find(self, order: int, context: np.ndarray, word: np.ndarray) -> np.ndarray:
        """Return the index of each n-gram (context, word) at `order`, -1 where there is none."""
        return find_keys(self.keys[order - 1], context, word, len(self.vocabulary))

    def score_tokens(self, tokens: np.ndarray) -> np.ndarray:
        """Score tokens in their running context.

        Args:
            tokens: uint16 [t], sentences as `units.encode_lines` makes them: each opens with <s>.

        Returns:
            float64 [t], natural log of p(token | sentence so far); 0 at each <s>.
        """
        return self.match_tokens(tokens)[0]

    def match_tokens(self, tokens: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """As `score_tokens`; also int8 [t], the length of the n-gram that scored each token."""
        tokens = np.asarray(tokens, np.int64)
        is_bos = tokens == self.vocabulary.bos
        # ending[n]: index of the n-gram that ends at each token (-1: unseen or crosses a <s>).
        ending = [np.zeros(len(tokens), np.int64), tokens]
        score = self.orders[0].logp[tokens].astype(np.float64)
        length = np.ones(len(tokens), np.int8)
        for n in range(2, self.order + 1):
            context = np.full(len(tokens), -1, np.int64)
            context[1:] = ending[n - 1][:-1]
            context[is_bos] = -1
            backoff = self.orders[n - 2].backoff[np.maximum(context, 0)]
            score += np.where(context >= 0, backoff, 0.0)
            found = self.find(n, context, tokens)
            score = np.where(found >= 0, self.orders[n - 1].logp[np.maximum(found, 0)], score)
            length[found >= 0] = n
            ending.append(found)
        score[is_bos], length[is_bos] = 0.0, 0
        return score, length

    def score(self, text: str, eos: bool = True) -> float:
        """Return the natural log probability of a sentence, with </s> unless `eos` is false."""
        vocabulary = self.vocabulary
        tail = [vocabulary.eos] if eos else []
        return float(self.score_ids([*vocabulary.encode(text), *tail]).sum())

    def score_ids(self, ids: Sequence[int]) -> np.ndarray:
        """Return the natural log probability of each unit id after <s> and the ids before it."""
        tokens = np.array([self.vocabulary.bos, *ids], np.int64)
        return self.score_tokens(tokens)[1:]

    def perplexity(self, sentences: Iterable[str]) -> Perplexity:
        """Score sentences; each counts its units and one </s>. Unknown units count as <unk>."""
        vocabulary = self.vocabulary
        tokens = encode_lines((line for line in sentences if line.strip()), vocabulary)
        scores, lengths = self.match_tokens(tokens)
        sizes = np.array([_sizes(unit) for unit in vocabulary.units])
        starts, unknown = tokens == vocabulary.bos, tokens == vocabulary.unk
        syllables, jamo = sizes[tokens].sum(axis=0).tolist()
        return Perplexity(
            logp=float(scores.sum()),
            tokens=len(tokens) - int(starts.sum()),
            unknown=int(unknown.sum()),
            sentences=int(starts.sum()),
            syllables=syllables,
            jamo=jamo,
            hits=tuple(np.bincount(lengths, minlength=self.order + 1)[1:].tolist()),
            unknown_logp=float(scores[unknown].sum()),
        )


def _sizes(unit: str) -> tuple[int, int]:
    """Syllables and jamo of a unit, its space being a jamo more; </s> is a jamo, no syllable."""
    if unit in SPECIALS:
        return {BOS: (0, 0), EOS: (0, 1), UNK: (1, 1)}[unit]
    codes = [ord(character) - 0xAC00 for character in unit.removeprefix(EOJEOL_MARK)]
    jamo = sum((3 if code % 28 else 2) if 0 <= code < 11172 else 1 for code in codes)
    return len(codes), jamo + unit.startswith(EOJEOL_MARK)
