"""The compact file, and the model that ships."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from asr.data_files import shipped
from asr.errors import DataError, ModelError
from asr.lm import binary
from asr.lm.automaton import LmAutomaton, build_automaton, step
from asr.lm.binary import BACKOFF_STEP, LOGP_STEP, load_model, load_ngrams, save_model
from asr.lm.ngram import NgramModel
from asr.lm.units import ksx1001_syllables, text_to_units


def test_a_saved_model_differs_by_rounding_only(
    model: NgramModel, held_out: list[str], tmp_path: Path
) -> None:
    save_model(model, tmp_path / "x.lm")
    again = load_ngrams(tmp_path / "x.lm")
    assert again.vocabulary == model.vocabulary
    for ours, theirs in zip(model.orders, again.orders, strict=True):
        assert np.array_equal(ours.context, theirs.context)
        assert np.array_equal(ours.word, theirs.word)
        np.testing.assert_allclose(ours.logp, theirs.logp, atol=LOGP_STEP / 2 + 1e-4)
        np.testing.assert_allclose(ours.backoff, theirs.backoff, atol=BACKOFF_STEP / 2 + 1e-4)
    assert again.perplexity(held_out).per_unit == pytest.approx(
        model.perplexity(held_out).per_unit, rel=0.01
    )
    automaton = load_model(tmp_path / "x.lm")
    assert automaton.metadata() == build_automaton(again).metadata()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x.lm"]


def test_rounding_is_stable(models: dict[str, NgramModel], tmp_path: Path) -> None:
    save_model(models["mixed"], tmp_path / "a.lm")
    save_model(load_ngrams(tmp_path / "a.lm"), tmp_path / "b.lm")
    assert (tmp_path / "a.lm").read_bytes() == (tmp_path / "b.lm").read_bytes()


def test_any_changed_byte_is_noticed(models: dict[str, NgramModel], tmp_path: Path) -> None:
    path = tmp_path / "x.lm"
    save_model(models["entropy"], path)
    good = path.read_bytes()
    places = [*range(0, 300, 7), *range(300, len(good), len(good) // 60), len(good) - 1]
    for place in places:
        path.write_bytes(good[:place] + bytes([good[place] ^ 0x01]) + good[place + 1 :])
        with pytest.raises((ModelError, DataError)):
            load_model(path)
    for length in (0, 5, 9, 200, len(good) // 2, len(good) - 1):
        path.write_bytes(good[:length])
        with pytest.raises((ModelError, DataError)):
            load_model(path)


def test_newer_and_foreign_files_are_refused(
    models: dict[str, NgramModel], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ModelError, match="cannot be read"):
        load_model(tmp_path / "none.lm")
    save_file({"x": np.zeros(3)}, tmp_path / "foreign.lm")
    with pytest.raises(ModelError, match="not a language model"):
        load_model(tmp_path / "foreign.lm")
    save_model(models["bigram"], tmp_path / "newer.lm")
    monkeypatch.setattr(binary, "VERSION", 0)
    with pytest.raises(ModelError, match="version 1 and this Malsori reads up to 0"):
        load_model(tmp_path / "newer.lm")


@pytest.fixture(scope="module")
def korean() -> LmAutomaton:
    return load_model(shipped("lm/ko-syllable.lm"))


def test_the_shipped_model_is_small_and_loads_soon() -> None:
    path = shipped("lm/ko-syllable.lm")
    assert path.stat().st_size <= 25e6
    started = time.perf_counter()
    load_model(path)
    assert time.perf_counter() - started < 20
    assert "CC BY-SA 4.0" in shipped("lm/README.md").read_text(encoding="utf-8")


def test_the_shipped_model_knows_korean(korean: LmAutomaton) -> None:
    assert korean.licence == "CC BY-SA 4.0"
    assert "NSMC" in korean.attribution
    json.dumps(korean.metadata())

    def perplexity(text: str) -> float:
        state, total, units = korean.start_state, 0.0, text_to_units(text)
        for unit in units:
            state, logp = step(korean, state, korean.vocabulary.ids[unit])
            total += logp
        return float(np.exp(-total / len(units)))

    assert perplexity("오늘 날씨가 어떤지 알려 줘") < 30
    assert perplexity("오늘 날씨가 어떤지 알려 줘") < perplexity("오 늘날 씨가어떤지알 려줘")
    assert perplexity("이천이십육년 유월 삼일에 만나요") < 60


def test_the_shipped_model_is_open_and_normalised(korean: LmAutomaton) -> None:
    for syllable in ksx1001_syllables():
        assert syllable in korean.vocabulary.ids and "▁" + syllable in korean.vocabulary.ids
    rng = np.random.default_rng(2)
    for state in [0, korean.start_state, *rng.integers(0, korean.states, 40).tolist()]:
        assert distribution(korean, state).sum() == pytest.approx(1.0, abs=0.05)  # rounded logs


def distribution(lm: LmAutomaton, state: int) -> np.ndarray:
    """p(word | state) of all words, by adding the arcs from the lowest order up."""
    chain = [state]
    while chain[-1] != 0:
        chain.append(int(lm.backoff_state[chain[-1]]))
    logs = lm.arc_logp[: lm.arc_begin[1]].astype(np.float64)
    for context in reversed(chain[:-1]):
        arcs = slice(lm.arc_begin[context], lm.arc_begin[context + 1])
        logs = logs + lm.backoff_logp[context]
        logs[lm.arc_word[arcs]] = lm.arc_logp[arcs]
    return np.exp(logs)
