"""Modified Kneser-Ney against KenLM's lmplz, and its mixture of corpora."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest

from asr.lm.arpa import read_arpa
from asr.lm.counts import Corpus, count_ngrams
from asr.lm.kneser_ney import Mixture, estimate_discount, estimate_discounts, smooth
from asr.lm.ngram import NgramModel
from asr.lm.train import TrainConfig, train
from asr.lm.units import Vocabulary, encode_lines

DATA = Path(__file__).parent / "data"
LMPLZ_DISCOUNTS = (  # D1, D2, D3+ as lmplz prints them for orders 1 to 4
    (0.283582, 0.901119, 1.86567),
    (0.798295, 1.19014, 1.24375),
    (0.85632, 1.18658, 1.41743),
    (0.794941, 1.15015, 1.92377),
)


def table_of(model: NgramModel) -> dict[str, tuple[float, float]]:
    grams, result = [""], {}
    for table in model.orders:
        units = [model.vocabulary.units[word] for word in table.word.tolist()]
        grams = [f"{grams[c]} {u}" for c, u in zip(table.context.tolist(), units, strict=True)]
        rows = zip(grams, table.logp.tolist(), table.backoff.tolist(), strict=True)
        result.update({gram: (logp, backoff) for gram, logp, backoff in rows})
    return result


@pytest.mark.parametrize(("name", "ours"), [("lmplz_o4", "plain"), ("lmplz_o4_prune", "counts")])
def test_same_ngrams_probabilities_and_perplexity_as_lmplz(
    name: str, ours: str, models: dict[str, NgramModel], held_out: list[str]
) -> None:
    theirs = read_arpa(DATA / f"{name}.arpa.gz")
    model = models[ours]
    expected, found = table_of(theirs), table_of(model)
    assert found.keys() == expected.keys()
    for gram, (logp, backoff) in expected.items():
        assert found[gram][0] == pytest.approx(logp, abs=2e-5), gram
        assert found[gram][1] == pytest.approx(backoff, abs=2e-5), gram
    assert model.perplexity(held_out).per_unit == pytest.approx(
        theirs.perplexity(held_out).per_unit, rel=1e-5
    )


def test_discounts_are_those_that_lmplz_prints(training: list[str], vocabulary: Vocabulary) -> None:
    corpus = Corpus(encode_lines(training, vocabulary))
    counts = count_ngrams([corpus], 4, len(vocabulary), vocabulary.bos)
    for (ours,), theirs in zip(estimate_discounts(counts), LMPLZ_DISCOUNTS, strict=True):
        assert ours == pytest.approx(theirs, rel=1e-4)


def test_tiny_corpora_get_fallback_discounts_and_one_warning(
    caplog: pytest.LogCaptureFixture, training: list[str], vocabulary: Vocabulary
) -> None:
    tiny = Corpus(encode_lines(["가나"], vocabulary))
    large = Corpus(encode_lines(training, vocabulary))
    words = Corpus(tiny.tokens, fragments=True)
    with caplog.at_level(logging.WARNING):
        corpora = [tiny, large, words]
        found = estimate_discounts(count_ngrams(corpora, 3, len(vocabulary), vocabulary.bos))
    assert all(row[0] == row[2] == (0.5, 1.0, 1.5) != row[1] for row in found)
    (record,) = [r for r in caplog.records if r.levelno == logging.WARNING]
    assert "discounts of corpus 1 (order 1, 2, 3); using 0.5, 1, 1.5" in record.getMessage()
    caplog.clear()
    estimate_discounts(count_ngrams([tiny] * 9, 2, len(vocabulary), vocabulary.bos))
    (record,) = [r for r in caplog.records if r.levelno == logging.WARNING]
    assert "corpus 4 (order 1, 2), 5 more;" in record.getMessage()


def test_discounts_follow_from_counts_of_counts() -> None:
    assert estimate_discount(np.array([1, 1, 5], np.uint32)) is None
    assert estimate_discount(np.repeat(np.arange(1, 5), [9, 4, 2, 1]).astype(np.uint32)) == (
        pytest.approx((9 / 17, 2 - 3 * 9 / 17 * 2 / 4, 3 - 4 * 9 / 17 * 1 / 2))
    )


def test_equal_corpora_mix_to_either(training: list[str], vocabulary: Vocabulary) -> None:
    tokens = encode_lines(training, vocabulary)
    alone = train([Corpus(tokens)], vocabulary, TrainConfig(3))
    config = TrainConfig(3, mixture=Mixture((0.3, 0.7), 0.2))
    twice = train([Corpus(tokens)] * 2, vocabulary, config)
    for ours, theirs in zip(alone.orders, twice.orders, strict=True):
        np.testing.assert_allclose(ours.logp, theirs.logp, atol=1e-5)
        np.testing.assert_allclose(ours.backoff, theirs.backoff, atol=1e-5)


def test_shares_follow_weights_and_knowledge() -> None:
    totals = np.array([[4.0, 0.0, 0.0], [1.0, 9.0, 0.0]])
    shares = Mixture((1.0, 3.0), 0.5).shares(totals)
    np.testing.assert_allclose(shares, [[2 / 5, 0, 0], [3 / 5, 1, 0]])
    shares = Mixture((1.0, 3.0), 0.5, reserve=5.0).shares(totals)
    np.testing.assert_allclose(shares, [[2 / 10, 0, 0], [3 / 10, 9 / 14, 0]])


def test_a_corpus_without_weight_does_not_matter(
    training: list[str], vocabulary: Vocabulary
) -> None:
    corpora = [Corpus(encode_lines(part, vocabulary)) for part in (training[:500], training[500:])]
    counts = count_ngrams(corpora, 3, len(vocabulary), vocabulary.bos)
    mixed = smooth(counts, estimate_discounts(counts), Mixture((1.0, 0.0)))
    alone = count_ngrams(corpora[:1], 3, len(vocabulary), vocabulary.bos)
    expected = smooth(alone, estimate_discounts(alone), Mixture((1.0,)))
    seen = counts.tables[0].occurrences.dense(0) > 0
    np.testing.assert_allclose(mixed[0][seen], expected[0][seen], rtol=1e-9)
    assert len(expected[2]) == np.count_nonzero(counts.tables[2].occurrences.dense(0))
    kept = counts.tables[2].occurrences.dense(0) > 0
    np.testing.assert_allclose(mixed[2][kept], expected[2], rtol=1e-9)
