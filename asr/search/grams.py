"""The inverted index: for each n-gram of phone classes, the forms that hold it."""

from __future__ import annotations

from typing import Any, NamedTuple

import numba as nb
import numpy as np
from numpy.typing import NDArray

from asr.search.phonetic import CLASS_OF, NUM_CLASSES, Phones

GRAM = 3
"""Phones of an n-gram."""
NUM_GRAMS = NUM_CLASSES**GRAM


class Postings(NamedTuple):
    """Which forms hold which n-grams, each as often as it occurs.

    begin: int64 [NUM_GRAMS + 1]; form: int32 [N], ascending within an n-gram: n-gram g is in
    ``form[begin[g]:begin[g + 1]]``; total: uint8 [F], how many n-grams each form has.
    """

    begin: NDArray[np.int64]
    form: NDArray[np.int32]
    total: NDArray[np.uint8]

    def check(self, forms: int) -> None:
        """Raise ValueError where these cannot be the postings of so many forms."""
        begin = self.begin
        fits = len(begin) == NUM_GRAMS + 1 and begin[0] == 0 and begin[-1] == len(self.form)
        if not fits or len(self.total) != forms or (np.diff(begin) < 0).any():
            raise ValueError("its postings do not fit")
        if len(self.form) and not (self.form.min() >= 0 and self.form.max() < forms):
            raise ValueError("its postings point outside")


def build_postings(phones: Phones, begin: NDArray[np.int64]) -> Postings:
    """The postings of forms: form f is ``phones[begin[f]:begin[f + 1]]``."""
    grams = gram_codes(phones)
    lengths = np.diff(begin)
    total = np.maximum(lengths - (GRAM - 1), 0)
    form = np.repeat(np.arange(len(total), dtype=np.int32), total)
    offset = np.arange(len(form)) - np.repeat(np.cumsum(total) - total, total)
    codes = grams[np.repeat(begin[:-1], total) + offset]
    order = np.argsort(codes, kind="stable")
    counts = np.bincount(codes, minlength=NUM_GRAMS)
    ends = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return Postings(ends, form[order], total.astype(np.uint8))


def gram_codes(phones: Phones) -> NDArray[np.int32]:
    """The number of the n-gram that begins at each phone: int32 [max(0, P - GRAM + 1)]."""
    classes = CLASS_OF[phones].astype(np.int32)
    count = max(0, len(classes) - GRAM + 1)
    codes = np.zeros(count, np.int32)
    for place in range(GRAM):
        codes = codes * NUM_CLASSES + classes[place : place + count]
    return codes


@nb.njit(cache=True, nogil=True)
def count_shared(begin: Any, form: Any, grams: Any, shared: Any) -> None:
    """Add to ``shared`` (uint8 [F]) how many of each form's n-grams are among ``grams``.

    Args:
        begin, form: of :class:`Postings`.
        grams: int32 [G], each once.
    """
    for gram in grams:
        for place in range(begin[gram], begin[gram + 1]):
            shared[form[place]] += 1
