"""Counting n-grams by sorting packed integers.

An n-gram is the number of its first n-1 units (an n-gram of the order below, its context) and its
last unit: one int64 key whatever the order. The tables of all orders form a trie in which
contexts and their continuations lie sorted. Several corpora are counted into one trie, each with
its own counts, so that they can be smoothed apart and mixed.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

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
class Occurrences:
    """How often each of n n-grams occurs in each corpus. Few are in many corpora, so zeros are not
    held.

    rows: for each corpus int32 [k], the n-grams it has in ascending order, and uint32 [k], how
        often.
    """

    size: int
    rows: tuple[tuple[np.ndarray, np.ndarray], ...]

    def __len__(self) -> int:
        return len(self.rows)

    def dense(self, corpus: int) -> np.ndarray:
        """Return uint32 [n] of one corpus."""
        index, counts = self.rows[corpus]
        result = np.zeros(self.size, np.uint32)
        result[index] = counts
        return result

    def mixed(self, weights: Sequence[float]) -> np.ndarray:
        """Return the weighted sum over the corpora: float32 [n]."""
        result = np.zeros(self.size, np.float32)
        for weight, (index, counts) in zip(weights, self.rows, strict=True):
            result[index] += np.float32(weight) * counts.astype(np.float32)
        return result


@dataclass(frozen=True)
class NgramTable:
    """All n-grams of one order, sorted by (context, word).

    context: int32 [n], index of the first n-1 units in the table of the order below (0 for n=1).
    word: uint16 [n], the last unit.
    suffix: int32 [n], index of the last n-1 units in the table of the order below (0 for n=1).
    """

    context: np.ndarray
    word: np.ndarray
    suffix: np.ndarray
    occurrences: Occurrences

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
        return len(self.tables[0].occurrences)

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

    Memory: 10 bytes for each n-gram and 8 for each corpus that has it; while counting, 10 bytes a
    token, 64 bytes a token of one block, and about 40 for each n-gram of the order at hand.

    Raises:
        UsageError: the order is out of range. DataError: there is nothing to count.
    """
    if not 1 <= order <= MAX_ORDER:
        raise UsageError(f"n-gram order {order} is out of range; choose 1 to {MAX_ORDER}")
    if not corpora or any(len(corpus.tokens) == 0 for corpus in corpora):
        raise DataError("a training corpus holds no sentence; check the files and their encoding")
    tokens = np.concatenate([corpus.tokens for corpus in corpora])
    bounds = np.cumsum([0, *(len(corpus.tokens) for corpus in corpora)])
    rows = [_sparse(np.bincount(c.tokens, minlength=vocabulary_size)) for c in corpora]
    words = np.arange(vocabulary_size, dtype=np.uint16)
    zeros = np.zeros(vocabulary_size, np.int32)
    tables = [NgramTable(zeros, words, zeros, Occurrences(vocabulary_size, tuple(rows)))]
    progress(1)
    ids = tokens.astype(np.int32)
    for n in range(2, order + 1):
        table, ids = _next_order(tokens, bounds, ids, n, vocabulary_size, bos)
        tables.append(table)
        log.debug("order %d: %d n-grams", n, len(table))
        progress(n)
    fragments = tuple(corpus.fragments for corpus in corpora)
    return NgramCounts(_without_starts(tables, fragments, bos), bos, fragments)


def opens_with(tables: Sequence[NgramTable], unit: int) -> np.ndarray:
    """Return bool [n]: which n-grams of the last table begin with a unit."""
    opens = np.arange(len(tables[0])) == unit
    for table in tables[1:]:
        opens = opens[table.context]
    return opens


def _sparse(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    index = np.flatnonzero(counts)
    return index.astype(np.int32), counts[index].astype(np.uint32)


def _without_starts(
    tables: Sequence[NgramTable], fragments: Sequence[bool], bos: int
) -> tuple[NgramTable, ...]:
    """Forget how often fragments open with <s>, which only parts them."""
    if not any(fragments):
        return tuple(tables)
    result = []
    opens = np.arange(len(tables[0])) == bos
    for n, table in enumerate(tables, 1):
        opens = opens if n == 1 else opens[table.context]
        rows = tuple(
            (index[~opens[index]], counts[~opens[index]]) if fragment else (index, counts)
            for fragment, (index, counts) in zip(fragments, table.occurrences.rows, strict=True)
        )
        result.append(replace(table, occurrences=Occurrences(len(table), rows)))
    return tuple(result)


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
        unique, times = np.unique(keys, return_counts=True)
        runs[corpus].append((unique, times.astype(np.uint32)))
        while len(runs[corpus]) > 1 and len(runs[corpus][-2][0]) < 2 * len(runs[corpus][-1][0]):
            runs[corpus].append(_merge([runs[corpus].pop(), runs[corpus].pop()]))
    merged = [_merge(own) for own in runs]
    keys = merged[0][0] if corpora == 1 else np.unique(np.concatenate([k for k, _ in merged]))
    rows = [(np.searchsorted(keys, own).astype(np.int32), times) for own, times in merged]
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
    return NgramTable(context, word, suffix, Occurrences(len(keys), tuple(rows))), new_ids


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
    if len(first):
        counts = np.add.reduceat(counts, first, dtype=np.uint32)
    return keys[first], counts
