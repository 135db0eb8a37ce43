"""WebSocket clients that do what vosk-server's published ones do, with the shipped model."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import soundfile
import soxr
from serving import Running, running
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from asr import Model
from asr.data_files import shipped

DIGITS = "human-digits-6789.flac"


@pytest.fixture(scope="module")
def service(model: Model) -> Iterator[Running]:
    with running(model) as service:
        yield service


@pytest.fixture(scope="module")
def samples() -> np.ndarray:
    samples, rate = soundfile.read(shipped("samples") / DIGITS, dtype="int16")
    assert rate == 16_000
    return samples


def ask(client: ClientConnection, message: Any) -> dict[str, Any]:
    """Send a message, and wait for its answer."""
    client.send(message)
    answer: dict[str, Any] = json.loads(client.recv(20))
    return answer


def finals(client: ClientConnection, samples: np.ndarray, rate: int) -> list[dict[str, Any]]:
    """Send 0.2 s at a time, each answered before the next, then eof: vosk-server's test.py."""
    step = rate // 5
    answers = [
        ask(client, samples[begin : begin + step].tobytes())
        for begin in range(0, len(samples), step)
    ]
    answers.append(ask(client, '{"eof" : 1}'))
    assert all(("partial" in answer) != ("text" in answer) for answer in answers[:-1])
    with pytest.raises(ConnectionClosed) as closed:
        client.recv(20)
    assert closed.value.rcvd is not None and closed.value.rcvd.code == 1000
    return [answer for answer in answers if "partial" not in answer]


def test_a_recording_as_test_py_sends_it(
    service: Running, model: Model, samples: np.ndarray
) -> None:
    with connect(service.live) as client:
        client.send('{ "config" : { "sample_rate" : 16000 } }')
        answers = finals(client, samples, 16_000)
    expected = model.transcribe(shipped("samples") / DIGITS)
    assert " ".join(answer["text"] for answer in answers if answer["text"]) == expected.text
    words = [word for answer in answers for word in answer.get("result", [])]
    assert [word["word"] for word in words] == [word.text for word in expected.words]
    assert {frozenset(word) for word in words} == {frozenset({"word", "start", "end", "conf"})}
    edges = [edge for word in words for edge in (word["start"], word["end"])]
    assert edges == sorted(edges) and edges[-1] < len(samples) / 16_000


def test_streams_whose_network_runs_together_hear_the_same(
    model: Model, samples: np.ndarray
) -> None:
    def heard(service: Running) -> list[dict[str, Any]]:
        with connect(service.live) as client:
            client.send('{"config": {"sample_rate": 16000}}')
            return finals(client, samples, 16_000)

    with running(model, jobs=1, batch=3) as service, ThreadPoolExecutor(3) as pool:
        first, *others = pool.map(heard, [service] * 3)
    assert first[0]["text"] and others == [first, first]


def test_partial_texts_come_before_the_result(service: Running, samples: np.ndarray) -> None:
    """And a pause ends an utterance, as Vosk's does, without being asked."""
    partial, texts = [], []
    padded = np.concatenate([samples, np.zeros(16_000 * 3, np.int16)])
    with connect(service.live) as client:
        for begin in range(0, len(padded), 3200):
            answer = ask(client, padded[begin : begin + 3200].tobytes())
            partial.append(answer.get("partial", ""))
            texts.append(answer.get("text", ""))
        assert ask(client, '{"eof": 1}') == {"text": ""}
    assert any(partial[: len(samples) // 3200]) and any(texts)


def test_another_rate_is_resampled(service: Running, samples: np.ndarray) -> None:
    low = soxr.resample(samples, 16_000, 8_000)
    with connect(service.live) as client:
        client.send('{"config": {"sample_rate": 8000.0, "words": 0}}')
        answers = finals(client, low, 8_000)
    assert any(answer["text"] for answer in answers)
    assert all(set(answer) == {"text"} for answer in answers)


def test_pieces_may_be_cut_within_a_sample(service: Running, samples: np.ndarray) -> None:
    data, texts = samples.tobytes(), []
    for step in (6400, 6401):
        with connect(service.live) as client:
            for begin in range(0, len(data), step):
                ask(client, data[begin : begin + step])
            texts.append(ask(client, '{"eof": 1}')["text"])
    assert texts[0] == texts[1] != ""


def test_alternatives_are_given_in_their_own_form(service: Running, samples: np.ndarray) -> None:
    with connect(service.live) as client:
        client.send('{"config": {"max_alternatives": 3}}')
        answers = finals(client, samples, 16_000)
    alternatives = next(answer["alternatives"] for answer in answers if answer["alternatives"])
    assert 2 <= len(alternatives) <= 3 and alternatives[0]["result"]
    sure = [one["confidence"] for one in alternatives]
    assert sure == sorted(sure, reverse=True)


def test_a_phrase_list_is_all_that_may_be_said(service: Running, samples: np.ndarray) -> None:
    texts = []
    for phrases in (["여섯 일곱 여덟 아홉", "하나 둘 셋"], ["창문 좀 열어 줘", "[unk]"]):
        with connect(service.live) as client:
            client.send(json.dumps({"config": {"phrase_list": phrases}}))
            answers = finals(client, samples, 16_000)
        texts.append(" ".join(filter(None, (answer["text"] for answer in answers))))
    assert texts == ["여섯 일곱 여덟 아홉", "[unk]"]


def test_reset_begins_anew_and_times_go_on(service: Running, samples: np.ndarray) -> None:
    with connect(service.live) as client:
        ask(client, samples.tobytes())
        first = ask(client, '{"reset": 1}')
        ask(client, samples.tobytes())
        second = ask(client, '{"eof": 1}')
    assert first["text"] == second["text"] != ""
    seconds = len(samples) / 16_000
    for word, again in zip(first["result"], second["result"], strict=True):
        assert again["start"] == pytest.approx(word["start"] + seconds, abs=2e-3)


@pytest.mark.parametrize(
    "message",
    [
        "not JSON",
        "[" * 100_000,
        '{"something": 1}',
        '{"config": {"sample_rate": "fast"}}',
        '{"config": {"sample_rate": 1e300}}',
        '{"config": {"phrase_list": "말"}}',
        '{"config": [1, 2]}',
        "null",
    ],
)
def test_senseless_text_ends_its_stream_only(service: Running, message: str) -> None:
    with connect(service.live) as client, connect(service.live) as other:
        client.send(message)
        assert json.loads(client.recv(20))["error"]
        with pytest.raises(ConnectionClosed):
            client.recv(20)
        assert ask(other, b"\0\0" * 1600)["partial"] == ""


@pytest.mark.parametrize(
    "config", ['{"sample_rate": 3}', '{"phrase_list": ["#$%"]}', '{"phrase_list": ["말", "#"]}']
)
def test_settings_that_cannot_be_are_refused_with_the_first_sound(
    service: Running, config: str
) -> None:
    with connect(service.live) as client:
        client.send(f'{{"config": {config}}}')
        assert ask(client, b"\0\0")["error"]


def test_garbage_frames_are_sound_like_any(service: Running) -> None:
    """Any bytes are samples; each frame has its answer, and the service goes on."""
    chance = random.Random(1)
    with connect(service.live) as client:
        for _ in range(1000):
            answer = ask(client, chance.randbytes(chance.randrange(200)))
            assert "partial" in answer or "text" in answer
        assert "text" in ask(client, '{"eof": 1}')
    assert json.loads(service.get("/healthz"))["status"] == "ok"


def test_sound_and_times_are_counted(service: Running) -> None:
    before = service.metric('malsori_sound_seconds_total{kind="live"}')
    with connect(service.live) as client:
        ask(client, b"\0\0" * 16_000)
        ask(client, '{"eof": 1}')
    assert service.metric('malsori_sound_seconds_total{kind="live"}') - before == 1.0
    assert service.metric("malsori_live_step_seconds_count") >= 2
    assert service.metric("process_resident_memory_bytes") > 1e6
