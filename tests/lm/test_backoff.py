"""Distributions sum to one, and pruning drops what costs least."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr.lm.backoff import compact, entropy_prune
from asr.lm.counts import Corpus, count_ngrams
from asr.lm.kneser_ney import Mixture, estimate_discounts, smooth
from asr.lm.ngram import NgramModel
from asr.lm.train import TrainConfig, train
from asr.lm.units import Vocabulary, encode_lines

Total = Callable[[NgramModel, list[int]], float]


def test_every_history_has_a_whole_distribution(
    model: NgramModel, held_out: list[str], total_probability: Total
) -> None:
    rng = np.random.default_rng(1)
    vocabulary = model.vocabulary
    seen = [vocabulary.encode(line)[:6] for line in held_out[:12]]
    random = [rng.integers(2, len(vocabulary), rng.integers(0, 5)).tolist() for _ in range(6)]
    for history in [[], *seen, *random]:
        assert total_probability(model, history) == pytest.approx(1.0, abs=2e-5)


SYLLABLES = st.text(alphabet="가나다라 ", min_size=1, max_size=12)


@given(
    st.lists(SYLLABLES.filter(str.strip), min_size=1, max_size=25),
    st.integers(1, 5),
    st.sampled_from([(), (1, 1, 2), (1, 2)]),
    st.sampled_from([0.0, 1e-4, 1e-2, 0.5]),
    st.lists(st.integers(3, 10), max_size=6),
)
@settings(derandomize=True, deadline=None, max_examples=80)
def test_any_training_text_gives_whole_distributions(
    total_probability: Total,
    lines: list[str],
    order: int,
    min_counts: tuple[int, ...],
    threshold: float,
    history: list[int],
) -> None:
    units = ("<unk>", "<s>", "</s>", *(mark + s for mark in ("▁", "") for s in "가나다라"))
    vocabulary = Vocabulary(units)
    model = train(
        [Corpus(encode_lines(lines, vocabulary))],
        vocabulary,
        TrainConfig(order, min_counts, threshold),
    )
    assert model.order <= order
    assert total_probability(model, history) == pytest.approx(1.0, abs=1e-5)


def test_pruning_cost_is_the_growth_of_perplexity(
    training: list[str], vocabulary: Vocabulary
) -> None:
    """Drop single bigrams and measure the relative entropy by brute force."""
    corpus = Corpus(encode_lines(training[:60], vocabulary))
    counts = count_ngrams([corpus], 2, len(vocabulary), vocabulary.bos)
    probabilities = smooth(counts, estimate_discounts(counts), Mixture((1.0,)))
    kept = [np.ones(len(table), bool) for table in counts.tables]
    frequency = [table.occurrences.dense(0) / len(corpus.tokens) for table in counts.tables]
    full = dense(compact(vocabulary, counts, probabilities, kept))
    for dropped in range(0, len(counts.tables[1]), 40):
        without = [kept[0], np.arange(len(kept[1])) != dropped]
        pruned = dense(compact(vocabulary, counts, probabilities, without))
        divergence = np.where(full > 0, full * np.log(np.maximum(full, 1e-300) / pruned), 0).sum(1)
        growth = math.expm1(float(frequency[0] @ divergence))
        for threshold, stays in ((growth * 0.99, True), (growth * 1.01, False)):
            chosen = entropy_prune(counts, probabilities, kept, frequency, threshold)
            assert chosen[1][dropped] == stays


def dense(model: NgramModel) -> np.ndarray:
    """p(word | context) of a bigram model: float64 [units, units] without <s> as a word."""
    size = len(model.vocabulary)
    first, second = model.orders
    logs = first.backoff[:, None].astype(np.float64) + first.logp[None, :]
    logs[second.context, second.word] = second.logp
    result = np.exp(logs)
    result[:, model.vocabulary.bos] = 1e-300
    assert result.shape == (size, size)
    return result


def test_pruned_models_are_smaller_and_hardly_worse(
    training: list[str], held_out: list[str], vocabulary: Vocabulary
) -> None:
    corpora = [Corpus(encode_lines(training, vocabulary))]
    sizes, perplexities = [], []
    for threshold in (0.0, 1e-6, 1e-5, 5e-5):
        model = train(corpora, vocabulary, TrainConfig(4, entropy_threshold=threshold))
        sizes.append(model.size)
        perplexities.append(model.perplexity(held_out).per_unit)
    assert sizes == sorted(sizes, reverse=True) and sizes[-1] < sizes[0] / 3
    assert perplexities[1] < 1.01 * perplexities[0]
    assert perplexities[3] < 1.3 * perplexities[0]


def test_both_ends_of_kept_ngrams_are_kept(model: NgramModel) -> None:
    grams: set[tuple[int, ...]] = {()}
    below: list[tuple[int, ...]] = [()]
    for n, table in enumerate(model.orders, 1):
        pairs = zip(table.context.tolist(), table.word.tolist(), strict=True)
        below = [(*below[context], word) for context, word in pairs]
        assert below == sorted(set(below))
        assert all(gram[1:] in grams for gram in below), n
        grams.update(below)


def test_pruning_to_a_size_is_pruning_by_the_least_threshold(
    training: list[str], vocabulary: Vocabulary
) -> None:
    corpora = [Corpus(encode_lines(training, vocabulary))]
    whole = train(corpora, vocabulary, TrainConfig(4))
    by_threshold = train(corpora, vocabulary, TrainConfig(4, entropy_threshold=1e-5))
    by_size = train(corpora, vocabulary, TrainConfig(4, size=by_threshold.size))
    assert 0.99 * by_threshold.size <= by_size.size <= by_threshold.size
    smaller = train(corpora, vocabulary, TrainConfig(4, size=by_threshold.size // 2))
    assert 0.98 * by_threshold.size // 2 <= smaller.size <= by_threshold.size // 2
    assert train(corpora, vocabulary, TrainConfig(4, size=whole.size)).size == whole.size
    assert len(train(corpora, vocabulary, TrainConfig(4, size=1)).orders[0]) == len(vocabulary)
