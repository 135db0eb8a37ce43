"""Deltas and splicing against kaldi-native-fbank and torchaudio."""

import numpy as np
import pytest
import torch
import torchaudio.functional as torchaudio_functional
from hypothesis import given, settings
from hypothesis import strategies as st

from asr.errors import UsageError
from asr.features import add_deltas, delta_stream, splice, splice_stream

knf = pytest.importorskip("kaldi_native_fbank")


def ragged_batch(lengths, dim=5, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(len(lengths), max(lengths), dim, generator=generator) * 10


@settings(derandomize=True, deadline=None)
@given(st.lists(st.integers(1, 30), min_size=1, max_size=4), st.integers(0, 3), st.integers(1, 4))
def test_deltas_equal_kaldi_native_fbank(lengths, order, window):
    batch = ragged_batch(lengths)
    deltas = add_deltas(batch, order, window, torch.tensor(lengths))
    for row, length in enumerate(lengths):
        options = knf.DeltaOptions(order=order, window=window)
        theirs = knf.compute_deltas(options, batch[row, :length].numpy())
        np.testing.assert_allclose(deltas[row, :length].numpy(), theirs, rtol=0, atol=1e-4)
        assert not deltas[row, length:].any()


def test_first_deltas_equal_torchaudio():
    batch = ragged_batch([40, 40])
    theirs = torchaudio_functional.compute_deltas(batch.transpose(1, 2), win_length=5)
    ours = add_deltas(batch, order=1, window=2)[..., 5:]
    torch.testing.assert_close(ours, theirs.transpose(1, 2), rtol=0, atol=1e-4)


@settings(derandomize=True, deadline=None)
@given(st.lists(st.integers(1, 20), min_size=1, max_size=4), st.integers(0, 6), st.integers(0, 6))
def test_splice_equals_kaldi_native_fbank(lengths, left, right):
    batch = ragged_batch(lengths)
    spliced = splice(batch, left, right, torch.tensor(lengths))
    options = knf.SpliceOptions(left_context=left, right_context=right)
    for row, length in enumerate(lengths):
        theirs = knf.splice_frames(batch[row, :length].numpy(), options)
        np.testing.assert_array_equal(spliced[row, :length].numpy(), theirs)
        assert not spliced[row, length:].any()


@settings(derandomize=True, deadline=None)
@given(st.lists(st.integers(0, 7), min_size=1, max_size=8), st.integers(0, 4), st.integers(0, 4))
def test_streams_equal_the_whole(pieces, left, right):
    features = ragged_batch([max(sum(pieces), 1)])[0, : sum(pieces)]
    cases = (
        (splice_stream(left, right), splice(features[None], left, right)[0]),
        (delta_stream(2, 2), add_deltas(features[None])[0]),
    )
    for stream, whole in cases:
        for _ in range(2):  # a stream takes another utterance after the first
            out = [stream.accept(piece) for piece in features.split(pieces)]
            out.append(stream.finish())
            torch.testing.assert_close(torch.cat(out), whole, rtol=0, atol=1e-5)


def test_no_frames_and_empty_rows():
    assert add_deltas(torch.zeros(2, 0, 3)).shape == (2, 0, 9)
    assert splice(torch.zeros(2, 0, 3), 1, 1).shape == (2, 0, 9)
    assert not splice(torch.ones(1, 4, 3), 1, 1, torch.tensor([0])).any()


@pytest.mark.parametrize(
    "call",
    [
        lambda x: add_deltas(x, order=-1),
        lambda x: add_deltas(x, window=0),
        lambda x: splice(x, -1, 0),
        lambda x: splice(x[0], 1, 1),
        lambda x: splice(x, 1, 1, torch.tensor([5, 9])),
    ],
)
def test_refuses_bad_calls(call):
    with pytest.raises(UsageError):
        call(torch.zeros(2, 5, 3))
