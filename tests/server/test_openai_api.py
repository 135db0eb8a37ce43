"""OpenAI's own client against the service, with the shipped model and samples."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import openai
import pytest
from serving import Running, real_model, running

from asr import Model
from asr.cli.main import main
from asr.data_files import shipped
from asr.result import Result

SAMPLE = "synthetic-espeak-1.flac"


@pytest.fixture(scope="module")
def model(korean_model: Path) -> Model:
    return real_model(korean_model)


@pytest.fixture(scope="module")
def service(model: Model) -> Iterator[Running]:
    with running(model) as service:
        yield service


@pytest.fixture(scope="module")
def client(service: Running) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{service.url}/v1", api_key="none", max_retries=0) as client:
        yield client


@pytest.fixture(scope="module")
def sample() -> Path:
    return shipped("samples") / SAMPLE


@pytest.fixture(scope="module")
def expected(model: Model, sample: Path) -> Result:
    return model.transcribe(sample)


def test_json_is_the_text(client: openai.OpenAI, expected: Result, sample: Path) -> None:
    with open(sample, "rb") as file:
        answer = client.audio.transcriptions.create(model="whisper-1", file=file)
    assert answer.text == expected.text
    assert answer.text.startswith("안녕하세요")
    assert answer.usage.type == "duration" and answer.usage.seconds == 4


def test_verbose_json_has_what_the_result_has(
    client: openai.OpenAI, expected: Result, sample: Path
) -> None:
    with open(sample, "rb") as file:
        answer = client.audio.transcriptions.create(
            model="whisper-1", file=file, language="ko", response_format="verbose_json",
            timestamp_granularities=["word", "segment"], temperature=0,
        )
    assert (answer.language, answer.text) == ("korean", expected.text)
    assert answer.duration == pytest.approx(expected.duration, abs=1e-3)
    assert [(word.word, word.start) for word in answer.words] == [
        (word.text, pytest.approx(word.start, abs=1e-3)) for word in expected.words
    ]
    for segment, other in zip(answer.segments, expected.segments, strict=True):
        assert (segment.text, segment.tokens) == (other.text, [])
        assert segment.start == pytest.approx(other.start, abs=1e-3)
        assert -3 < segment.avg_logprob < 0
    with open(sample, "rb") as file:
        answer = client.audio.transcriptions.create(
            model="whisper-1", file=file, response_format="verbose_json"
        )
    assert answer.words is None and answer.segments


def test_subtitles_are_those_of_the_command(
    client: openai.OpenAI, sample: Path, tmp_path: Path, korean_model: Path
) -> None:
    options = ["-m", str(korean_model), "-f", "srt", "-f", "vtt", "-o", str(tmp_path)]
    assert main(["transcribe", str(sample), *options]) == 0
    for form in ("srt", "vtt"):
        with open(sample, "rb") as file:
            answer = client.audio.transcriptions.create(
                model="whisper-1", file=file, response_format=form
            )
        assert answer == (tmp_path / f"{sample.stem}.{form}").read_text(encoding="utf-8")


def test_text_is_plain(client: openai.OpenAI, expected: Result, sample: Path) -> None:
    with open(sample, "rb") as file:
        answer = client.audio.transcriptions.create(
            model="whisper-1", file=file, response_format="text"
        )
    assert answer == expected.text + "\n"


def test_events_give_the_whole(client: openai.OpenAI, expected: Result, sample: Path) -> None:
    with open(sample, "rb") as file:
        events = list(client.audio.transcriptions.create(
            model="gpt-4o-transcribe", file=file, stream=True
        ))
    deltas = [event.delta for event in events if event.type == "transcript.text.delta"]
    assert "".join(deltas) == expected.text
    assert events[-1].type == "transcript.text.done" and events[-1].text == expected.text


def test_a_prompt_and_keywords_give_words(
    client: openai.OpenAI, model: Model, expected: Result, sample: Path
) -> None:
    said = "안녕 하세요"  # listed with a space, it comes out so
    heard = model.add_words([said]).transcribe(sample).text
    assert said in heard and said not in expected.text
    for extra in ({"prompt": f"KBS, {said}. 그리고 이것은 낱말이 아니라 문장이다."},
                  {"extra_body": {"keywords": [said, "KBS"]}}):
        with open(sample, "rb") as file:
            answer = client.audio.transcriptions.create(model="any", file=file, **extra)
        assert answer.text == heard


@pytest.mark.parametrize(
    ("arguments", "parameter"),
    [
        ({"language": "en"}, "language"),
        ({"response_format": "diarized_json"}, "response_format"),
        ({"temperature": 7}, "temperature"),
        ({"timestamp_granularities": ["word"]}, "timestamp_granularities"),
        ({"extra_body": {"keywords": ["#!"]}}, "keywords"),
        ({"file": ("a.wav", b"this is no sound")}, "file"),
        ({"file": ("a.wav", b"RIFF\0\0\0\0WAVE")}, "file"),
    ],
)
def test_senseless_requests_are_refused(
    client: openai.OpenAI, sample: Path, arguments: dict, parameter: str
) -> None:
    with open(sample, "rb") as file, pytest.raises(openai.BadRequestError) as caught:
        client.audio.transcriptions.create(**{"model": "any", "file": file, **arguments})
    assert caught.value.param == parameter and caught.value.message


def test_models_are_listed(client: openai.OpenAI, model: Model) -> None:
    assert [one.id for one in client.models.list()] == [model.name]
