"""Normalisation against kaldi-native-fbank (statistics, apply) and torchaudio (sliding window)."""

import numpy as np
import pytest
import torch
import torchaudio.functional as torchaudio_functional
from hypothesis import given, settings
from hypothesis import strategies as st

from asr.errors import DataError, UsageError
from asr.features import (
    OnlineCmvn,
    OnlineCmvnConfig,
    SlidingCmvnConfig,
    apply_cmvn,
    cmvn_stats,
    sliding_cmvn,
    speaker_cmvn,
    utterance_cmvn,
)

knf = pytest.importorskip("kaldi_native_fbank")

LENGTHS = st.lists(st.integers(1, 40), min_size=1, max_size=4)


def ragged_batch(lengths, dim=4, seed=0):
    generator = torch.Generator().manual_seed(seed)
    batch = torch.randn(len(lengths), max(lengths), dim, generator=generator)
    return batch * torch.tensor([1.0, 5.0, 20.0, 0.1]) + torch.tensor([50.0, 0.0, -3.0, 9.0])


@settings(derandomize=True, deadline=None)
@given(LENGTHS, st.booleans())
def test_utterance_cmvn_equals_kaldi_native_fbank(lengths, norm_vars):
    batch = ragged_batch(lengths)
    ours = utterance_cmvn(batch, torch.tensor(lengths), norm_vars)
    stats = cmvn_stats(batch, torch.tensor(lengths))
    for row, length in enumerate(lengths):
        features = batch[row, :length].numpy()
        their_stats = knf.compute_cmvn_stats(features)
        np.testing.assert_allclose(stats[row].numpy(), their_stats, rtol=1e-12)
        if length > 1:  # the variance of a single frame is rounding noise over the floor
            theirs = knf.apply_cmvn(their_stats, knf.CmvnOptions(norm_vars=norm_vars), features)
            np.testing.assert_allclose(ours[row, :length].numpy(), theirs, rtol=1e-3, atol=1e-4)
        assert not ours[row, length:].any()


def test_speaker_cmvn_equals_kaldi_native_fbank():
    lengths = [30, 12, 25, 7]
    speakers = ["a", "b", "a", "a"]
    batch = ragged_batch(lengths)
    ours = speaker_cmvn(batch, speakers, torch.tensor(lengths), norm_vars=True)
    for name in "ab":
        rows = [row for row, speaker in enumerate(speakers) if speaker == name]
        accumulator = knf.CmvnAccumulator(4)
        for row in rows:
            accumulator.accumulate(batch[row, : lengths[row]].numpy())
        for row in rows:
            theirs = knf.apply_cmvn(
                accumulator.stats, knf.CmvnOptions(norm_vars=True), batch[row, : lengths[row]]
            )
            np.testing.assert_allclose(ours[row, : lengths[row]].numpy(), theirs, atol=1e-4)


@settings(derandomize=True, deadline=None)
@given(LENGTHS, st.integers(1, 25), st.integers(1, 12), st.booleans(), st.booleans())
def test_sliding_cmvn_equals_torchaudio(lengths, window, min_window, center, norm_vars):
    batch = ragged_batch(lengths)
    config = SlidingCmvnConfig(window, min_window, norm_vars, center)
    ours = sliding_cmvn(batch, torch.tensor(lengths), config)
    for row, length in enumerate(lengths):
        theirs = torchaudio_functional.sliding_window_cmn(
            batch[row : row + 1, :length].double(), window, min_window, center, norm_vars
        )
        wide = (theirs.abs() < 100).numpy()  # not where the variance was 0 but for rounding
        np.testing.assert_allclose(
            np.where(wide, ours[row, :length].numpy(), 0), np.where(wide, theirs, 0), atol=1e-3
        )
        assert not ours[row, length:].any()


@settings(derandomize=True, deadline=None)
@given(LENGTHS, st.integers(2, 25), st.booleans())
def test_online_cmvn_without_priors_is_kaldis_sliding_window_of_the_past(
    lengths, window, norm_vars
):
    """Kaldi's sliding window of w holds w + 1 frames, the online one w."""
    batch = ragged_batch(lengths)
    cmvn = OnlineCmvn(OnlineCmvnConfig(window, 0, 0, norm_vars=norm_vars))
    ours = cmvn(batch, torch.tensor(lengths))
    for row, length in enumerate(lengths):
        theirs = torchaudio_functional.sliding_window_cmn(
            batch[row : row + 1, :length].double(), window - 1, 1, False, norm_vars
        )
        wide = (theirs.abs() < 100).numpy()
        np.testing.assert_allclose(
            np.where(wide, ours[row, :length].numpy(), 0), np.where(wide, theirs, 0), atol=1e-3
        )
        assert not ours[row, length:].any()


def test_online_cmvn_fills_up_with_speaker_then_corpus():
    """Worked by hand from SmoothOnlineCmvnStats: window 10, at most 4 speaker and 3 global."""
    features = torch.ones(1, 8, 1)
    speaker = torch.tensor([[3 * 20.0, 20.0], [9 * 20.0, 0.0]])  # 20 frames of 3
    corpus = torch.tensor([[7 * 50.0, 50.0], [49 * 50.0, 0.0]])  # 50 frames of 7
    config = OnlineCmvnConfig(cmn_window=10, speaker_frames=4, global_frames=3)
    ours = OnlineCmvn(config, corpus, speaker)(features)[0, :, 0]
    for t in range(8):
        own = t + 1
        spoken = min(4, 10 - own)
        global_ = min(3, 10 - own - spoken)
        mean = (own + 3 * spoken + 7 * global_) / (own + spoken + global_)
        assert ours[t].item() == pytest.approx(1 - mean, abs=1e-6)


def test_a_speaker_of_few_frames_counts_no_more_than_they_are():
    speaker = torch.tensor([[4.0, 2.0], [8.0, 0.0]])
    ours = OnlineCmvn(OnlineCmvnConfig(600, 600, 0), speaker_stats=speaker)(torch.ones(1, 1, 1))
    assert ours.item() == pytest.approx(1 - (1 + 4) / 3)


@settings(derandomize=True, deadline=None)
@given(st.lists(st.integers(0, 15), min_size=1, max_size=8), st.integers(1, 20), st.booleans())
def test_online_cmvn_stream_equals_the_whole(pieces, window, norm_vars):
    features = ragged_batch([max(sum(pieces), 1)])[0, : sum(pieces)]
    corpus = cmvn_stats(ragged_batch([50], seed=1))[0]
    config = OnlineCmvnConfig(
        window, min(window, 5), min(window, 5), norm_vars=norm_vars, skip_dims=(2,)
    )
    cmvn = OnlineCmvn(config, corpus)
    stream = cmvn.stream()
    out = torch.cat([stream.accept(piece) for piece in features.split(pieces)])
    assert torch.equal(out, cmvn(features[None])[0])
    assert torch.equal(out[:, 2], features[:, 2])
    torch.testing.assert_close(stream.speaker_stats(), cmvn_stats(features[None])[0])


def test_long_utterances_are_worked_in_pieces_without_a_seam():
    features = ragged_batch([9000])
    ours = OnlineCmvn(OnlineCmvnConfig(600, 0, 0))(features)
    want = features[0, 4200] - features[0, 3601:4201].double().mean(0)
    torch.testing.assert_close(ours[0, 4200].double(), want, rtol=0, atol=1e-5)


def test_statistics_of_no_frames_are_refused():
    with pytest.raises(DataError, match="no frames"):
        apply_cmvn(torch.ones(1, 3, 2), torch.zeros(2, 3))
    with pytest.raises(UsageError):
        OnlineCmvn(global_stats=torch.zeros(2, 3))
    assert not utterance_cmvn(torch.ones(2, 3, 2), torch.tensor([0, 3])).any()


@pytest.mark.parametrize(
    "call",
    [
        lambda x: apply_cmvn(x, torch.ones(2, 5)),
        lambda x: speaker_cmvn(x, ["a"]),
        lambda x: SlidingCmvnConfig(cmn_window=0),
        lambda x: OnlineCmvnConfig(cmn_window=10),
        lambda x: OnlineCmvn(global_stats=torch.ones(2, 5))(x),
        lambda x: OnlineCmvn(OnlineCmvnConfig(skip_dims=(3,)))(x),
        lambda x: OnlineCmvn().stream().accept(x),
    ],
)
def test_refuses_bad_calls(call):
    with pytest.raises(UsageError):
        call(torch.zeros(2, 5, 3))
