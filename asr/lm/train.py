"""Training a back-off model: count, mix, smooth, prune."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from asr.errors import UsageError
from asr.lm.backoff import compact, entropy_prune, prune_to_size
from asr.lm.counts import MAX_ORDER, Corpus, NgramCounts, count_ngrams
from asr.lm.kneser_ney import Discount, Mixture, estimate_discounts, smooth
from asr.lm.mixing import fit_mixture
from asr.lm.ngram import NgramModel
from asr.lm.units import Vocabulary
from asr.progress import Progress, silent

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainConfig:
    """How to train.

    order: length of the longest n-grams, 1 to 8.
    min_counts: for orders 1, 2, ... the smallest count an n-gram needs to be kept; the last one
        holds for all higher orders. Unigrams are always kept.
    entropy_threshold: n-grams are pruned that change the perplexity by less than this part; 0
        keeps all.
    mixture: shares of the corpora; None fits them to the tuning texts, or makes all corpora one
        when there are none.
    size: the most n-grams to keep, all orders together; None for no bound. The pruning threshold
        is raised to what this needs.
    """

    order: int = 5
    min_counts: tuple[int, ...] = ()
    entropy_threshold: float = 0.0
    mixture: Mixture | None = None
    size: int | None = None

    def check(self, corpora: int) -> None:
        """Refuse what makes no sense for this number of corpora.

        Raises:
            UsageError: a value is out of range, or there is not a weight for each corpus.
        """
        if not 1 <= self.order <= MAX_ORDER:
            raise UsageError(f"n-gram order {self.order} is out of range; choose 1 to {MAX_ORDER}")
        if self.mixture is not None:
            weights = self.mixture.weights
            if len(weights) != corpora:
                raise UsageError(
                    f"{len(weights)} corpus weights for {corpora} corpora; give one each"
                )
            if min(*weights, self.mixture.reserve) < 0 or sum(weights) <= 0:
                raise UsageError("corpus weights and the reserve must not be negative, nor all 0")
        if any(a > b for a, b in zip(self.min_counts, self.min_counts[1:], strict=False)):
            raise UsageError("minimum counts must not fall from one order to the next")
        if not 0 <= self.entropy_threshold < 1:
            raise UsageError("the pruning threshold must be at least 0 and below 1, such as 1e-8")
        if self.size is not None and self.size < 1:
            raise UsageError("the number of n-grams to keep must be above 0, such as 2000000")


def train(
    corpora: Sequence[Corpus],
    vocabulary: Vocabulary,
    config: TrainConfig | None = None,
    tuning: Sequence[np.ndarray] = (),
    progress: Progress = silent,
) -> NgramModel:
    """Train a model.

    Args:
        corpora: texts that are smoothed apart and mixed.
        tuning: token arrays (`units.encode_lines`) of the kind to be recognised, to which the
            mixture is fitted; each text matters alike, whatever its size.

    Raises:
        UsageError: the configuration makes no sense. DataError: a corpus is empty.
    """
    config = config or TrainConfig()
    config.check(len(corpora))
    if config.mixture is None and not tuning:
        corpora = _pooled(corpora)
    counts = count_ngrams(
        corpora, config.order, len(vocabulary), vocabulary.bos,
        lambda n: progress(0.6 * n / config.order, f"counting {n}-grams"),
    )  # fmt: skip
    discounts = estimate_discounts(counts)
    mixture = config.mixture or Mixture((1.0,) * counts.corpora)
    if config.mixture is None and tuning:
        progress(0.6, "fitting the mixture")
        mixture = _fit(counts, discounts, tuning)
    progress(0.7, "smoothing")
    kept = _frequent(counts, config.min_counts)
    probabilities = smooth(counts, discounts, mixture, kept)
    if config.entropy_threshold > 0 or config.size is not None:
        progress(0.8, "pruning")
        frequency = _frequencies(counts, mixture)
        if config.entropy_threshold > 0:
            kept = entropy_prune(counts, probabilities, kept, frequency, config.entropy_threshold)
        if config.size is not None:
            kept = prune_to_size(counts, probabilities, kept, frequency, config.size)
    progress(0.9, "computing back-off weights")
    return compact(vocabulary, counts, probabilities, kept)


def _fit(
    counts: NgramCounts,
    discounts: Sequence[Sequence[Discount]],
    texts: Sequence[np.ndarray],
) -> Mixture:
    """Fit a mixture to several texts of equal importance."""
    weights = [np.full(len(t), 1.0 / max(1, int((t != counts.bos).sum()))) for t in texts]
    start = Mixture((1.0,) * counts.corpora, reserve=0.1)
    return fit_mixture(counts, discounts, np.concatenate(texts), start, np.concatenate(weights))


def _pooled(corpora: Sequence[Corpus]) -> list[Corpus]:
    """Make one corpus of all that hold sentences, and one of all that hold words."""
    result = []
    for fragments in (False, True):
        arrays = [corpus.tokens for corpus in corpora if corpus.fragments == fragments]
        if arrays:
            result.append(Corpus(np.concatenate(arrays), fragments))
    return result


def _frequent(counts: NgramCounts, min_counts: Sequence[int]) -> list[np.ndarray]:
    """Return for each order which n-grams are seen often enough, over all corpora."""
    kept = []
    for n, table in enumerate(counts.tables, 1):
        needed = min_counts[min(n, len(min_counts)) - 1] if n > 1 and min_counts else 0
        kept.append(table.occurrences.mixed([1.0] * counts.corpora) >= needed)
    return kept


def _frequencies(counts: NgramCounts, mixture: Mixture) -> list[np.ndarray]:
    """Return for each order float32 [n], how often each n-gram occurs a token, corpora mixed."""
    rows = counts.tables[0].occurrences.rows
    tokens = np.array([float(times[index != counts.bos].sum()) for index, times in rows])
    share = mixture.shares(tokens) / np.maximum(tokens, 1.0)
    return [table.occurrences.mixed(share.tolist()) for table in counts.tables]
