"""Interpolated modified Kneser-Ney smoothing (Chen & Goodman, TR-10-98, 1998) of many corpora.

Conventions are those of KenLM's lmplz (Heafield et al., ACL 2013): n-grams that open with <s> keep
their raw counts at lower orders, <s> is never predicted, and the unigrams are interpolated with
the uniform distribution over the vocabulary without <s>, which is all that <unk> gets.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from asr.lm.counts import NgramCounts, opens_with

Discount = tuple[float, float, float]
"""What is subtracted from counts of 1, 2, and 3 or more."""
FALLBACK_DISCOUNT: Discount = (0.5, 1.0, 1.5)
MAX_NAMED_CORPORA = 4
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Mixture:
    """How corpora share in the distribution after a context h.

    Corpus c has the share weights[c] * n_c(h) ** power, n_c(h) being the sum of its (modified)
    counts after h, divided by the sum of these and `reserve`. What is left at an order, the
    reserve's share included, goes to the common lower order: with power 1 counts are merged, with
    power 0 only the corpora that know the context count; the reserve is a doubt about contexts
    that only corpora of little weight know. One corpus without reserve is plain Kneser-Ney.
    """

    weights: tuple[float, ...]
    power: float = 0.5
    reserve: float = 0.0

    def share(self, corpus: int, total: np.ndarray) -> np.ndarray:
        """Return the share of one corpus for n_c(h), both float64 [...], before it is divided."""
        return np.where(total > 0, self.weights[corpus] * np.maximum(total, 1.0) ** self.power, 0.0)

    def shares(self, totals: np.ndarray) -> np.ndarray:
        """Return the shares for n_c(h), both float64 [corpora, ...]; 0 where n_c(h) is 0."""
        shares = np.stack([self.share(c, total) for c, total in enumerate(totals)])
        return shares / np.maximum(shares.sum(axis=0) + self.reserve, 1e-300)


def modified_counts(
    counts: NgramCounts, order: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield for each corpus the counts of one order that are smoothed.

    As in `Occurrences`: int32 [k], the n-grams the corpus has, and uint32 [k], their counts.

    Those of the highest order are the raw counts; below it an n-gram counts once for each unit
    seen before it, or as often as it occurs if it opens with <s>; <s> alone counts nothing.
    Nothing is known of what comes before fragments, whose counts are raw at all orders.
    """
    table = counts.tables[order - 1]
    opens = opens_with(counts.tables[:order], counts.bos)
    for c, (index, raw) in enumerate(table.occurrences.rows):
        result = raw
        if order < counts.order and not counts.fragments[c]:
            above = counts.tables[order]
            longer, _ = above.occurrences.rows[c]
            seen = np.bincount(above.suffix[longer], minlength=len(table))
            result = np.where(opens[index], raw, seen[index]).astype(np.uint32)
        if order == 1:
            result = np.where(index == counts.bos, 0, result).astype(np.uint32)
        yield index, result


def estimate_discounts(counts: NgramCounts) -> list[list[Discount]]:
    """Return the discount of each corpus at each order: [order][corpus].

    They follow from the counts of counts. Where these are degenerate, as in tiny corpora, 0.5, 1
    and 1.5 are used and one warning tells where; fragments, whose counts need not be true ones,
    always have these.
    """
    result = []
    degenerate: dict[int, list[int]] = {}
    for n in range(1, counts.order + 1):
        row = []
        for c, (_, modified) in enumerate(modified_counts(counts, n)):
            found = None if counts.fragments[c] else estimate_discount(modified)
            if found is None and not counts.fragments[c]:
                degenerate.setdefault(c, []).append(n)
            row.append(found or FALLBACK_DISCOUNT)
        result.append(row)
    if degenerate:
        _warn_of_fallback(degenerate)
    return result


def _warn_of_fallback(degenerate: Mapping[int, Sequence[int]]) -> None:
    """Tell in one line at which orders of which corpora (from 0) the fallback is used."""
    places = [
        f"corpus {c + 1} (order {', '.join(map(str, orders))})" for c, orders in degenerate.items()
    ]
    more = len(places) - MAX_NAMED_CORPORA
    if more > 0:
        places[MAX_NAMED_CORPORA:] = [f"{more} more"]
    log.warning(
        "too little text to estimate Kneser-Ney discounts of %s; using %s there",
        ", ".join(places), ", ".join(f"{d:g}" for d in FALLBACK_DISCOUNT),
    )  # fmt: skip


def estimate_discount(counts: np.ndarray) -> Discount | None:
    """Return D1, D2 and D3+ of Chen & Goodman for uint32 counts; None if they are degenerate."""
    t1, t2, t3, t4 = (int(np.count_nonzero(counts == k)) for k in (1, 2, 3, 4))
    if min(t1, t2, t3, t4) > 0:
        y = t1 / (t1 + 2.0 * t2)
        found = (1 - 2 * y * t2 / t1, 2 - 3 * y * t3 / t2, 3 - 4 * y * t4 / t3)
        if all(0 < found[k] <= k + 1 for k in range(3)):
            return found
    return None


def discounted(counts: np.ndarray, discount: Discount) -> np.ndarray:
    """Subtract the discount from uint32 counts; never below 0. Returns float64."""
    table = np.array([0.0, *discount])
    return np.maximum(counts - table[np.minimum(counts, 3)], 0.0)


def smooth(
    counts: NgramCounts,
    discounts: Sequence[Sequence[Discount]],
    mixture: Mixture,
    kept: Sequence[np.ndarray] | None = None,
) -> list[np.ndarray]:
    """Estimate p(w | h) for every n-gram of the trie.

    Args:
        kept: for each order bool [n], the n-grams the model will hold (all if None). The counts
            of the others go to the lower order, from which these get their probability.

    Returns:
        For each order float64 [n].
    """
    result: list[np.ndarray] = []
    for n, table in enumerate(counts.tables, 1):
        contexts = len(counts.tables[n - 2]) if n > 1 else 1
        mass = _discounted_mass(counts, discounts[n - 1], mixture, n, contexts)
        if kept is not None and n > 1:
            mass[~kept[n - 1]] = 0.0
        left = np.clip(1.0 - np.bincount(table.context, mass, minlength=contexts), 0.0, 1.0)
        if n == 1:
            mass += left[0] / (len(table) - 1)
            mass[counts.bos] = 0.0
        else:
            mass += left[table.context] * result[-1][table.suffix]
        result.append(mass)
    return result


def _discounted_mass(
    counts: NgramCounts, discounts: Sequence[Discount], mixture: Mixture, order: int, contexts: int
) -> np.ndarray:
    """Return what each n-gram has of p(w | h) before the lower order is added: float64 [n]."""
    context = counts.tables[order - 1].context
    mass = np.zeros(len(context))
    whole = np.zeros(contexts)
    # Corpora come one by one, twice: all their totals at once would be the most memory of all.
    for c, (index, modified) in enumerate(modified_counts(counts, order)):
        total = np.bincount(context[index], modified, minlength=contexts)
        whole += mixture.share(c, total)
    whole = np.maximum(whole + mixture.reserve, 1e-300)
    for c, (index, modified) in enumerate(modified_counts(counts, order)):
        total = np.bincount(context[index], modified, minlength=contexts)
        scale = mixture.share(c, total) / whole / np.maximum(total, 1e-300)
        mass[index] += discounted(modified, discounts[c]) * scale[context[index]]
    return mass
