"""Streams give the frames of the whole utterance, however it is cut."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from asr.errors import AudioError, UsageError
from asr.features import (
    Fbank,
    FbankConfig,
    FeatureStream,
    FrameConfig,
    MelConfig,
    Mfcc,
    MfccConfig,
)

CUTS = st.lists(st.integers(0, 2500), min_size=0, max_size=8)
HIRES = MfccConfig(mel=MelConfig(num_mel_bins=40, high_freq=7600.0), num_ceps=40, use_energy=False)


def stream_all(extractor, samples, cuts):
    stream = FeatureStream(extractor)
    pieces = [stream.accept(piece) for piece in samples.split(cuts)] if cuts else []
    return torch.cat([*pieces, stream.finish()])


@settings(derandomize=True, deadline=None)
@given(
    CUTS,
    st.booleans(),
    st.sampled_from([1.0625, 25.0]),
    st.sampled_from([1.0, 10.0, 12.5, 40.0]),
    st.booleans(),
)
def test_fbank_stream_equals_the_whole(speech_like, cuts, snip_edges, length, shift, energy):
    frame = FrameConfig(frame_length=length, frame_shift=shift, snip_edges=snip_edges)
    fbank = Fbank(FbankConfig(frame=frame, mel=MelConfig(num_mel_bins=4), use_energy=energy))
    samples = torch.from_numpy(speech_like(sum(cuts)))
    whole, _ = fbank(samples[None])
    out = stream_all(fbank, samples, cuts)
    torch.testing.assert_close(out, whole[0], rtol=0, atol=1e-5)


@settings(derandomize=True, deadline=None)
@given(CUTS, st.booleans())
def test_mfcc_stream_equals_the_whole(speech_like, cuts, snip_edges):
    mfcc = Mfcc(MfccConfig(FrameConfig(snip_edges=snip_edges), HIRES.mel, 40, False))
    samples = torch.from_numpy(speech_like(sum(cuts)))
    whole, _ = mfcc(samples[None])
    out = stream_all(mfcc, samples, cuts)
    torch.testing.assert_close(out, whole[0], rtol=0, atol=1e-4)


@pytest.mark.skipif(not torch.backends.mkl.is_available(), reason="only known of MKL's products")
@pytest.mark.parametrize("chunk", [160, 333, 1600, 20000])
def test_mfcc_stream_is_equal_to_the_bit(speech_like, chunk):
    mfcc = Mfcc(HIRES)
    samples = torch.from_numpy(speech_like(80000))
    stream = FeatureStream(mfcc)
    out = torch.cat([*(stream.accept(piece) for piece in samples.split(chunk)), stream.finish()])
    assert torch.equal(out, mfcc(samples[None])[0][0])


def test_frames_come_as_soon_as_their_last_sample():
    stream = FeatureStream(Mfcc(HIRES))
    assert len(stream.accept(torch.zeros(399))) == 0
    assert len(stream.accept(torch.zeros(1))) == 1
    assert len(stream.accept(torch.zeros(159))) == 0
    assert len(stream.accept(torch.zeros(1))) == 1


def test_memory_stays_bounded(speech_like):
    stream = FeatureStream(Fbank())
    for _ in range(200):
        stream.accept(torch.from_numpy(speech_like(1600)))
        assert stream._samples is not None and len(stream._samples) <= 1000


def test_refuses_what_a_stream_cannot_take():
    stream = FeatureStream(Fbank())
    with pytest.raises(AudioError, match="not finite"):
        stream.accept(torch.tensor([0.0, float("nan")]))
    for bad in (torch.zeros(1, 5), torch.zeros(5, dtype=torch.float64)):
        with pytest.raises(UsageError):
            stream.accept(bad)
    assert stream.finish().shape == (0, 23)
    with pytest.raises(UsageError, match="finished"):
        stream.accept(torch.zeros(5))
    with pytest.raises(UsageError, match="finished"):
        stream.finish()
