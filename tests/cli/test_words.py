"""`asr words`: readings, sounds, homophones, verdicts; the real model; lists that are wrong."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path

import pytest

from asr.cli.main import main
from asr.data_files import shipped
from asr.graph.bias_words import BiasWord, make_words
from asr.hangul.pronunciation import pronounce
from asr.lm.automaton import LmAutomaton, build_automaton
from asr.lm.counts import Corpus
from asr.lm.train import TrainConfig, train
from asr.lm.units import build_vocabulary, encode_lines
from asr.recognizer import Model
from asr.word_check import CheckConfig, Verdict, WordCheck, check_words

LINES = ["문안 인사를 드리다", "무난하게 지내다", "국물이 맛있다", "인사를 드리다"] * 20


@pytest.fixture(scope="module")
def lm() -> LmAutomaton:
    vocabulary = build_vocabulary(LINES, min_count=1, syllables="개게가역이")
    corpus = Corpus(encode_lines(LINES, vocabulary))
    return build_automaton(train([corpus], vocabulary, TrainConfig(3)))


def _check(lm: LmAutomaton, *words: str | BiasWord) -> dict[str, WordCheck]:
    return {one.written: one for one in check_words(make_words(words), lm)}


def test_sounds_and_units(lm: LmAutomaton) -> None:
    word = _check(lm, "국물이")["국물이"]
    (reading,) = word.readings
    assert reading.pronunciations == tuple(pronounce("국물이"))
    assert " ".join(reading.pronunciations[0].phones) == "g u ng m u l i"
    assert reading.units == ("▁국", "물", "이") and reading.unknown == ()
    assert reading.empty <= reading.best <= 0
    assert word.verdict is Verdict.KNOWN  # every unit but the first follows for certain


def test_homophones(lm: LmAutomaton) -> None:
    words = _check(lm, "문안", "무난", "개가", "게가", "국물", BiasWord("MOON", ("무난",)))
    assert words["문안"].homophones == ("무난", "MOON")
    assert words["무난"].homophones == ("문안", "MOON")
    assert words["MOON"].homophones == ("문안", "무난")
    assert words["개가"].homophones == () and words["개가"].near == ("게가",)
    assert words["게가"].near == ("개가",)
    assert words["국물"].homophones == words["국물"].near == ()


def test_a_variant_of_one_word_is_the_standard_of_the_other(lm: LmAutomaton) -> None:
    words = _check(lm, "주의", "주이")
    assert [said.hangul for said in pronounce("주의")] == ["주의", "주이"]
    assert words["주의"].homophones == ("주이",) and words["주이"].homophones == ("주의",)


def test_verdicts(lm: LmAutomaton) -> None:
    words = _check(lm, "인사를", "쀍쀍", "KBS", "리다국")
    assert words["인사를"].verdict is Verdict.KNOWN
    assert words["쀍쀍"].verdict is Verdict.UNKNOWN
    assert words["쀍쀍"].readings[0].unknown == ("▁쀍", "쀍")
    assert words["KBS"].verdict is Verdict.UNKNOWN  # comes out as written by --words only
    assert words["KBS"].readings[0].reading == "케이비에스"
    assert words["리다국"].verdict is not Verdict.KNOWN
    strict = CheckConfig(known=0.0, rare=-0.001)
    (one,) = check_words(make_words(["인사를"]), lm, strict)
    assert one.verdict is Verdict.UNKNOWN


def test_decomposed_input_is_the_same_word(lm: LmAutomaton) -> None:
    assert list(_check(lm, unicodedata.normalize("NFD", "국물"))) == ["국물"]


# --- the command, with the default model ----------------------------------------------------------


@pytest.fixture
def model(korean_model: Path) -> str:
    return str(korean_model)


def test_table(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["words", "문안", "무난", "KBS", "--model", model]) == 0
    blocks = capsys.readouterr().out.split("\n\n")
    assert [block.splitlines()[0] for block in blocks] == ["문안", "무난", "KBS"]
    assert "  said     무난  m u n a n2" in blocks[0]
    assert "  same     무난" in blocks[0] and "  same     문안" in blocks[1]
    assert "케이비에스, comes out as KBS" in blocks[2]
    assert blocks[2].rstrip().endswith("verdict  needs --words")


def test_json_of_a_list(model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "words.txt"
    path.write_text("# names\n가산디지털단지역\n5G\t오지/파이브지\n\n", encoding="utf-8")
    assert main(["words", "안녕하세요", "--file", str(path), "--json", "--model", model]) == 0
    words = json.loads(capsys.readouterr().out)["words"]
    assert [word["written"] for word in words] == ["안녕하세요", "가산디지털단지역", "5G"]
    assert words[0]["verdict"] == "known well"
    assert [reading["reading"] for reading in words[2]["readings"]] == ["오지", "파이브지"]
    for word in words:
        for reading in word["readings"]:
            assert reading["unknown"] == [] and reading["empty"] <= reading["best"] <= 0
            assert reading["pronunciations"][0]["cost"] == 0
            assert "".join(reading["units"]).replace("▁", "") == reading["reading"]


def test_what_cannot_be_read_is_reported(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["words", "ㅋㅋ", "국물", "--model", model]) == 1
    out, err = capsys.readouterr()
    assert "ㅋㅋ" in err and out.startswith("국물\n")
    assert main(["words", "ㅋㅋ", "--model", "nowhere"]) == 1  # no need to open a model


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\xea\xb0\x80\n\xff\n", "UTF-8"),
        (b"", "has no words"),
        (b"# nothing\n\n", "has no words"),
        ("가\nㅋㅋ\n".encode(), "line 2"),
    ],
)
def test_bad_lists(content: bytes, message: str, tmp_path: Path, capsys) -> None:
    path = tmp_path / "words.txt"
    path.write_bytes(content)
    assert main(["words", "--file", str(path)]) == 1
    assert message in capsys.readouterr().err


def test_wrong_usage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["words"]) == 2
    assert "--file" in capsys.readouterr().err
    assert main(["words", "--file", str(tmp_path / "none")]) == 1
    assert main(["words", "\udcff"]) == 1
    assert "not UTF-8" in capsys.readouterr().err


@pytest.mark.skipif(not hasattr(Model, "add_words"), reason="Model.add_words is not there yet")
def test_try(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    sound = shipped("samples") / "synthetic-espeak-1.flac"
    command = ["words", "가산디지털단지역", "안녕하세요", "--model", model, "--try", str(sound)]
    assert main([*command, "--json"]) == 0
    heard = json.loads(capsys.readouterr().out)["try"]
    assert set(heard["texts"]) == {"without", "with"}
    assert heard["found"]["with"] == heard["found"]["without"] == ["안녕하세요"]
