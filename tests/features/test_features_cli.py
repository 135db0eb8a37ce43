"""``asr features``: the file it writes, Kaldi's option names, and refusals."""

import argparse
import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from asr.cli import features as command
from asr.errors import AsrError, AudioError, DataError, UsageError
from asr.features import Fbank, FbankConfig, FrameConfig, MelConfig, Mfcc, MfccConfig

soundfile = pytest.importorskip("soundfile")


def run(*words):
    parser = argparse.ArgumentParser()
    command.add_parser(parser.add_subparsers())
    return command.run(parser.parse_args(["features", *map(str, words)]))


@pytest.fixture
def sound(tmp_path, speech_like):
    path = tmp_path / "speech.wav"
    samples = speech_like(20000)
    soundfile.write(path, samples, 16000, subtype="PCM_16")
    return path, torch.from_numpy(samples)[None]


def test_mfcc_defaults(sound, tmp_path):
    path, samples = sound
    assert run(path, "--output", tmp_path / "x.npy") == 0
    written = np.load(tmp_path / "x.npy", allow_pickle=False)
    assert written.dtype == np.float32
    np.testing.assert_allclose(written, Mfcc()(samples)[0][0].numpy(), rtol=0, atol=1e-4)
    assert os.listdir(tmp_path).count("x.npy") == 1 and len(os.listdir(tmp_path)) == 2


def test_kaldi_options_reach_the_features(sound, tmp_path):
    path, samples = sound
    out = tmp_path / "x.npy"
    run(path, "--type=mfcc", f"--output={out}", "--num-mel-bins=40", "--num-ceps=40",
        "--low-freq=20", "--high-freq=-400", "--use-energy=false", "--snip-edges", "false",
        "--window-type=hamming", "--frame-shift=12.5", "--cepstral-lifter=0")  # fmt: skip
    config = MfccConfig(
        FrameConfig(snip_edges=False, window_type="hamming", frame_shift=12.5),
        MelConfig(40, 20.0, -400.0),
        num_ceps=40,
        use_energy=False,
        cepstral_lifter=0.0,
    )
    np.testing.assert_allclose(np.load(out), Mfcc(config)(samples)[0][0], rtol=0, atol=1e-4)
    run(path, "--type=fbank", f"--output={out}", "--use-energy", "--htk-compat=t")
    config = FbankConfig(use_energy=True, htk_compat=True)
    np.testing.assert_allclose(np.load(out), Fbank(config)(samples)[0][0], rtol=0, atol=1e-4)


def test_sound_is_resampled_to_the_sample_frequency(sound, tmp_path):
    path, _ = sound
    out = tmp_path / "x.npy"
    run(path, "--output", out, "--sample-frequency=8000", "--num-mel-bins=15")
    assert np.load(out).shape == (123, 13)


def test_shorter_than_a_frame_writes_no_frames(tmp_path):
    soundfile.write(tmp_path / "short.wav", np.full(160, 0.1), 16000)
    run(tmp_path / "short.wav", "--output", tmp_path / "x.npy")
    assert np.load(tmp_path / "x.npy").shape == (0, 13)


@pytest.mark.parametrize(
    ("words", "error", "message"),
    [
        (["--use-energy=maybe"], UsageError, "--use-energy takes true or false"),
        (["--num-ceps=99"], UsageError, "num-ceps"),
        (["--type=fbank", "--num-ceps=13"], UsageError, "fbank features have no option"),
        (["--num-mel-bins=400"], UsageError, "too many"),
        (["--sample-frequency=8000.5"], UsageError, "whole number"),
    ],
)
def test_bad_options_leave_no_file(sound, tmp_path, words, error, message):
    path, _ = sound
    with pytest.raises(error, match=message):
        run(path, "--output", tmp_path / "x.npy", *words)
    assert os.listdir(tmp_path) == ["speech.wav"]


def test_bad_files_are_refused(sound, tmp_path):
    path, _ = sound
    with pytest.raises(AudioError):
        run(tmp_path / "missing.wav", "--output", tmp_path / "x.npy")
    (tmp_path / "empty.wav").write_bytes(b"")
    with pytest.raises(AsrError):
        run(tmp_path / "empty.wav", "--output", tmp_path / "x.npy")
    with pytest.raises(DataError, match="--output"):
        run(path, "--output", path / "x.npy")
    with pytest.raises(DataError, match="--output"):
        run(path, "--output", tmp_path)
    assert sorted(os.listdir(tmp_path)) == ["empty.wav", "speech.wav"]


def test_help_needs_no_torch_and_shows_defaults():
    code = (
        "import argparse, sys; from asr.cli import features;"
        "parser = argparse.ArgumentParser(); features.add_parser(parser.add_subparsers());"
        "assert 'torch' not in sys.modules and 'numpy' not in sys.modules;"
        "parser.parse_args(['features', '--help'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "--num-ceps" in done.stdout
    assert "mfcc: true, fbank: false" in " ".join(done.stdout.split())
