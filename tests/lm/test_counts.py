"""N-gram counts against counting in dictionaries."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from asr.errors import DataError, UsageError
from asr.lm import counts as counts_module
from asr.lm.counts import Corpus, NgramCounts, count_ngrams
from asr.lm.units import Vocabulary, build_vocabulary, encode_lines, encode_words


def plain_counts(tokens: list[int], order: int, bos: int) -> Counter[tuple[int, ...]]:
    sentences: list[list[int]] = []
    for token in tokens:
        if token == bos:
            sentences.append([])
        sentences[-1].append(token)
    return Counter(
        tuple(s[i : i + order]) for s in sentences for i in range(len(s) - order + 1)
    )


def spelled(counts: NgramCounts, order: int) -> list[tuple[int, ...]]:
    grams: list[tuple[int, ...]] = [()]
    for table in counts.tables[:order]:
        pairs = zip(table.context.tolist(), table.word.tolist(), strict=True)
        grams = [(*grams[context], word) for context, word in pairs]
    return grams


@pytest.mark.parametrize("block", [7, 1000, 1 << 20])
def test_counts_of_several_corpora(
    training: list[str], vocabulary: Vocabulary, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counts_module, "BLOCK", block)
    parts = [training[:20], training[20:70], training[60:75]]
    corpora = [Corpus(encode_lines(part, vocabulary)) for part in parts]
    counts = count_ngrams(corpora, 4, len(vocabulary), vocabulary.bos)
    for order in (1, 2, 3, 4):
        table = counts.tables[order - 1]
        expected = [plain_counts(c.tokens.tolist(), order, vocabulary.bos) for c in corpora]
        grams = spelled(counts, order)
        assert grams == sorted(set(grams))
        for corpus, own in enumerate(expected):
            found = dict(zip(grams, table.occurrences.dense(corpus).tolist(), strict=True))
            assert {gram: count for gram, count in found.items() if count} == own
        if order > 1:
            below = spelled(counts, order - 1)
            assert [below[i] for i in table.suffix] == [gram[1:] for gram in grams]


def test_fragments_say_nothing_of_sentence_starts() -> None:
    vocabulary = build_vocabulary(["가나 다"], min_count=1)
    words = Corpus(encode_words([("가나", 3), ("다", 1)], vocabulary), fragments=True)
    text = Corpus(encode_lines(["다 가나"], vocabulary))
    counts = count_ngrams([text, words], 3, len(vocabulary), vocabulary.bos)
    ga, na, da = (vocabulary.ids[unit] for unit in ("▁가", "나", "▁다"))
    bos, eos = vocabulary.bos, vocabulary.eos
    text_counts, word_counts = (counts.tables[1].occurrences.dense(c).tolist() for c in (0, 1))
    pairs = [list(pair) for pair in zip(text_counts, word_counts, strict=True)]
    bigrams = dict(zip(spelled(counts, 2), pairs, strict=True))
    assert bigrams[(ga, na)] == [1, 3]
    assert bigrams[(bos, da)] == [1, 0]
    assert bigrams[(bos, ga)] == [0, 0]
    assert bigrams[(na, eos)] == [1, 0]
    assert [counts.tables[0].occurrences.dense(c)[bos] for c in (0, 1)] == [1, 0]


def test_bad_requests_are_refused(vocabulary: Vocabulary) -> None:
    text = Corpus(np.array([vocabulary.bos, vocabulary.eos], np.uint16))
    with pytest.raises(UsageError, match="1 to 8"):
        count_ngrams([text], 9, len(vocabulary), vocabulary.bos)
    with pytest.raises(DataError, match="no sentence"):
        count_ngrams([text, Corpus(text.tokens[:0])], 2, len(vocabulary), vocabulary.bos)
