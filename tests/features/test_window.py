"""Frame counts, window functions and reflection against Kaldi's definitions."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from asr.features import FrameConfig
from asr.features.config import WINDOW_TYPES
from asr.features.window import (
    first_sample,
    frame_lengths,
    frames_view,
    num_frames,
    window_function,
)

knf = pytest.importorskip("kaldi_native_fbank")


@pytest.mark.parametrize("window_type", WINDOW_TYPES)
def test_window_equals_kaldi_native_fbank(window_type):
    options = knf.FrameExtractionOptions()
    options.window_type = window_type
    options.blackman_coeff = 0.4
    theirs = np.array(knf.FeatureWindowFunction(options).window)
    ours = window_function(FrameConfig(window_type=window_type, blackman_coeff=0.4))
    np.testing.assert_allclose(ours.numpy(), theirs, rtol=0, atol=1e-6)


@settings(derandomize=True, deadline=None)
@given(
    st.integers(0, 3000),
    st.sampled_from([1.0, 10.0, 25.0]),
    st.sampled_from([0.5, 5.0, 10.0, 30.0]),
    st.booleans(),
)
def test_frames_equal_a_literal_reading_of_kaldi(size, length, shift, snip_edges):
    """ExtractWindow sample by sample, with its loop that reflects until an index falls inside."""
    config = FrameConfig(frame_length=length, frame_shift=shift, snip_edges=snip_edges)
    samples = torch.arange(size, dtype=torch.float32)[None]
    lengths = torch.tensor([size])
    frames = frames_view(samples, lengths, config)[0]
    assert len(frames) == num_frames(size, config) == frame_lengths(lengths, config).item()
    for i in {0, len(frames) // 2, len(frames) - 1} if len(frames) else ():
        for s in (0, config.window_size // 3, config.window_size - 1):
            index = first_sample(i, config) + s
            while index < 0 or index >= size:
                index = -index - 1 if index < 0 else 2 * size - 1 - index
            assert frames[i, s].item() == index


@settings(derandomize=True, deadline=None)
@given(st.integers(0, 2000), st.booleans())
def test_unflushed_frames_are_those_that_fit(size, snip_edges):
    config = FrameConfig(snip_edges=snip_edges)
    ready = num_frames(size, config, flush=False)
    assert ready <= num_frames(size, config)
    if ready:
        assert first_sample(ready - 1, config) + config.window_size <= size
    assert first_sample(ready, config) + config.window_size > size
