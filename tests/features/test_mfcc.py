"""Cepstra against Kaldi's own output, kaldi-native-fbank and torchaudio."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torchaudio.compliance.kaldi as torchaudio_kaldi
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from asr.errors import UsageError
from asr.features import FrameConfig, MelConfig, Mfcc, MfccConfig

knf = pytest.importorskip("kaldi_native_fbank")

GOLDEN = Path(__file__).resolve().parents[3] / "shared" / "refs" / "kaldi_golden"
HIRES = MfccConfig(
    mel=MelConfig(num_mel_bins=40, low_freq=20.0, high_freq=7600.0), num_ceps=40, use_energy=False
)
OPTIONS = st.fixed_dictionaries(
    {
        "num_ceps": st.integers(1, 40),
        "use_energy": st.booleans(),
        "energy_floor": st.sampled_from([0.0, 1.0, 1e9]),
        "raw_energy": st.booleans(),
        "cepstral_lifter": st.sampled_from([0.0, 22.0, 15.5]),
        "htk_compat": st.booleans(),
    }
)
FRAMES = st.fixed_dictionaries(
    {
        "frame_length": st.sampled_from([20.0, 25.0, 32.0]),
        "frame_shift": st.sampled_from([5.0, 10.0, 12.5]),
        "window_type": st.sampled_from(["povey", "hamming", "hanning", "rectangular", "blackman"]),
        "round_to_power_of_two": st.booleans(),
        "snip_edges": st.booleans(),
    }
)
MELS = st.fixed_dictionaries(
    {
        "num_mel_bins": st.sampled_from([13, 23, 40]),
        "low_freq": st.sampled_from([20.0, 64.0]),
        "high_freq": st.sampled_from([0.0, -400.0, 7600.0]),
    }
)


@pytest.mark.skipif(not GOLDEN.is_dir(), reason="../shared/refs/kaldi_golden is not here")
@pytest.mark.parametrize("name", ["synthetic", "kih00101", "lmy02061", "nel00201"])
def test_equals_kaldi_on_golden_utterances(name):
    with np.load(GOLDEN / f"{name}.npz") as golden:
        samples = torch.from_numpy(golden["waveform"].astype(np.float32) / 32768)
        theirs = golden["mfcc"]
    features, counts = Mfcc(HIRES)(samples[None])
    assert counts.tolist() == [len(theirs)]
    assert np.abs(features[0].numpy() - theirs).max() <= 1e-2


@settings(derandomize=True, deadline=None, max_examples=120)
@given(FRAMES, MELS, OPTIONS, st.integers(0, 6000), st.integers(0, 9))
def test_equals_kaldi_native_fbank(speech_like, frame, mel, rest, size, seed):
    assume(rest["num_ceps"] <= mel["num_mel_bins"])
    config = MfccConfig(frame=FrameConfig(**frame), mel=MelConfig(**mel), **rest)
    samples = speech_like(size, seed)
    options = knf.MfccOptions()
    options.frame_opts.dither = 0.0
    options.frame_opts.frame_length_ms = frame["frame_length"]
    options.frame_opts.frame_shift_ms = frame["frame_shift"]
    for name in ("window_type", "round_to_power_of_two", "snip_edges"):
        setattr(options.frame_opts, name, frame[name])
    options.mel_opts.num_bins = mel["num_mel_bins"]
    options.mel_opts.low_freq = mel["low_freq"]
    options.mel_opts.high_freq = mel["high_freq"]
    for name, value in rest.items():
        setattr(options, name, value)
    computer = knf.OnlineMfcc(options)
    computer.accept_waveform(16000, samples * 32768)
    computer.input_finished()
    theirs = [computer.get_frame(i) for i in range(computer.num_frames_ready)]
    features, counts = Mfcc(config)(torch.from_numpy(samples)[None])
    assert counts.tolist() == [len(theirs)]
    if theirs:
        np.testing.assert_allclose(features[0].numpy(), np.stack(theirs), rtol=0, atol=1e-2)


@settings(derandomize=True, deadline=None, max_examples=120)
@given(FRAMES, MELS, OPTIONS, st.integers(1000, 6000), st.sampled_from([1.0, 0.9, 1.12]))
def test_equals_torchaudio(speech_like, frame, mel, rest, size, warp):
    assume(rest["num_ceps"] <= mel["num_mel_bins"])
    mel = {**mel, "vtln_warp": warp, "vtln_low": 200.0, "vtln_high": 2500.0}
    config = MfccConfig(frame=FrameConfig(**frame), mel=MelConfig(**mel), **rest)
    samples = torch.from_numpy(speech_like(size, size))
    theirs = torchaudio_kaldi.mfcc(samples[None] * 32768, **frame, **mel, **rest)
    features, _ = Mfcc(config)(samples[None])
    torch.testing.assert_close(features[0], theirs, rtol=0, atol=1e-2)


def test_silence_and_dc_are_the_cepstra_of_the_floor():
    floor = np.log(np.finfo(np.float32).eps)
    for level in (0.0, 0.5):
        features, _ = Mfcc(HIRES)(torch.full((1, 3200), level))
        torch.testing.assert_close(
            features[..., 0], torch.full((1, 18), float(floor * np.sqrt(40))), rtol=0, atol=1e-3
        )
        assert features[..., 1:].abs().max() <= 1e-3


@pytest.mark.parametrize("size", [0, 1, 399])
def test_shorter_than_a_frame_gives_no_frames(size):
    features, counts = Mfcc(HIRES)(torch.full((2, size), 0.5))
    assert features.shape == (2, 0, 40)
    assert counts.tolist() == [0, 0]


def test_more_cepstra_than_bins_is_refused():
    with pytest.raises(UsageError, match="num-ceps"):
        MfccConfig(num_ceps=24)
