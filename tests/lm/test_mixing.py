"""Fitting the mixture."""

from __future__ import annotations

import numpy as np
import pytest

from asr.lm import mixing
from asr.lm.backoff import compact
from asr.lm.counts import Corpus, NgramCounts, count_ngrams
from asr.lm.kneser_ney import Mixture, estimate_discounts, smooth
from asr.lm.mixing import fit_mixture
from asr.lm.units import Vocabulary, encode_lines, encode_words


@pytest.fixture(scope="module")
def counts(training: list[str], vocabulary: Vocabulary) -> NgramCounts:
    scrambled = [line[::-1] for line in training]  # the wrong language, with the same units
    words = [(word, 1 + len(word)) for word in training[0].split()]
    corpora = [
        Corpus(encode_lines(training[:400], vocabulary)),
        Corpus(encode_lines(scrambled, vocabulary)),
        Corpus(encode_words(words, vocabulary), fragments=True),
    ]
    return count_ngrams(corpora, 3, len(vocabulary), vocabulary.bos)


def test_fitting_finds_the_right_language(
    counts: NgramCounts, held_out: list[str], vocabulary: Vocabulary
) -> None:
    discounts = estimate_discounts(counts)
    tokens = encode_lines(held_out, vocabulary)
    start = Mixture((1.0, 1.0, 1.0))
    fitted = fit_mixture(counts, discounts, tokens, start)
    assert max(fitted.weights) == pytest.approx(1.0)
    assert fitted.weights[0] > 5 * fitted.weights[1]
    kept = [np.ones(len(table), bool) for table in counts.tables]
    perplexity = {}
    for name, mixture in (("start", start), ("fitted", fitted)):
        probabilities = smooth(counts, discounts, mixture)
        model = compact(vocabulary, counts, probabilities, kept)
        perplexity[name] = model.perplexity(held_out).per_unit
    assert perplexity["fitted"] < 0.8 * perplexity["start"]


def test_the_fitted_likelihood_is_the_model_s(
    counts: NgramCounts, held_out: list[str], vocabulary: Vocabulary
) -> None:
    """What the fit maximises is the probability by the finished model; its slope is right."""
    discounts = estimate_discounts(counts)
    tokens = encode_lines(held_out[:20], vocabulary)
    weights = (tokens != vocabulary.bos) / np.count_nonzero(tokens != vocabulary.bos)
    evidence = mixing._collect(counts, discounts, tokens)
    theta = np.array([*np.log([0.7, 0.2, 1.3, 0.3]), 0.4])
    uniform = 1.0 / (len(vocabulary) - 1)
    value, slope = mixing._likelihood(evidence, theta, weights, uniform)
    mixture = Mixture((0.7, 0.2, 1.3), 0.4, 0.3)
    probabilities = smooth(counts, discounts, mixture)
    kept = [np.ones(len(table), bool) for table in counts.tables]
    model = compact(vocabulary, counts, probabilities, kept)
    assert value == pytest.approx(float(weights @ model.score_tokens(tokens)), abs=1e-5)
    for k in range(len(theta)):
        moved = [theta + sign * 1e-5 * (np.arange(len(theta)) == k) for sign in (1, -1)]
        high, low = (mixing._likelihood(evidence, t, weights, uniform)[0] for t in moved)
        assert float(weights @ slope[:, k]) == pytest.approx((high - low) / 2e-5, abs=1e-6)
