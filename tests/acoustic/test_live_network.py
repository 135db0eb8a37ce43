"""Live streams whose network is run together get the scores that they get alone."""

from __future__ import annotations

import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from asr import Model, load
from asr.acoustic.live_network import LiveNetwork
from asr.acoustic.live_scorer import Speaker, live_scorer
from asr.audio import load_audio
from asr.data_files import shipped
from asr.errors import UsageError
from asr.gathering import GatherConfig, Gatherer

RATE = 16_000
STREAMS = 6
STEP = round(0.48 * RATE)


@pytest.fixture(scope="module")
def whisper() -> Model:
    return load("ko")


@pytest.mark.parametrize("name", ["model", "whisper"])
def test_streams_score_together_as_alone(name, request) -> None:
    scorer = request.getfixturevalue(name).scorer
    sounds = [
        load_audio(path, RATE).samples[begin : begin + 3 * RATE]
        for path in sorted(shipped("samples").glob("human-*.flac"))[:3]
        for begin in (0, 5000)
    ][:STREAMS]
    together = LiveNetwork(scorer, GatherConfig(most=STREAMS, at_once=1, wait=1.0))
    runs: Counter[int] = Counter()
    for part in (together._windows, together._chunks):
        _count(part, runs)
    with ThreadPoolExecutor(STREAMS) as pool:
        found = list(pool.map(lambda sound: _scores(together, sound), sounds))
    assert max(runs) == STREAMS  # they were run together
    alone = LiveNetwork(scorer)
    for sound, scores in zip(sounds, found, strict=True):
        np.testing.assert_allclose(scores, _scores(alone, sound), atol=1e-4, rtol=0)


def _scores(network: LiveNetwork, sound: np.ndarray) -> np.ndarray:
    stream = live_scorer(network, Speaker(network.scorer))
    rows = [stream.accept(sound[i : i + STEP]) for i in range(0, len(sound), STEP)]
    return np.concatenate([*rows, stream.finish()])


def _count(gatherer: Gatherer, runs: Counter[int]) -> None:
    run = gatherer._run

    def counted(items):
        runs[len(items)] += 1
        return run(items)

    gatherer._run = counted


def test_what_is_alike_is_run_at_once() -> None:
    """While one run goes on, calls wait; the next takes those of its key, and not too many."""
    going, go_on = threading.Event(), threading.Event()
    runs: list[list[int]] = []

    def run(items):
        runs.append(sorted(items))
        going.set()
        assert go_on.wait(20)
        return [item * 10 for item in items]

    gather = Gatherer(run, GatherConfig(most=3, at_once=1))
    with ThreadPoolExecutor(8) as pool:
        first = pool.submit(gather, "a", 0)
        assert going.wait(20)
        others = [pool.submit(gather, "a" if item < 5 else "b", item) for item in range(1, 8)]
        while len(gather._waiting) < 7:
            time.sleep(0.01)
        go_on.set()
        assert first.result() == 0
        assert [other.result() for other in others] == [10 * item for item in range(1, 8)]
    assert runs[0] == [0]
    assert sorted(map(len, runs[1:])) == [1, 3, 3]
    assert [5, 6, 7] in runs


def test_a_run_that_fails_is_told_to_all_its_callers_and_to_nobody_else() -> None:
    def run(items):
        if 1 in items:
            raise ValueError("one")
        return items

    gather = Gatherer(run, GatherConfig(most=2, at_once=1, wait=1.0))
    with ThreadPoolExecutor(2) as pool:
        for outcome in [pool.submit(gather, "a", item) for item in (1, 2)]:
            with pytest.raises(ValueError, match="one"):
                outcome.result()
        assert list(pool.map(lambda item: gather("a", item), (3, 4))) == [3, 4]


def test_a_run_that_loses_a_result_does_not_leave_its_caller_waiting() -> None:
    gather = Gatherer(lambda items: [], GatherConfig())
    with pytest.raises(ValueError, match="shorter"):
        gather("a", 1)


@pytest.mark.parametrize("wrong", [{"most": 0}, {"at_once": 0}, {"wait": -1.0}])
def test_configurations_that_make_no_sense(wrong) -> None:
    with pytest.raises(UsageError, match="1 or more"):
        GatherConfig(**wrong)
