"""Batches: every utterance once, within the limits, resumable, alike on any number of processes."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr.data import BatchConfig, BucketSampler
from asr.errors import DataError, UsageError

LENGTHS = st.lists(st.integers(1, 300), min_size=1, max_size=80)
CONFIGS = st.builds(
    BatchConfig,
    max_frames=st.integers(300, 3000),
    max_utterances=st.integers(1, 20),
    seed=st.integers(0, 9),
    shuffle=st.booleans(),
    pool=st.integers(1, 5),
    jitter=st.sampled_from([0.0, 0.1, 0.5]),
)


def _sampler(
    lengths: list[int], config: BatchConfig, rank: int = 0, world: int = 1
) -> BucketSampler:
    return BucketSampler(lengths, config, rank=rank, world_size=world)


@given(LENGTHS, CONFIGS)
@settings(max_examples=80, deadline=None)
def test_every_utterance_once_within_the_limits(lengths: list[int], config: BatchConfig) -> None:
    sampler = _sampler(lengths, config)
    epochs = [list(sampler), list(sampler)]
    assert sampler.epoch == 2 and sampler.position == 0
    for batches in epochs:
        assert sorted(index for batch in batches for index in batch) == list(range(len(lengths)))
        for batch in batches:
            assert 1 <= len(batch) <= config.max_utterances
            assert len(batch) * max(lengths[i] for i in batch) <= config.max_frames
    assert epochs == [sampler.batches(0), sampler.batches(1)]
    if not config.shuffle:
        assert epochs[0] == epochs[1]


@given(LENGTHS, CONFIGS, st.integers(1, 4), st.data())
@settings(max_examples=80, deadline=None)
def test_processes_share_the_global_batches(
    lengths: list[int], config: BatchConfig, world: int, data: st.DataObject
) -> None:
    one = _sampler(lengths, config)
    ranks = [_sampler(lengths, config, rank, world) for rank in range(world)]
    for whole, *parts in zip(one, *ranks, strict=True):
        assert sorted(index for part in parts for index in part) == sorted(whole)
        assert max(map(len, parts)) - min(map(len, parts)) <= 1


@given(LENGTHS, CONFIGS, st.integers(1, 3), st.data())
@settings(max_examples=80, deadline=None)
def test_resuming_gives_the_same_batches(
    lengths: list[int], config: BatchConfig, world: int, data: st.DataObject
) -> None:
    def first(sampler: BucketSampler, count: int) -> list[list[int]]:
        batches: list[list[int]] = []
        while len(batches) < count:
            for batch in sampler:
                batches.append(batch)
                if len(batches) == count:
                    break
        return batches

    per_epoch = len(_sampler(lengths, config))
    stop = data.draw(st.integers(0, 2 * per_epoch))
    whole = first(_sampler(lengths, config), stop + per_epoch)
    begun = _sampler(lengths, config)
    first(begun, stop)
    state = json.loads(json.dumps(begun.state_dict()))
    # on another number of processes, too
    ranks = [_sampler(lengths, config, rank, world) for rank in range(world)]
    for rank in ranks:
        rank.load_state_dict(state)
    parts = [first(rank, per_epoch) for rank in ranks]
    joined = [sorted(i for part in step for i in part) for step in zip(*parts, strict=True)]
    assert joined == [sorted(batch) for batch in whole[stop:]]


def test_pending_batches_come_again() -> None:
    sampler = BucketSampler([10] * 50, BatchConfig(max_frames=50))
    handed = iter(sampler)
    batches = [next(handed) for _ in range(5)]
    again = BucketSampler([10] * 50, BatchConfig(max_frames=50))
    again.load_state_dict(sampler.state_dict(pending=2))
    assert next(iter(again)) == batches[3]
    with pytest.raises(UsageError, match="pending"):
        sampler.state_dict(pending=6)


def test_epochs_and_seeds_differ() -> None:
    lengths = np.random.default_rng(0).integers(50, 1000, 500)
    sampler = BucketSampler(lengths)
    assert sampler.batches(0) != sampler.batches(1)
    assert sampler.batches(3) == sampler.batches(3)
    assert sampler.batches(0) != BucketSampler(lengths, BatchConfig(seed=1)).batches(0)
    ahead = [{tuple(sorted(b)) for b in sampler.batches(e)} for e in range(2)]
    assert not ahead[0] & ahead[1]  # utterances meet others each time


def test_buckets_save_padding() -> None:
    lengths = np.random.default_rng(0).integers(50, 1500, 2000)
    bucketed = BucketSampler(lengths, BatchConfig(20_000, pool=32))
    mixed = BucketSampler(lengths, BatchConfig(20_000, pool=1))
    assert bucketed.padding() < 0.09 < mixed.padding()
    assert BucketSampler(lengths, BatchConfig(20_000, jitter=0.0)).padding() < 0.04


@pytest.mark.parametrize(
    ("lengths", "error", "said"),
    [
        ([], DataError, "no utterance"),
        ([5, 0], DataError, "utterance 1 has no frames"),
        ([5, 30_000], DataError, "utterance 1 has 30000 frames, more than a batch may hold"),
    ],
)
def test_bad_lengths(lengths: list[int], error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        BucketSampler(lengths)


def test_bad_options_and_states() -> None:
    with pytest.raises(UsageError):
        BucketSampler([1], rank=2, world_size=2)
    for options in ({"max_frames": 0}, {"seed": -1}, {"pool": 0}):
        with pytest.raises(UsageError):
            BatchConfig(**options)
    sampler = BucketSampler([5] * 10)
    good = sampler.state_dict()
    for change, said in (
        ({"epoch": "x"}, "damaged"),
        ({"fingerprint": "other"}, "other utterances"),
        ({"position": 99}, "batch 99 of epoch 0"),
        ({"epoch": -1}, "which there is not"),
    ):
        with pytest.raises(DataError, match=said):
            sampler.load_state_dict({**good, **change})
    with pytest.raises(DataError, match="damaged"):
        sampler.load_state_dict({})
    with pytest.raises(DataError, match="other utterances"):
        BucketSampler([5] * 10, BatchConfig(seed=3)).load_state_dict(good)
