"""Scores of user words against KenLM, and against every context there is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import kenlm
import numpy as np
import pytest

from asr.lm.automaton import LmAutomaton, build_automaton, step
from asr.lm.ngram import NgramModel
from asr.lm.units import text_to_units
from asr.word_scores import WordScorer


def _words(sentences: list[str]) -> list[str]:
    return sorted({word for line in sentences for word in line.split()})


def _ids(lm: LmAutomaton, words: list[str]) -> list[list[int]]:
    return [lm.vocabulary.encode(word) for word in words]


@pytest.mark.filterwarnings("ignore")
def test_scores_are_kenlms(
    model: NgramModel, held_out: list[str], tmp_path: Path, arpa_text: Callable[[NgramModel], str]
) -> None:
    path = tmp_path / "model.arpa"
    path.write_text(arpa_text(model), encoding="utf-8")
    theirs = kenlm.Model(str(path))
    lm = build_automaton(model)
    scorer = WordScorer(lm)
    words = [*_words(held_out[:20]), "힣힣"]
    scores = scorer.scores(_ids(lm, words))

    def score(context: tuple[str, ...], word: str) -> float:
        state, after = kenlm.State(), kenlm.State()
        theirs.NullContextWrite(state)
        if context[:1] == ("<s>",):
            theirs.BeginSentenceWrite(state)
            context = context[1:]
        total = 0.0
        for place, unit in enumerate([*context, *text_to_units(word)]):
            logp = theirs.BaseScore(state, unit, after)
            total += logp if place >= len(context) else 0.0
            state, after = after, state
        return total * float(np.log(10))

    contexts = scorer.contexts(scores.state)
    assert any(contexts)
    for word, context, empty, best in zip(words, contexts, scores.empty, scores.best, strict=True):
        assert empty == pytest.approx(score((), word), abs=2e-3)
        assert best == pytest.approx(score(context, word), abs=2e-3)
        assert best >= empty


def test_no_context_is_better(models: dict[str, NgramModel], held_out: list[str]) -> None:
    lm = build_automaton(models["mixed"])
    words = [word for word in _words(held_out) if len(word) <= 2][:40]
    scores = WordScorer(lm).scores(_ids(lm, words))
    highest = np.full(len(words), -np.inf)
    for number, ids in enumerate(_ids(lm, words)):
        for start in range(lm.states):
            state, total = start, 0.0
            for unit in ids:
                state, logp = step(lm, state, unit)
                total += logp
                if total <= highest[number]:
                    break
            highest[number] = max(highest[number], total)
    assert (scores.best <= highest + 1e-4).all()
    single = np.array([len(word) == 1 for word in words])
    assert single.any() and (~single).any()
    assert scores.best[single] == pytest.approx(highest[single], abs=1e-4)
    assert np.mean(scores.best[~single] > highest[~single] - 1e-4) > 0.9


def test_no_words(models: dict[str, NgramModel]) -> None:
    assert len(WordScorer(build_automaton(models["bigram"])).scores([]).best) == 0
