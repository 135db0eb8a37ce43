"""Views of a model: user words, grammars, options; and what results tell beside words."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from asr import Model, Result, UsageError, load
from asr.cli.main import main
from asr.data.corpora import load_split
from asr.data_files import shipped
from asr.errors import DataError
from asr.graph.bias_words import BiasWord
from asr.graph.grammar import parse_grammar

SPEECH = Path(__file__).parents[2] / "shared" / "speech"
DIGITS = parse_grammar("<digits 3-6>")


@pytest.fixture(scope="module")
def model(korean_model: Path) -> Model:
    return load(korean_model)


def sample(name: str) -> Path:
    return shipped("samples") / f"{name}.flac"


def test_words_are_as_sure_as_a_probability_can_be(model: Model) -> None:
    result = model.transcribe(sample("synthetic-espeak-1"))
    sure = [word.confidence for word in result.words]
    assert all(confidence is not None and 0 < confidence < 1 for confidence in sure)
    assert len(set(sure)) > 1


def test_alternatives_are_different_texts_the_likeliest_first(model: Model) -> None:
    (segment,) = model.transcribe(sample("synthetic-espeak-1"), nbest=5).segments
    texts = [other.text for other in segment.alternatives]
    assert len(texts) == len(set(texts)) == 5
    assert texts[0] == segment.text
    shares = [other.confidence for other in segment.alternatives]
    assert shares == sorted(shares, reverse=True)
    assert 0 < sum(shares) <= 1.0 + 1e-6


def test_syllables_and_jamo_have_times_within_their_words(model: Model) -> None:
    result = model.transcribe(sample("synthetic-espeak-1"), jamo=True)
    (segment,) = result.segments
    assert "".join(s.text for s in segment.syllables) == segment.text.replace(" ", "")
    for syllable in segment.syllables:
        word = segment.words[syllable.word]
        assert word.start - 0.1 <= syllable.start < syllable.end <= word.end + 0.1
    edges = [edge for jamo in segment.jamo for edge in (jamo.start, jamo.end)]
    assert edges == sorted(edges)
    assert Result.from_dict(json.loads(json.dumps(result.to_dict()))).segments[0].jamo


def test_what_is_asked_for_does_not_change_what_is_heard(model: Model) -> None:
    for view in (model, model.with_options(rescoring=None)):
        plain = view.transcribe(sample("human-digits-6789"))
        more = view.transcribe(sample("human-digits-6789"), nbest=50, jamo=True)
        assert more.words == plain.words


def test_texts_that_are_written_alike_are_one_alternative(model: Model) -> None:
    words = [BiasWord("여섯일곱", ("여섯 일곱",), boost=4.0)]
    result = model.add_words(words).transcribe(sample("human-digits-6789"), nbest=20, jamo=True)
    (segment,) = result.segments
    texts = [other.text for other in segment.alternatives]
    assert len(texts) == len(set(texts))
    spoken: dict[int, str] = {}
    for syllable in segment.syllables:
        spoken[syllable.word] = spoken.get(syllable.word, "") + syllable.text
    assert [spoken[i] for i in range(len(segment.words))] == [w.text for w in segment.words]


def test_a_search_without_a_lattice_still_works(model: Model) -> None:
    config = replace(model.decoder_config, lattice_beam=0.0)
    result = model.transcribe(sample("human-digits-6789"), decoder=config)
    assert result.text and result.words[0].confidence is None
    closed = model.with_grammar(DIGITS).transcribe(sample("human-digits-6789"), decoder=config)
    assert closed.text == "6789"


def test_a_grammar_and_words_exclude_each_other(model: Model) -> None:
    with pytest.raises(UsageError, match="grammar"):
        model.with_grammar(DIGITS).add_words(["KBS"])
    with pytest.raises(UsageError, match="grammar"):
        model.add_words(["KBS"]).with_grammar(DIGITS)
    with pytest.raises(UsageError, match="rescoring"):
        model.with_options(rescoring="off")  # type: ignore[arg-type]


def test_a_word_comes_out_as_it_is_written(model: Model) -> None:
    word = BiasWord("6789번", ("여섯 일곱 여덟 아홉",), boost=4.0)
    with_word = model.add_words([word])
    assert with_word.transcribe(sample("human-digits-6789")).text == "6789번"
    assert "6789번" not in model.transcribe(sample("human-digits-6789")).text


def test_words_leave_other_speech_alone(model: Model) -> None:
    names = ["가산디지털단지", "KBS", "5G", "을지로입구역"]
    for name in ("synthetic-espeak-1", "human-digits-12345"):
        plain = model.transcribe(sample(name)).text
        assert model.add_words(names).transcribe(sample(name)).text == plain


def test_one_word_is_not_a_list_of_words(model: Model) -> None:
    with pytest.raises(UsageError, match="put it in a list"):
        model.add_words("서울역")


def test_a_grammar_is_heard_and_all_else_rejected(model: Model) -> None:
    closed = model.with_grammar(DIGITS)
    result = closed.transcribe(sample("human-digits-6789"), jamo=True)
    assert result.text == "6789"
    assert not result.rejected
    (segment,) = result.segments
    assert segment.slots == {"digits": "6789"}
    assert "".join(syllable.text for syllable in segment.syllables) == "여섯일곱여덟아홉"
    other = closed.transcribe(sample("synthetic-espeak-2"))
    assert other.rejected
    assert other.text == ""


def test_a_grammars_phrase_gets_no_marks(model: Model) -> None:
    closed = model.with_grammar(parse_grammar("여섯 일곱 여덟 아홉"))
    result = closed.transcribe(sample("human-digits-6789"), punctuation=True)
    assert result.text == "여섯 일곱 여덟 아홉"


def test_a_grammar_that_cannot_be_read_says_where(model: Model, tmp_path: Path) -> None:
    path = tmp_path / "bad.txt"
    path.write_text("서울 | 부산\n($city", encoding="utf-8")
    with pytest.raises(DataError, match="line 2"):
        model.with_grammar(path)


def test_views_leave_the_model_as_it_is(model: Model) -> None:
    plain = model.transcribe(sample("human-digits-6789"))
    model.add_words(["KBS"], boost=5.0)
    model.with_grammar(DIGITS)
    model.with_options(rescoring=None)
    assert model.transcribe(sample("human-digits-6789")) == plain


def test_rescoring_can_be_switched_off(model: Model) -> None:
    plain = model.with_options(rescoring=None)
    assert plain.rescoring is None
    path = plain.decoder.search(plain.decoder_config)
    from asr import load_audio

    samples = load_audio(sample("synthetic-espeak-1"), model.sample_rate).samples
    path.advance(model.scorer.scores(samples))
    spelled = "".join(unit.unit for unit in path.best_path().units).replace("▁", " ").strip()
    assert plain.transcribe(sample("synthetic-espeak-1")).text == spelled


def test_the_command_takes_words_and_grammars(model: Model, korean_model, tmp_path, capsys) -> None:
    grammar = tmp_path / "digits.txt"
    grammar.write_text("<digits 3-6>\n", encoding="utf-8")
    sound = str(sample("human-digits-6789"))
    common = ["transcribe", "--model", str(korean_model), sound]
    assert main([*common, "--grammar", str(grammar)]) == 0
    assert capsys.readouterr().out == "6789\n"
    words = tmp_path / "words.txt"
    words.write_text("6789번\t여섯 일곱 여덟 아홉\t4\n", encoding="utf-8")
    arguments = [*common, "--words", str(words), "--nbest", "2", "--jamo", "--format", "json"]
    assert main(arguments) == 0
    (segment,) = json.loads(capsys.readouterr().out)["segments"]
    assert segment["text"] == "6789번"
    assert len(segment["alternatives"]) == 2
    assert segment["jamo"]
    assert main([*common, "--words", str(words), "--grammar", str(grammar)]) == 2
    assert main([*common, "--jamo"]) == 2
    assert main([*common, "--words", str(tmp_path / "none.txt")]) == 1


@pytest.mark.skipif(not SPEECH.exists(), reason="no speech corpora in ../shared")
def test_an_unseen_name_is_recognised_once_it_is_listed(model: Model) -> None:
    utterances = load_split(SPEECH, "emotiontts", "train")
    (said,) = [utterance for utterance in utterances if utterance.id == "ava00019"]
    assert "오창윤" in said.transcript
    assert "오창윤" not in model.transcribe(said.audio).text
    assert "오창윤" in model.add_words(["오창윤"]).transcribe(said.audio).text
