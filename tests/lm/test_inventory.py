"""Choosing units: pieces, morphs, whole eojeol."""

from __future__ import annotations

import math
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import kenlm
import pytest

from asr.errors import DataError, UsageError
from asr.lm import morphs
from asr.lm.arpa import read_arpa
from asr.lm.automaton import LmAutomaton, build_automaton, score_sentence
from asr.lm.binary import load_model, load_ngrams, save_model
from asr.lm.counts import Corpus
from asr.lm.inventory import KINDS, InventoryConfig, build_inventory, count_eojeol
from asr.lm.morphs import morph_boundaries, morph_counts
from asr.lm.ngram import NgramModel
from asr.lm.text_files import read_vocabulary, write_vocabulary
from asr.lm.train import TrainConfig, train
from asr.lm.units import Vocabulary, encode_lines, ksx1001_syllables, units_to_text

SENTENCES = [
    "나는 어제 학교에 갔다", "우리는 학교에서 공부했다", "친구를 만났어요", "학교가 멀어요",
    "어제는 비가 왔다", "오늘은 학교에 안 갔습니다", "친구와 학교에 갔어요",
    "비가 오니까 집에 있었다", "내일은 친구를 만나러 간다", "학교에서 친구들과 놀았다",
    "집에서 공부를 했습니다", "어제 집에 갔다",
]  # fmt: skip
LONGER = [kind for kind in KINDS if kind != "syllable"]


@pytest.fixture(scope="module")
def inventories() -> dict[str, Vocabulary]:
    config = InventoryConfig(size=20, min_count=2)
    return {kind: build_inventory(SENTENCES * 3, replace(config, kind=kind)) for kind in KINDS}


@pytest.fixture(scope="module", params=LONGER)
def longer(request: pytest.FixtureRequest, inventories: dict[str, Vocabulary]) -> NgramModel:
    vocabulary = inventories[request.param]
    return train([Corpus(encode_lines(SENTENCES, vocabulary))], vocabulary, TrainConfig(3))


@pytest.mark.parametrize("kind", KINDS)
def test_every_inventory_is_open_and_spells_the_text(
    kind: str, inventories: dict[str, Vocabulary]
) -> None:
    vocabulary = inventories[kind]
    for syllable in ksx1001_syllables():
        assert syllable in vocabulary.ids and "▁" + syllable in vocabulary.ids
    for sentence in [*SENTENCES, "뒤웅박 팔자", "강남역에서 만났는데요"]:
        assert vocabulary.decode(vocabulary.encode(sentence)) == sentence
        assert vocabulary.unk not in vocabulary.encode(sentence)
    long = [unit for unit in vocabulary.units[3:] if len(unit.removeprefix("▁")) > 1]
    assert (0 if kind == "syllable" else 5) <= len(long) <= (0 if kind == "syllable" else 20)
    assert vocabulary.single == (kind == "syllable")
    lengths = {k: sum(len(v.encode(s)) for s in SENTENCES) for k, v in inventories.items()}
    assert kind == "syllable" or lengths[kind] < 0.85 * lengths["syllable"]


def test_morphs_are_what_a_speaker_would_say(inventories: dict[str, Vocabulary]) -> None:
    found = inventories["morph"].segment("학교에서 친구를 갔다")
    assert found == ["▁학교", "에서", "▁친구", "를", "▁갔", "다"]
    assert inventories["eojeol"].segment("학교에서 학교에는") == ["▁학교에서", "▁학교에", "는"]


def test_contractions_stay_whole_syllables() -> None:
    cuts = {
        "갔다": [1], "했다": [1], "간다": [], "봤어요": [1], "학교에서는": [2, 4],
        "먹었습니다": [1, 2], "나는": [1], "영화였음": [2, 3],
    }  # fmt: skip
    assert dict(zip(cuts, morph_boundaries(cuts), strict=True)) == cuts
    counts = morph_counts({"갔다": 3, "학교에서는": 1})
    assert counts == {"▁갔": 3, "다": 3, "▁학교": 1, "에서": 1, "는": 1}


def test_morphs_always_spell_the_eojeol(held_out: list[str]) -> None:
    words = [word for line in [*held_out, *SENTENCES] for word in line.split()]
    for word, cuts in zip(words, morph_boundaries(words), strict=True):
        assert cuts == sorted(set(cuts)) and all(0 < cut < len(word) for cut in cuts)


def test_dropped_units_lend_their_count_to_their_syllables() -> None:
    """기차 is cut into syllables only because 기차 was left out; then they are no rarities."""
    lines = ["학교 학교 학교 기차 기차"] * 10
    vocabulary = build_inventory(lines, InventoryConfig("morph", size=1, min_count=2))
    costs = dict(zip(vocabulary.units, vocabulary.costs, strict=True))
    assert vocabulary.segment("학교 기차") == ["▁학교", "▁기", "차"]
    assert costs["▁학교"] == round(100 * math.log(70 / 30))
    assert costs["▁기"] == costs["차"] == round(100 * math.log(70 / 20))
    assert costs["▁뷔"] == round(100 * math.log(70 / 0.1))


def test_the_same_text_gives_the_same_units(inventories: dict[str, Vocabulary]) -> None:
    config = InventoryConfig(size=20, min_count=2)
    for kind in LONGER:
        assert build_inventory(SENTENCES * 3, replace(config, kind=kind)) == inventories[kind]


def test_eojeol_are_counted_in_sentences_and_words() -> None:
    assert count_eojeol(["가 나다 A1", "나다ㅋ 가"], [("나다 라", 3)]) == Counter(
        {"가": 2, "나다": 4, "라": 3}
    )


def test_units_and_costs_survive_each_file(
    longer: NgramModel, tmp_path: Path, arpa_text: Callable[[NgramModel], str]
) -> None:
    save_model(longer, tmp_path / "m.lm")
    again = load_ngrams(tmp_path / "m.lm")
    assert again.vocabulary == longer.vocabulary
    with open(tmp_path / "v.txt", "w", encoding="utf-8") as file:
        write_vocabulary(longer.vocabulary, file)
    assert read_vocabulary(tmp_path / "v.txt") == longer.vocabulary
    automaton = load_model(tmp_path / "m.lm")
    copy = LmAutomaton.from_tensors(automaton.to_tensors(), automaton.metadata())
    assert copy.vocabulary == longer.vocabulary
    (tmp_path / "m.arpa").write_text(arpa_text(longer), encoding="utf-8")
    text = read_arpa(tmp_path / "m.arpa")
    assert text.vocabulary.units == longer.vocabulary.units and not text.vocabulary.whole_words
    save_model(again, tmp_path / "again.lm")
    assert (tmp_path / "again.lm").read_bytes() == (tmp_path / "m.lm").read_bytes()


def test_automaton_and_kenlm_score_as_the_model(
    longer: NgramModel, tmp_path: Path, arpa_text: Callable[[NgramModel], str]
) -> None:
    (tmp_path / "m.arpa").write_text(arpa_text(longer), encoding="utf-8")
    theirs = kenlm.Model(str(tmp_path / "m.arpa"))
    automaton = build_automaton(longer)
    vocabulary = longer.vocabulary
    for text in [*SENTENCES, "친구는 뒤웅박에서 놀았다", "낯선 말이다"]:
        score = longer.score(text)
        assert score_sentence(automaton, vocabulary.encode(text)) == pytest.approx(score, abs=1e-4)
        spelled = " ".join(vocabulary.segment(text))
        assert theirs.score(spelled) * 2.302585093 == pytest.approx(score, abs=1e-4)


def test_figures_per_jamo_do_not_depend_on_the_units(
    longer: NgramModel, inventories: dict[str, Vocabulary]
) -> None:
    syllables = inventories["syllable"]
    plain = train([Corpus(encode_lines(SENTENCES, syllables))], syllables, TrainConfig(3))
    ours, theirs = longer.perplexity(SENTENCES), plain.perplexity(SENTENCES)
    assert (ours.jamo, ours.syllables) == (theirs.jamo, theirs.syllables)
    assert ours.syllables == sum(len(line.replace(" ", "")) for line in SENTENCES)
    assert ours.tokens < theirs.tokens and ours.unknown == 0
    assert units_to_text(longer.vocabulary.segment(SENTENCES[0])) == SENTENCES[0]


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (InventoryConfig("words"), "no units are called 'words'; choose syllable, subword"),
        (InventoryConfig("morph", size=0), "must be 1 to 65536"),
        (InventoryConfig("morph", size=65_000), "ask for 60833 or fewer"),
        (InventoryConfig("morph", min_count=0), "at least 1"),
        (InventoryConfig("morph", max_length=1), "2 to 32"),
    ],
)
def test_bad_wishes_are_refused(config: InventoryConfig, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        build_inventory(SENTENCES, config)


@pytest.mark.parametrize("kind", LONGER)
def test_text_without_a_hangul_eojeol_is_refused(kind: str) -> None:
    with pytest.raises(DataError, match="no eojeol that is all Hangul"):
        build_inventory(["abc 가A"], InventoryConfig(kind))


@pytest.mark.parametrize(
    ("kind", "package"), [("subword", "sentencepiece"), ("morph", "kiwipiepy")]
)
def test_missing_packages_are_named(
    kind: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    morphs._kiwi.cache_clear()
    with pytest.raises(UsageError, match=f"need the package {package}"):
        build_inventory(SENTENCES, InventoryConfig(kind))
