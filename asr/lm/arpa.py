"""ARPA files, the common text format of back-off models (as SRILM, KenLM and Kaldi use them)."""

from __future__ import annotations

import gzip
import math
import os
from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

import numpy as np

from asr.errors import DataError
from asr.lm.ngram import LOG_ZERO, NgramModel, NgramOrder
from asr.lm.segmentation import COST_STEP
from asr.lm.units import BOS, EOJEOL_MARK, MAX_COST, SPECIALS, Vocabulary

_LN10 = math.log(10.0)
_GZIP_MAGIC = b"\x1f\x8b"


def write_arpa(model: NgramModel, file: IO[str]) -> None:
    """Write a model as ARPA text, logs in base 10 with 7 digits.

    Words are the units as they are ("▁가", "가"). The format has no place for the costs by which
    units of several syllables are cut; `read_arpa` says what stands in for them.
    """
    file.write("\\data\\\n")
    for n, table in enumerate(model.orders, 1):
        file.write(f"ngram {n}={len(table)}\n")
    spelled = [""]
    for n, table in enumerate(model.orders, 1):
        file.write(f"\n\\{n}-grams:\n")
        units = model.vocabulary.units
        pairs = zip(table.context.tolist(), table.word.tolist(), strict=True)
        if n == 1:
            spelled = [units[word] for _, word in pairs]
        else:
            spelled = [f"{spelled[context]} {units[word]}" for context, word in pairs]
        logp = (table.logp.astype(np.float64) / _LN10).tolist()
        if n == model.order:
            lines = (f"{p:.7g}\t{gram}\n" for p, gram in zip(logp, spelled, strict=True))
        else:
            backoff = (table.backoff.astype(np.float64) / _LN10).tolist()
            rows = zip(logp, spelled, backoff, strict=True)
            lines = (f"{p:.7g}\t{gram}\t{weight:.7g}\n" for p, gram, weight in rows)
        file.writelines(lines)
    file.write("\n\\end\\\n")


def read_arpa(path: str | os.PathLike[str]) -> NgramModel:
    """Read an ARPA file, plain or gzipped.

    <unk>, <s> and </s> are added with probability 0 where the file lacks them. The probability of
    <s> is 0 in any case (some programs write 1; nobody should ask).

    Where no word has the mark "▁" and some have several syllables, words are taken for eojeol, as
    other programs train them, and get the mark. Units of several syllables cost their unigram
    probability in a segmentation: about what `asr train-lm` cuts its text by, not exactly.

    Raises:
        DataError: the file is missing or malformed; the message gives the line.
    """
    path = Path(path)
    try:
        with open(path, "rb") as raw:
            zipped = raw.read(2) == _GZIP_MAGIC
        opener = gzip.open if zipped else open
        with opener(path, "rt", encoding="utf-8") as file:
            return _Reader(path, file).read()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error
    except EOFError as error:
        raise DataError(f"{path} is cut off; make or fetch it again") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text, so it is no ARPA file") from error


class _Reader:
    """Reads one file; keeps the line number for messages."""

    def __init__(self, path: Path, file: IO[str]) -> None:
        self.path = path
        self.line_number = 0
        self._lines = self._stripped(file)
        self._units: list[str] = []
        self._ids: dict[str, int] = {}

    def _stripped(self, file: IO[str]) -> Iterator[str]:
        for line in file:
            self.line_number += 1
            line = line.strip()
            if line:
                yield line

    def _error(self, what: str, line_number: int | None = None) -> DataError:
        number = self.line_number if line_number is None else line_number
        return DataError(f"{self.path}, line {number}: {what}")

    def _next(self) -> str:
        line = next(self._lines, None)
        if line is None:
            raise self._error("the file ends before \\end\\; make or fetch it again")
        return line

    def read(self) -> NgramModel:
        sizes, line = self._read_header()
        orders: list[NgramOrder] = []
        for n, size in enumerate(sizes, 1):
            if line != f"\\{n}-grams:":
                raise self._error(f"expected \\{n}-grams: but found {line[:40]!r}")
            logp, backoff, words, numbers = self._read_entries(n, size, n == len(sizes))
            orders.append(
                self._unigrams(logp, backoff, words)
                if n == 1
                else self._higher(orders, n, logp, backoff, words, numbers)
            )
            line = self._next()
        if line != "\\end\\":
            raise self._error(f"expected \\end\\ but found {line[:40]!r}")
        return NgramModel(_vocabulary(self._units, orders[0].logp), tuple(orders))

    def _read_header(self) -> tuple[list[int], str]:
        while self._next() != "\\data\\":
            pass
        sizes: list[int] = []
        line = self._next()
        while line.startswith("ngram "):
            order, _, size = line[6:].partition("=")
            if not (order.strip().isdecimal() and size.strip().isdecimal()):
                raise self._error(f"expected 'ngram N=COUNT' but found {line[:40]!r}")
            if int(order) != len(sizes) + 1:
                raise self._error(f"order {int(order)} is out of sequence")
            sizes.append(int(size))
            line = self._next()
        if not sizes:
            raise self._error("the \\data\\ section lists no n-grams")
        return sizes, line

    def _read_entries(
        self, n: int, size: int, last: bool
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Return log10 probabilities, log10 back-offs, word ids [size, n] and line numbers."""
        logp, backoff, words, numbers = array("d"), array("d"), array("i"), array("q")
        ids = self._ids
        for _ in range(size):
            fields = self._next().split()
            if len(fields) not in ((n + 1,) if last else (n + 1, n + 2)):
                raise self._error(f"expected a probability, {n} words and a back-off weight"
                                  f" but found {len(fields)} fields")  # fmt: skip
            try:
                logp.append(float(fields[0]))
                backoff.append(float(fields[n + 1]) if len(fields) == n + 2 else 0.0)
            except ValueError as error:
                raise self._error("a probability or back-off weight is not a number") from error
            if not (-math.inf <= logp[-1] <= 1e-4 and abs(backoff[-1]) < math.inf):
                raise self._error("a probability is above 1 or a weight is not finite")
            if n == 1:
                if fields[1] in ids:
                    raise self._error(f"the unit {fields[1]!r} is listed twice")
                ids[fields[1]] = len(ids)
            try:
                words.extend([ids[word] for word in fields[1 : n + 1]])
            except KeyError as error:
                raise self._error(f"the unit {error.args[0]!r} is not among the 1-grams") from error
            numbers.append(self.line_number)
        shape = (size, n)
        return (
            np.frombuffer(logp) if size else np.empty(0),
            np.frombuffer(backoff) if size else np.empty(0),
            np.array(words, np.int64).reshape(shape),
            np.array(numbers, np.int64),
        )

    def _unigrams(self, logp: np.ndarray, backoff: np.ndarray, words: np.ndarray) -> NgramOrder:
        self._units = list(self._ids)
        missing = [special for special in SPECIALS if special not in self._ids]
        self._units += missing
        size = len(self._units)
        logp = np.append(logp, [-99.0] * len(missing))
        logp[self._units.index(BOS)] = -99.0
        return NgramOrder(
            context=np.zeros(size, np.int32),
            word=np.arange(size).astype(np.uint16),
            logp=_natural(logp),
            backoff=_natural(np.append(backoff, [0.0] * len(missing))),
        )

    def _higher(
        self,
        orders: list[NgramOrder],
        n: int,
        logp: np.ndarray,
        backoff: np.ndarray,
        words: np.ndarray,
        numbers: np.ndarray,
    ) -> NgramOrder:
        below = NgramModel(Vocabulary(tuple(self._units)), tuple(orders))
        context = words[:, 0]
        for k in range(2, n):
            context = below.find(k, context, words[:, k - 1])
        if (context < 0).any():
            number = int(numbers[np.flatnonzero(context < 0)[0]])
            raise self._error(f"the first {n - 1} words of this n-gram are not themselves listed"
                              f" as a {n - 1}-gram", number)  # fmt: skip
        keys = context * len(self._units) + words[:, -1]
        order = np.argsort(keys, kind="stable")
        same = np.flatnonzero(np.diff(keys[order]) == 0)
        if len(same):
            raise self._error("this n-gram is listed twice", int(numbers[order[same[0] + 1]]))
        return NgramOrder(
            context=context[order].astype(np.int32),
            word=words[order, -1].astype(np.uint16),
            logp=_natural(logp[order]),
            backoff=_natural(backoff[order]),
        )


def _vocabulary(units: Sequence[str], logp: np.ndarray) -> Vocabulary:
    """Name the units and give each its cost in a segmentation, if there are different cuts."""
    own = [unit for unit in units if unit not in SPECIALS]
    if not any(EOJEOL_MARK in unit for unit in own) and any(len(unit) > 1 for unit in own):
        marked = tuple(unit if unit in SPECIALS else EOJEOL_MARK + unit for unit in units)
        return Vocabulary(marked)
    vocabulary = Vocabulary(tuple(units))
    if vocabulary.single or vocabulary.whole_words:
        return vocabulary
    costs = np.clip(np.round(-logp / COST_STEP), 0, MAX_COST - 1).astype(int).tolist()
    return Vocabulary(vocabulary.units, tuple(costs))


def _natural(log10: np.ndarray) -> np.ndarray:
    return np.maximum(log10 * _LN10, LOG_ZERO).astype(np.float32)
