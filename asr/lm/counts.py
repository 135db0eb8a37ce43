"""Counting n-grams by sorting packed integers.

An n-gram is the number of its first n-1 units (an n-gram of the order below, its context) and its
last unit: one int64 key whatever the order. The tables of all orders form a trie in which
contexts and their continuations lie sorted. Several corpora are counted into one trie, a row of
counts each, so that they can be smoothed apart and mixed.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from asr.errors import DataError, UsageError

MAX_ORDER = 8
BLOCK = 1 << 22
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Corpus:
    """A training text.

    tokens: uint16, as `units.encode_lines` or, for fragments, `units.encode_words` makes them.
    fragments: whether these are words without context, not sentences. The <s> of fragments only
        parts them and is not counted.
    """

    tokens: np.ndarray
    fragments: bool = False


@dataclass(frozen=True)
class NgramTable:
    """All n-grams of one order, sorted by (context, word).

    context: int32 [n], index of the first n-1 units in the table of the order below (0 for n=1).
    word: uint16 [n], the last unit.
    suffix: int32 [n], index of the last n-1 units in the table of the order below (0 for n=1).
    counts: uint32 [corpora, n], occurrences.
    """

    context: np.ndarray
    word: np.ndarray
    suffix: np.ndarray
    counts: np.ndarray

    def __len__(self) -> int:
        return len(self.word)


@dataclass(frozen=True)
class NgramCounts:
    """The tables of orders 1 to N; table 1 has a row for every unit of the vocabulary.

    bos: id of <s>, which is never predicted. Its unigram count is the number of sentences.
    fragments: for each corpus whether it is of words without context.
    """

    tables: tuple[NgramTable, ...]
    bos: int
    fragments: tuple[bool, ...]

    @property
    def order(self) -> int:
        return len(self.tables)

    @property
    def corpora(self) -> int:
        return len(self.tables[0].counts)

    def find(self, order: int, context: np.ndarray, word: np.ndarray) -> np.ndarray:
        """Return the index of each n-gram (context, word) at `order`, -1 where there is none."""
        table, width = self.tables[order - 1], len(self.tables[0])
        return find_keys(table.context.astype(np.int64) * width + table.word, context, word, width)


def find_keys(keys: np.ndarray, context: np.ndarray, word: np.ndarray, width: int) -> np.ndarray:
    """Return where context * width + word stands in sorted int64 keys; -1: nowhere or context < 0.
    """
    if len(keys) == 0:
        return np.full(len(word), -1, np.int64)
    wanted = context.astype(np.int64) * width + word
    at = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where((context >= 0) & (keys[at] == wanted), at, -1)


def count_ngrams(
    corpora: Sequence[Corpus],
    order: int,
    vocabulary_size: int,
    bos: int,
    progress: Callable[[int], None] = lambda done: None,
) -> NgramCounts:
    """Count the n-grams of orders 1 to `order` in corpora of tokens.

    Args:
        corpora: n-grams never cross a <s>.
        order: 1 to 8.
        progress: called with the order that is finished.

    Memory beside the tables: about 10 bytes a token and 64 bytes a token of one block.

    Raises:
        UsageError: the order is out of range. DataError: there is nothing to count.
    """
    if not 1 <= order <= MAX_ORDER:
        raise UsageError(f"n-gram order {order} is out of range; choose 1 to {MAX_ORDER}")
    if not corpora or any(len(corpus.tokens) == 0 for corpus in corpora):
        raise DataError("a training corpus holds no sentence; check the files and their encoding")
    tokens = np.concatenate([corpus.tokens for corpus in corpora])
    bounds = np.cumsum([0, *(len(corpus.tokens) for corpus in corpora)])
    columns = [np.bincount(corpus.tokens, minlength=vocabulary_size) for corpus in corpora]
    words = np.arange(vocabulary_size, dtype=np.uint16)
    zeros = np.zeros(vocabulary_size, np.int32)
    tables = [NgramTable(zeros, words, zeros, np.stack(columns).astype(np.uint32))]
    progress(1)
    ids = tokens.astype(np.int32)
    for n in range(2, order + 1):
        table, ids = _next_order(tokens, bounds, ids, n, vocabulary_size, bos)
        tables.append(table)
        log.debug("order %d: %d n-grams", n, len(table))
        progress(n)
    counts = NgramCounts(tuple(tables), bos, tuple(c.fragments for c in corpora))
    _forget_sentence_starts(counts)
    return counts


def opens_with(tables: Sequence[NgramTable], unit: int) -> np.ndarray:
    """Return bool [n]: which n-grams of the last table begin with a unit."""
    opens = np.arange(len(tables[0])) == unit
    for table in tables[1:]:
        opens = opens[table.context]
    return opens


def _forget_sentence_starts(counts: NgramCounts) -> None:
    rows = np.flatnonzero(counts.fragments)
    if len(rows):
        for n in range(1, counts.order + 1):
            opens = opens_with(counts.tables[:n], counts.bos)
            counts.tables[n - 1].counts[np.ix_(rows, opens)] = 0


def _next_order(
    tokens: np.ndarray, bounds: np.ndarray, ids: np.ndarray, n: int, size: int, bos: int
) -> tuple[NgramTable, np.ndarray]:
    """Count order n from `ids`, the (n-1)-gram that starts at each token (-1: none)."""
    blocks = [
        (start, min(start + BLOCK, end), corpus)
        for corpus, end in enumerate(bounds[1:])
        for start in range(bounds[corpus], end, BLOCK)
    ]
    corpora = len(bounds) - 1
    runs: list[list[tuple[np.ndarray, np.ndarray]]] = [[] for _ in range(corpora)]
    for start, end, corpus in blocks:
        keys, _ = _keys(tokens, ids, start, end, n, size, bos)
        runs[corpus].append(np.unique(keys, return_counts=True))
        while len(runs[corpus]) > 1 and len(runs[corpus][-2][0]) < 2 * len(runs[corpus][-1][0]):
            runs[corpus].append(_merge([runs[corpus].pop(), runs[corpus].pop()]))
    merged = [_merge(own) for own in runs]
    keys = merged[0][0] if corpora == 1 else np.unique(np.concatenate([k for k, _ in merged]))
    counts = np.zeros((corpora, len(keys)), np.uint32)
    for corpus, (own, count) in enumerate(merged):
        counts[corpus, np.searchsorted(keys, own)] = count
    del merged, runs
    suffix = np.zeros(len(keys), np.int32)
    new_ids = np.full(len(ids), -1, np.int32)
    for start, end, _ in blocks:
        block_keys, positions = _keys(tokens, ids, start, end, n, size, bos)
        unique, inverse = np.unique(block_keys, return_inverse=True)
        found = np.searchsorted(keys, unique).astype(np.int32)[inverse]
        new_ids[positions] = found
        suffix[found] = ids[positions + 1]
    context = (keys // size).astype(np.int32)
    word = (keys % size).astype(np.uint16)
    return NgramTable(context, word, suffix, counts), new_ids


def _keys(
    tokens: np.ndarray, ids: np.ndarray, start: int, end: int, n: int, size: int, bos: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the int64 keys of the n-grams that start in a block, and where they start."""
    end = min(end, len(tokens) - n + 1)
    if end <= start:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    last = tokens[start + n - 1 : end + n - 1]
    positions = np.flatnonzero((ids[start:end] >= 0) & (last != bos))
    keys = ids[start + positions].astype(np.int64) * size + last[positions]
    return keys, start + positions


def _merge(runs: list[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    if len(runs) == 1:
        return runs[0]
    keys = np.concatenate([run[0] for run in runs])
    counts = np.concatenate([run[1] for run in runs])
    order = np.argsort(keys, kind="stable")
    keys, counts = keys[order], counts[order]
    first = np.flatnonzero(np.diff(keys, prepend=-1))
    return keys[first], np.add.reduceat(counts, first) if len(first) else counts
