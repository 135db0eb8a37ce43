"""Parts of the service by themselves."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
import time
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from serving import ObedientModel, running, until
from websockets.sync.client import connect

from asr.errors import AsrError, UsageError
from asr.result import Result, Segment, Word
from asr.server.config import ServerConfig
from asr.server.errors import ApiError
from asr.server.jobs import WorkPool
from asr.server.limits import RateLimiter
from asr.server.openai_forms import render, verbose
from asr.server.openai_request import prompt_words
from asr.server.vosk_messages import (
    StreamConfig,
    grammar_text,
    parse_command,
    result_message,
)
from asr.writers import get_writer
from asr.written.tokens import WrittenToken

START = StreamConfig(16_000)


@given(st.integers(1, 50), st.lists(st.floats(0, 30), max_size=200))
def test_no_minute_brings_more_than_two_buckets(rate: int, pauses: list[float]) -> None:
    """A full bucket and what a minute fills: never more in any 60 s."""
    now = 0.0
    limiter = RateLimiter(rate, lambda: now)
    taken = []
    for pause in pauses:
        now += pause
        wait = limiter.take("a")
        assert 0 <= wait <= 60.0 / rate + 1e-9
        if wait == 0:
            taken.append(now)
    for begin in taken:
        assert sum(begin <= time < begin + 60 for time in taken) <= 2 * rate + 1


def test_a_token_is_there_after_the_wait() -> None:
    now = 0.0
    limiter = RateLimiter(6, lambda: now)
    assert [limiter.take("a") > 0 for _ in range(7)] == [False] * 6 + [True]
    assert limiter.take("b") == 0
    now += limiter.take("a") + 1e-6
    assert limiter.take("a") == 0


def test_many_clients_are_forgotten_again() -> None:
    limiter = RateLimiter(1, lambda: 0.0)
    for number in range(20_000):
        limiter.take(str(number))
    assert len(limiter._buckets) == 10_000


@given(st.text(max_size=300))
def test_any_text_is_a_command_or_a_usage_error(text: str) -> None:
    with contextlib.suppress(UsageError):
        parse_command(text, START, 10)


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=8,
)
names = st.sampled_from(["sample_rate", "phrase_list", "words", "max_alternatives", "other"])


@given(st.dictionaries(names, json_values))
def test_any_config_is_taken_or_refused(fields: dict) -> None:
    try:
        config = parse_command(json.dumps({"config": fields}), START, 10).config
    except UsageError:
        return
    assert config is not None and 0 <= config.alternatives <= 100


@settings(deadline=None)  # the first phrases load the tables
@given(st.lists(st.text("가나 \"'$<[|@#A1", max_size=12), min_size=1, max_size=5))
def test_any_phrases_make_a_grammar_or_an_error_of_ours(phrases: list[str]) -> None:
    from asr.graph.grammar import parse_grammar

    try:
        config = parse_command(json.dumps({"config": {"phrase_list": phrases}}), START, 10).config
        assert config is not None
        parse_grammar(grammar_text(config.phrases))
    except AsrError:
        pass


@given(st.text(max_size=200))
def test_any_prompt_gives_words_that_can_be_said(prompt: str) -> None:
    words = prompt_words(prompt, 5)
    assert len(words) <= 5 and all(word.readings for word in words)


def test_alternatives_of_one_segment_only() -> None:
    from asr.result import Alternative

    word = Word("말", 0.0, 0.5, 0.9)
    one = Segment("말", 0.0, 0.5, (word,), 0.9, (Alternative("말", 0.7), Alternative("맑", 0.2)))
    config = StreamConfig(16_000, alternatives=5)
    single = json.loads(result_message([one], config))["alternatives"]
    assert [other["text"] for other in single] == ["말", "맑"]
    double = json.loads(result_message([one, one], config))["alternatives"]
    assert [other["text"] for other in double] == ["말 말"]
    assert json.loads(result_message([], START)) == {"text": ""}


def test_forms_without_speech_and_without_confidence() -> None:
    nothing = Result((), 1.25)
    assert json.loads(render(nothing, "json", frozenset())[0])["usage"]["seconds"] == 2
    assert render(nothing, "srt", frozenset())[0] == ""
    both = frozenset({"segment", "word"})
    assert verbose(nothing, both)["words"] == verbose(nothing, both)["segments"] == []
    unsure = Result((Segment("말", 0.0, 1.0, (Word("말", 0.0, 1.0),)),), 1.0)
    segment = verbose(unsure, both)["segments"][0]
    assert segment["avg_logprob"] == 0.0 and segment["confidence"] is None


def test_numbers_are_told_as_they_are_written() -> None:
    """In every form, where the result has a written form; their times are those of their words."""
    words = [Word("삼십", 0.0, 0.5), Word("퍼센트", 0.5, 1.0), Word("할인", 1.0, 1.5)]
    tokens = (WrittenToken("삼십 퍼센트", "30%", 0, 2), WrittenToken("할인", "할인", 2, 3))
    segment = replace(Segment.from_words(words, 0.8), written=tokens)
    result = Result((segment,), 2.0)
    both = frozenset({"segment", "word"})
    form = verbose(result, both)
    assert form["text"] == form["segments"][0]["text"] == "30% 할인"
    assert [(word["word"], word["start"], word["end"]) for word in form["words"]] == [
        ("30%", 0.0, 1.0), ("할인", 1.0, 1.5)]
    for name in ("json", "text", "srt"):
        assert "30% 할인" in render(result, name, both)[0]
    live = json.loads(result_message([segment], START))
    assert live["text"] == "30% 할인" and live["result"][0]["word"] == "30%"


def test_the_pool_takes_live_steps_first() -> None:
    async def scenario() -> list[str]:
        pool = WorkPool(1, 5)
        order: list[str] = []
        gate = threading.Event()
        first = asyncio.ensure_future(pool.run_upload(gate.wait))
        await asyncio.sleep(0.05)
        later = [
            asyncio.ensure_future(run(lambda name=name: order.append(name)))
            for run, name in ((pool.run_upload, "upload"), (pool.run_live, "live"))
        ]
        await asyncio.sleep(0.05)
        gate.set()
        await asyncio.gather(first, *later)
        pool.close()
        return order

    assert asyncio.run(scenario()) == ["live", "upload"]


def test_a_worker_is_kept_for_live_streams_while_there_are_any() -> None:
    async def scenario() -> list[int]:
        pool = WorkPool(2, 5)
        gate = threading.Event()
        running: list[int] = []
        counts = []
        for keep in (True, False):
            pool.keep_one_for_live(keep)
            steps = [
                asyncio.ensure_future(pool.run_upload(lambda: (running.append(1), gate.wait())))
                for _ in range(2)
            ]
            await asyncio.sleep(0.1)
            counts.append(len(running))
            gate.set()
            await asyncio.gather(*steps)
            gate.clear()
            running.clear()
        pool.close()
        return counts

    assert asyncio.run(scenario()) == [1, 2]


def test_streams_that_run_together_are_more_than_the_workers_and_uploads_are_not() -> None:
    async def scenario() -> int:
        pool = WorkPool(1, 5, batch=3)
        together = threading.Barrier(3)  # each waits for two others
        await asyncio.gather(*(pool.run_live(lambda: together.wait(20)) for _ in range(3)))
        alone = threading.Lock()

        def step() -> bool:
            with alone:
                time.sleep(0.02)
                return pool._uploads_running == 1

        steps = await asyncio.gather(*(pool.run_upload(step) for _ in range(3)))
        pool.close()
        return sum(steps)

    assert asyncio.run(scenario()) == 3


def test_a_long_message_is_many_steps_and_has_one_answer() -> None:
    """Another stream has its turn between them, however much sound one message holds."""
    model = ObedientModel()
    with running(model, jobs=1) as service, connect(service.live) as long, \
            connect(service.live) as other:
        model.gate.clear()
        long.send(bytes(2 * 10 * 16_000) + b"\0")  # and half of a sample
        until(lambda: model.entered == 1)
        other.send(bytes(2 * 16_000))
        until(lambda: len(service.service.pool._live) == 1)
        model.gate.set()
        assert json.loads(other.recv(20))["text"] == "말"
        assert json.loads(long.recv(20))["text"] == " ".join(["말"] * 10)
        assert model.entered == 11
        long.send(bytes(2 * 16_000 - 2))
        assert json.loads(long.recv(20)) == {"partial": ""}
        long.send(b"\0")  # the other half
        assert json.loads(long.recv(20))["text"] == "말"
        long.send(b"")
        assert json.loads(long.recv(20)) == {"partial": ""}


def test_a_failing_step_fails_alone() -> None:
    async def scenario() -> int:
        pool = WorkPool(1, 5)
        with pytest.raises(ZeroDivisionError):
            await pool.run_live(lambda: 1 // 0)
        answer = await pool.run_live(lambda: 7)
        with pool.place():
            assert pool.admitted == 1
        pool.close()
        with pytest.raises(RuntimeError, match="closed"):
            await pool.run_live(lambda: 7)
        return answer

    assert asyncio.run(scenario()) == 7


def test_a_full_pool_says_when_to_come_again() -> None:
    async def scenario() -> None:
        pool = WorkPool(1, 0)
        with pool.place(), pytest.raises(ApiError) as caught, pool.place():
            pass
        assert caught.value.status == 503 and caught.value.headers["Retry-After"]
        pool.close()

    asyncio.run(scenario())


@pytest.mark.parametrize("field", ["jobs", "idle_seconds", "upload_bytes", "client_rate"])
def test_limits_are_positive(field: str) -> None:
    with pytest.raises(UsageError, match=field):
        ServerConfig(**{field: 0})


def test_a_result_becomes_subtitles_by_the_same_writer() -> None:
    word = Word("말", 0.25, 0.75, 0.5)
    result = Result((Segment.from_words([word], 0.5),), 1.0)
    with running(ObedientModel()) as service:
        for form in ("srt", "vtt", "tsv"):
            data = json.dumps(result.to_dict()).encode()
            assert _convert(service, data, form) == (200, get_writer(form).dumps(result))
        broken = result.to_dict() | {"segments": [{"start": "a"}]}
        odd = json.dumps(result.to_dict()).replace("0.25", "NaN")
        for data in (b"", b"[" * 90_000, b"[]", json.dumps(broken).encode(), odd.encode()):
            assert _convert(service, data, "srt")[0] == 400
        assert _convert(service, data, "docx")[0] == 400
        assert _convert(service, bytes(3_000_000), "srt")[0] == 413


def _convert(service, data: bytes, form: str) -> tuple[int, str]:
    from http.client import HTTPConnection

    connection = HTTPConnection(service.host, service.port)
    connection.request("POST", f"/v1/subtitles?format={form}", data)
    response = connection.getresponse()
    content = response.read().decode()
    connection.close()
    return response.status, content
