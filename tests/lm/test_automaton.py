"""The automaton scores as the model does, and as KenLM does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import kenlm
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr.errors import ModelError
from asr.lm.automaton import LmAutomaton, build_automaton, score_sentence, step
from asr.lm.ngram import NgramModel


@pytest.mark.filterwarnings("ignore")
def test_automaton_model_and_kenlm_agree(
    model: NgramModel,
    held_out: list[str],
    tmp_path: Path,
    arpa_text: Callable[[NgramModel], str],
    spell: Callable[[str], str],
) -> None:
    path = tmp_path / "model.arpa"
    path.write_text(arpa_text(model), encoding="utf-8")
    theirs = kenlm.Model(str(path))
    automaton = build_automaton(model)
    for sentence in [*held_out[:60], "힣 가힣"]:
        score = model.score(sentence)
        ids = model.vocabulary.encode(sentence)
        assert score_sentence(automaton, ids) == pytest.approx(score, abs=1e-4)
        assert theirs.score(spell(sentence)) * np.log(10) == pytest.approx(score, abs=2e-3)
        assert score_sentence(automaton, ids, eos=False) == pytest.approx(
            model.score(sentence, eos=False), abs=1e-4
        )


@given(st.data())
@settings(derandomize=True, deadline=None, max_examples=60)
def test_random_units_score_alike(models: dict[str, NgramModel], data: st.DataObject) -> None:
    model = models[data.draw(st.sampled_from(["entropy", "mixed"]))]
    automaton = automaton_of(model)
    units = st.integers(0, len(model.vocabulary) - 1).filter(lambda w: w != model.vocabulary.bos)
    table = model.orders[-1]
    ids = data.draw(st.lists(units, max_size=4))
    if data.draw(st.booleans()):  # walk through an n-gram that the model has
        at = data.draw(st.integers(0, len(table) - 1))
        gram = [int(table.word[at])]
        for n in range(model.order - 1, 0, -1):
            at = int(model.orders[n].context[at])
            gram.insert(0, int(model.orders[n - 1].word[at]))
        ids = [*ids, *(word for word in gram if word != model.vocabulary.bos)]
    expected = model.score_ids([*ids, model.vocabulary.eos])
    assert score_sentence(automaton, ids) == pytest.approx(float(expected.sum()), abs=1e-4)


_automata: dict[int, LmAutomaton] = {}


def automaton_of(model: NgramModel) -> LmAutomaton:
    return _automata.setdefault(id(model), build_automaton(model))


def test_states_are_contexts(model: NgramModel) -> None:
    automaton = build_automaton(model)
    width = len(model.vocabulary)
    begin, word = automaton.arc_begin, automaton.arc_word
    assert begin[1] == width and (word[:width] == np.arange(width)).all()
    assert (np.diff(begin) > 0).all()
    for state in range(0, automaton.states, 17):
        assert (np.diff(word[begin[state] : begin[state + 1]].astype(int)) > 0).all()
    assert automaton.start_state == automaton.arc_next[model.vocabulary.bos] > 0
    assert (automaton.backoff_state[1:] < np.arange(1, automaton.states)).all()
    for array in automaton.to_tensors().values():
        assert array.flags.c_contiguous
    assert step(automaton, 0, model.vocabulary.eos)[0] == automaton.arc_next[automaton.eos]


def test_arrays_and_metadata_make_it_again(models: dict[str, NgramModel]) -> None:
    automaton = build_automaton(models["mixed"])
    again = LmAutomaton.from_tensors(automaton.to_tensors(), automaton.metadata())
    assert again.vocabulary == automaton.vocabulary
    assert (again.start_state, again.order) == (automaton.start_state, automaton.order)
    for name, array in automaton.to_tensors().items():
        assert np.array_equal(array, getattr(again, name))


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("arc_next", lambda a: a + len(a)),
        ("arc_word", lambda a: a[::-1].copy()),
        ("arc_begin", lambda a: a[:-1]),
        ("arc_logp", lambda a: a.astype(np.float64)),
        ("backoff_state", lambda a: np.full_like(a, 5)),
        ("backoff_logp", lambda a: a[:3]),
    ],
)
def test_arrays_that_do_not_fit_are_refused(
    models: dict[str, NgramModel], name: str, change: Callable[[np.ndarray], np.ndarray]
) -> None:
    automaton = build_automaton(models["bigram"])
    tensors = automaton.to_tensors()
    with pytest.raises(ModelError, match="do not fit"):
        LmAutomaton.from_tensors({**tensors, name: change(tensors[name])}, automaton.metadata())
    with pytest.raises(ModelError, match="lacks"):
        LmAutomaton.from_tensors({}, automaton.metadata())
    with pytest.raises(ModelError, match="lacks"):
        LmAutomaton.from_tensors(tensors, {"units": list(automaton.vocabulary.units)})
