"""Filterbanks against kaldi-native-fbank and torchaudio, and hard input."""

import threading
from pathlib import Path

import numpy as np
import pytest
import torch
import torchaudio.compliance.kaldi as torchaudio_kaldi
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from asr.errors import AudioError, UsageError
from asr.features import Fbank, FbankConfig, FrameConfig, MelConfig
from asr.features.window import num_frames

knf = pytest.importorskip("kaldi_native_fbank")

GOLDEN = Path(__file__).resolve().parents[3] / "shared" / "refs" / "kaldi_golden"

FRAMES = st.fixed_dictionaries(
    {
        "sample_frequency": st.sampled_from([8000.0, 16000.0, 22050.0, 44100.0]),
        "frame_length": st.sampled_from([16.0, 20.0, 25.0, 32.0, 40.0]),
        "frame_shift": st.sampled_from([5.0, 8.0, 10.0, 12.5, 45.0]),
        "preemphasis_coefficient": st.sampled_from([0.0, 0.5, 0.97, 1.0]),
        "remove_dc_offset": st.booleans(),
        "window_type": st.sampled_from(["povey", "hamming", "hanning", "rectangular", "blackman"]),
        "round_to_power_of_two": st.booleans(),
        "snip_edges": st.booleans(),
    }
)
MELS = st.fixed_dictionaries(
    {
        "num_mel_bins": st.sampled_from([3, 13, 23, 40, 64, 80]),
        "low_freq": st.sampled_from([0.0, 20.0, 64.0, 125.0]),
        "high_freq": st.sampled_from([0.0, -100.0, -400.0, 3800.0]),
    }
)
ENERGY = st.fixed_dictionaries(
    {
        "use_energy": st.booleans(),
        "raw_energy": st.booleans(),
        "energy_floor": st.sampled_from([0.0, 1.0, 1e9]),
        "htk_compat": st.booleans(),
    }
)
OUTPUT = st.fixed_dictionaries({"use_log_fbank": st.booleans(), "use_power": st.booleans()})


def build(frame, mel, **rest):
    """The extractor, or None where Kaldi would refuse the options, too."""
    try:
        return Fbank(FbankConfig(frame=FrameConfig(**frame), mel=MelConfig(**mel), **rest))
    except UsageError as error:
        if "even number" in str(error):
            return None
        assert "empty" in str(error)
        edges = MelConfig(**mel)
        banks, _ = torchaudio_kaldi.get_mel_banks(
            edges.num_mel_bins,
            FrameConfig(**frame).padded_size,
            frame["sample_frequency"],
            edges.low_freq,
            edges.high_freq,
            edges.vtln_low,
            edges.vtln_high,
            edges.vtln_warp,
        )
        assert (banks.sum(1) < 1e-4).any()
        return None


def knf_options(options, frame, mel, rest):
    options.frame_opts.samp_freq = frame.get("sample_frequency", 16000.0)
    options.frame_opts.frame_length_ms = frame.get("frame_length", 25.0)
    options.frame_opts.frame_shift_ms = frame.get("frame_shift", 10.0)
    options.frame_opts.dither = 0.0
    options.frame_opts.preemph_coeff = frame.get("preemphasis_coefficient", 0.97)
    for name in ("remove_dc_offset", "window_type", "round_to_power_of_two", "snip_edges"):
        if name in frame:
            setattr(options.frame_opts, name, frame[name])
    options.mel_opts.num_bins = mel.get("num_mel_bins", 23)
    for name in ("low_freq", "high_freq", "htk_mode"):
        if name in mel:
            setattr(options.mel_opts, name, mel[name])
    for name, value in rest.items():
        setattr(options, name, value)
    return options


def knf_features(online, options, samples):
    """All frames of a waveform in [-1, 1]; knf computes on what it is given, so scale here."""
    computer = online(options)
    rate = options.frame_opts.samp_freq
    computer.accept_waveform(rate, (samples * 32768).astype(np.float32))
    computer.input_finished()
    frames = [computer.get_frame(i) for i in range(computer.num_frames_ready)]
    return np.stack(frames) if frames else np.zeros((0, computer.dim), np.float32)


def compare(ours, theirs, log, tolerance=1e-3):
    assert ours.shape == theirs.shape
    if log:
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=tolerance)
    else:
        np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance)


@settings(derandomize=True, deadline=None, max_examples=120)
@given(FRAMES, MELS, ENERGY, OUTPUT, st.integers(0, 6000), st.integers(0, 9))
def test_equals_kaldi_native_fbank(speech_like, frame, mel, energy, output, size, seed):
    fbank = build(frame, mel, **energy, **output)
    assume(fbank is not None)
    samples = speech_like(size, seed, rate=frame["sample_frequency"])
    options = knf_options(knf.FbankOptions(), frame, mel, energy | output)
    theirs = knf_features(knf.OnlineFbank, options, samples)
    ours, counts = fbank(torch.from_numpy(samples)[None])
    assert counts.tolist() == [len(theirs)]
    compare(ours[0].numpy(), theirs, output["use_log_fbank"])


@settings(derandomize=True, deadline=None, max_examples=120)
@given(FRAMES, MELS, ENERGY, OUTPUT, st.integers(2000, 6000), st.sampled_from([1.0, 0.9, 1.12]))
def test_equals_torchaudio(speech_like, frame, mel, energy, output, size, warp):
    assume(mel["num_mel_bins"] > 3)  # torchaudio refuses the 3 that Kaldi allows
    mel = {**mel, "vtln_warp": warp, "vtln_low": 200.0, "vtln_high": 2500.0}
    fbank = build(frame, mel, **energy, **output)
    assume(fbank is not None)
    samples = torch.from_numpy(speech_like(size, size, rate=frame["sample_frequency"]))
    theirs = torchaudio_kaldi.fbank(samples[None] * 32768, **frame, **mel, **energy, **output)
    ours, _ = fbank(samples[None])
    compare(ours[0].numpy(), theirs.numpy(), output["use_log_fbank"])


@pytest.mark.skipif(not GOLDEN.is_dir(), reason="../shared/refs/kaldi_golden is not here")
@pytest.mark.parametrize("name", ["synthetic", "kih00101", "lmy02061", "nel00201"])
def test_real_speech_equals_kaldi_native_fbank(name):
    with np.load(GOLDEN / f"{name}.npz") as golden:
        samples = golden["waveform"].astype(np.float32) / 32768
    mel = {"num_mel_bins": 80}
    theirs = knf_features(knf.OnlineFbank, knf_options(knf.FbankOptions(), {}, mel, {}), samples)
    ours = Fbank(FbankConfig(mel=MelConfig(**mel)))(torch.from_numpy(samples)[None])[0][0]
    difference = np.abs(ours.numpy() - theirs)
    # 18 nats below a frame's loudest bin, 1e-3 is the rounding (2^-24) of the loudest amplitude:
    # what is weaker still is noise in any float32 implementation.
    assert difference[theirs >= theirs.max(axis=1, keepdims=True) - 18].max() <= 1e-3
    assert np.mean(difference <= 1e-3) > 0.9999


def test_batch_rows_equal_single_rows_and_padding_is_zero(speech_like):
    lengths = [16000, 0, 1, 399, 400, 9999]
    batch = torch.full((len(lengths), 16000), 0.7)  # padding that would show if it leaked
    for row, length in enumerate(lengths):
        batch[row, :length] = torch.from_numpy(speech_like(length, row))
    for snip_edges in (True, False):
        fbank = Fbank(FbankConfig(frame=FrameConfig(snip_edges=snip_edges)))
        features, counts = fbank(batch, torch.tensor(lengths))
        for row, length in enumerate(lengths):
            alone, count = fbank(batch[row : row + 1, :length])
            assert count.item() == counts[row] == num_frames(length, fbank.frame)
            torch.testing.assert_close(features[row, : counts[row]], alone[0], rtol=0, atol=1e-5)
            assert not features[row, counts[row] :].any()


@pytest.mark.parametrize("size", [0, 1, 399])
def test_shorter_than_a_frame_gives_no_frames(size):
    features, counts = Fbank()(torch.full((1, size), 0.5))
    assert features.shape == (1, 0, 23)
    assert counts.tolist() == [0]


def test_one_sample_without_snipping_equals_kaldi():
    frame = {"snip_edges": False, "frame_shift": 0.0625}
    features, counts = Fbank(FbankConfig(frame=FrameConfig(**frame)))(torch.tensor([[0.5]]))
    options = knf_options(knf.FbankOptions(), frame, {}, {})
    theirs = knf_features(knf.OnlineFbank, options, np.array([0.5], np.float32))
    assert counts.tolist() == [1]
    compare(features[0].numpy(), theirs, log=True)


@pytest.mark.parametrize("level", [0.0, 0.25, -1.0])
def test_silence_and_dc_give_the_floor(level):
    features, _ = Fbank(FbankConfig(use_energy=True))(torch.full((1, 4000), level))
    floor = float(np.log(np.finfo(np.float32).eps))
    torch.testing.assert_close(features, torch.full_like(features, floor))


def test_clipped_square_wave_equals_kaldi():
    samples = np.where(np.arange(8000) % 90 < 45, 32767 / 32768, -1.0).astype(np.float32)
    options = knf_options(knf.FbankOptions(), {}, {"num_mel_bins": 40}, {})
    theirs = knf_features(knf.OnlineFbank, options, samples)
    fbank = Fbank(FbankConfig(mel=MelConfig(num_mel_bins=40)))
    compare(fbank(torch.from_numpy(samples)[None])[0][0].numpy(), theirs, log=True)


def test_htk_mode_floors_at_one_and_equals_kaldi(speech_like):
    samples = speech_like(6000, gain=0.001)
    mel = {"htk_mode": True, "num_mel_bins": 40}
    theirs = knf_features(knf.OnlineFbank, knf_options(knf.FbankOptions(), {}, mel, {}), samples)
    ours = Fbank(FbankConfig(mel=MelConfig(**mel)))(torch.from_numpy(samples)[None])[0][0]
    compare(ours.numpy(), theirs, log=True)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_refuses_samples_that_are_not_finite(bad):
    samples = torch.zeros(2, 1000)
    samples[1, 700] = bad
    with pytest.raises(AudioError, match="not finite"):
        Fbank()(samples)
    features, _ = Fbank()(samples, torch.tensor([1000, 700]))  # the bad one is padding
    assert features.isfinite().all()


@pytest.mark.parametrize(
    ("samples", "lengths"),
    [
        (torch.zeros(1000), None),
        (torch.zeros(1, 1000, dtype=torch.float64), None),
        (torch.zeros(1, 1000), torch.tensor([1001])),
        (torch.zeros(1, 1000), torch.tensor([-1])),
        (torch.zeros(1, 1000), torch.tensor([10, 10])),
    ],
)
def test_refuses_wrong_shapes(samples, lengths):
    with pytest.raises(UsageError):
        Fbank()(samples, lengths)


def test_dither_is_noise_of_the_given_size():
    torch.manual_seed(0)
    frame = FrameConfig(dither=2.0, preemphasis_coefficient=0.0, remove_dc_offset=False)
    fbank = Fbank(FbankConfig(frame=frame, use_energy=True))
    energy = fbank(torch.zeros(1, 160000))[0][0, :, 0]
    assert energy.exp().mean().item() / 400 == pytest.approx(4.0, rel=0.02)


def test_threads_share_an_extractor(speech_like):
    fbank = Fbank(FbankConfig(mel=MelConfig(num_mel_bins=40)))
    signals = [torch.from_numpy(speech_like(30000, seed))[None] for seed in range(4)]
    alone = [fbank(signal)[0] for signal in signals]
    together = [[] for _ in signals]

    def work(i):
        for _ in range(5):
            together[i].append(fbank(signals[i])[0])

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for want, got in zip(alone, together, strict=True):
        assert len(got) == 5
        assert all(torch.equal(want, each) for each in got)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_equals_cpu(speech_like):
    samples = torch.from_numpy(np.stack([speech_like(48000, seed) for seed in range(3)]))
    lengths = torch.tensor([48000, 20000, 100])
    fbank = Fbank(FbankConfig(mel=MelConfig(num_mel_bins=80)))
    want, counts = fbank(samples, lengths)
    got, got_counts = fbank(samples.cuda(), lengths.cuda())
    assert got.is_cuda and got_counts.cpu().equal(counts)
    torch.testing.assert_close(got.cpu(), want, rtol=0, atol=1e-3)
