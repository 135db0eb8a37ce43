"""What a user may hand to the finished command: each case a clear line and the right exit code.

Everything here runs the real command in a process of its own, on the real default model.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from asr.data_files import shipped

ROOT = Path(__file__).parent.parent
PEAK_MARK = "peak MiB:"
RUNNER = (
    "import re, sys; from asr.cli.main import main; code = main(sys.argv[1:])\n"
    "status = open('/proc/self/status').read()\n"
    f"print('{PEAK_MARK}', int(re.search(r'VmHWM:\\s*(\\d+)', status)[1]) // 1024)\n"
    "sys.exit(code)\n"
)


def run_asr(*arguments, **environment):
    return subprocess.run(
        [sys.executable, "-m", "asr", *map(str, arguments)],
        capture_output=True, text=True, cwd=ROOT, env=os.environ | environment,
    )


@pytest.fixture(scope="module")
def sample():
    return shipped("samples") / "human-digits-12345.flac"


@pytest.fixture(scope="module")
def sample_text(korean_model, sample):
    run = run_asr("transcribe", "--model", korean_model, sample)
    assert run.returncode == 0, run.stderr
    assert re.search("[가-힣]", run.stdout)
    return run.stdout.strip()


@pytest.fixture
def bad(tmp_path, sample):
    """Name -> a word of the message that must name it."""
    wav = tmp_path / "whole.wav"
    samples, rate = soundfile.read(sample, dtype="float32")
    soundfile.write(wav, samples, rate, subtype="PCM_16")
    flac, content = sample.read_bytes(), wav.read_bytes()
    wav.unlink()
    (tmp_path / "empty.wav").write_bytes(b"")
    (tmp_path / "header.wav").write_bytes(content[:44])
    (tmp_path / "cut.flac").write_bytes(flac[: len(flac) // 2])
    (tmp_path / "text.wav").write_text("이것은 소리가 아니다\n" * 20, encoding="utf-8")
    samples[1000] = np.nan
    soundfile.write(tmp_path / "nan.wav", samples, rate, subtype="FLOAT")
    return tmp_path, {
        "empty.wav": "is empty (0 bytes)",
        "header.wav": "holds no samples",
        "cut.flac": "cut short or damaged",
        "text.wav": "is not a sound file",
        "nan.wav": "not a number",
    }


def test_bad_files_are_named_and_the_good_one_is_recognised(bad, korean_model, sample, sample_text):
    folder, messages = bad
    run = run_asr("transcribe", "--model", korean_model, *(folder / name for name in messages),
                  sample, "--jobs", 2)
    assert run.returncode == 1
    lines = run.stderr.splitlines()
    assert len(lines) == len(messages)
    for line, (name, message) in zip(lines, messages.items(), strict=True):
        assert line.startswith("asr: error: ") and name in line and message in line
    assert run.stdout == f"{sample.stem} {sample_text}\n"


def test_only_debug_shows_a_traceback(bad, korean_model):
    folder, _ = bad
    arguments = ("transcribe", "--model", korean_model, folder / "empty.wav")
    plain, debug = run_asr(*arguments), run_asr(*arguments, "--debug")
    assert (plain.returncode, debug.returncode) == (1, 1)
    assert "Traceback" not in plain.stderr and "Traceback" in debug.stderr


def test_three_channels_of_24_bits_at_96_khz(tmp_path, korean_model, sample, sample_text):
    """The same speech in a form that no recogniser works in gives nearly the same text."""
    import jiwer
    import soxr

    samples, rate = soundfile.read(sample)
    wide = np.repeat(soxr.resample(samples, rate, 96000)[:, None], 3, axis=1)
    soundfile.write(tmp_path / "wide.wav", wide, 96000, subtype="PCM_24")
    run = run_asr("transcribe", "--model", korean_model, tmp_path / "wide.wav")
    assert (run.returncode, run.stderr) == (0, "")
    assert jiwer.cer(sample_text, run.stdout.strip()) <= 0.2


def test_ten_milliseconds(tmp_path, korean_model):
    soundfile.write(tmp_path / "short.wav", np.full(160, 0.1), 16000)
    run = run_asr("transcribe", "--model", korean_model, tmp_path / "short.wav")
    assert (run.returncode, run.stdout) == (0, "")
    (line,) = run.stderr.splitlines()
    assert line.startswith("asr: warning: ") and "short.wav holds 0.010 s" in line


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's /proc")
def test_an_hour_of_silence(tmp_path, korean_model, sample):
    with soundfile.SoundFile(tmp_path / "silence.flac", "w", 16000, 1) as file:
        for _ in range(60):
            file.write(np.zeros(16000 * 60, np.int16))

    def peak(path):
        command = [sys.executable, "-c", RUNNER, "transcribe", "--model", korean_model, path]
        run = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=300)
        assert (run.returncode, run.stderr) == (0, "")
        return int(run.stdout.rpartition(PEAK_MARK)[2]), run.stdout.partition(PEAK_MARK)[0]

    silent, text = peak(tmp_path / "silence.flac")
    spoken, _ = peak(sample)
    assert text == ""
    assert silent < spoken + 100  # MiB: an hour costs no more memory than three seconds


def test_missing_model():
    run = run_asr("transcribe", "--model", "no-such-model", "data/samples")
    assert run.returncode == 1
    (line,) = run.stderr.splitlines()
    assert "no-such-model: no such model" in line and "import-kaldi" in line


def test_unwritable_cache(tmp_path):
    (tmp_path / "file").write_text("")
    run = run_asr("transcribe", "data/samples", MALSORI_CACHE=str(tmp_path / "file"))
    assert run.returncode == 1
    (line,) = run.stderr.splitlines()
    assert "MALSORI_CACHE" in line


@pytest.mark.parametrize("where", [0.3, 0.9])
def test_a_bundle_with_one_flipped_byte(tmp_path, korean_model, sample, where):
    model = tmp_path / "model"
    shutil.copytree(korean_model, model)
    part = max(model.glob("*.safetensors"), key=lambda path: path.stat().st_size)
    with open(part, "r+b") as file:
        file.seek(int(where * part.stat().st_size))
        byte = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte[0] ^ 0x40]))
    run = run_asr("transcribe", "--model", model, sample)
    assert (run.returncode, run.stdout) == (1, "")
    (line,) = run.stderr.splitlines()
    assert f"{part.name} is damaged (checksum differs): delete the folder" in line


def test_unknown_device(korean_model, sample):
    run = run_asr("transcribe", "--model", korean_model, "--device", "abacus", sample)
    assert run.returncode == 2 and run.stdout == ""
    (line,) = run.stderr.splitlines()
    assert "abacus" in line
