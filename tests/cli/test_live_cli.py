"""`asr live`: raw PCM on standard input, files, lines of text and of JSON."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
import soxr

from asr import load_audio
from asr.cli.live import _Screen
from asr.cli.main import main
from asr.data_files import shipped

SAMPLE = shipped("samples") / "human-digits-6789.flac"


def pcm(rate: int = 16000) -> bytes:
    samples = load_audio(SAMPLE, 16000).samples
    padded = np.concatenate([samples, np.zeros(24_000, np.float32), samples])
    sound = soxr.resample(padded, 16000, rate) if rate != 16000 else padded
    return (np.clip(sound, -1, 1) * 32767).astype("<i2").tobytes()


def wav(rate: int, subtype: str, channels: int = 1) -> bytes:
    file = io.BytesIO()
    samples = np.frombuffer(pcm(rate), "<i2")
    soundfile.write(file, np.stack([samples] * channels, 1), rate, subtype, format="WAV")
    return file.getvalue()


def feed(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BufferedReader(io.BytesIO(data))))


def test_a_microphones_pcm(korean_model, monkeypatch, capsys) -> None:
    lines = []
    for rate in (16000, 48000):
        feed(monkeypatch, pcm(rate))
        assert main(["live", "-", "--rate", str(rate), "--model", str(korean_model)]) == 0
        lines.append(capsys.readouterr().out.splitlines())
    assert len(lines[0]) == len(lines[1]) == 2 and all(lines[0])


def test_a_wav_says_its_rate(korean_model, monkeypatch, capsys) -> None:
    """As arecord pipes it without -t raw; what is not 16-bit PCM of one channel is refused."""
    lines = []
    tagged = wav(48000, "PCM_16") + b"LIST" + bytes(5)  # no sound: half a sample is left over
    for data in (pcm(), tagged, wav(48000, "PCM_16", 2), wav(16000, "FLOAT"),
                 wav(16000, "PCM_16")[:30], b"", b"fLaC" + bytes(64)):
        feed(monkeypatch, data)
        code = main(["live", "-", "--model", str(korean_model)])
        told = capsys.readouterr()
        assert code == (1 if told.err else 0)
        lines.append(told.err or told.out)
    assert lines[0] and lines[1] == lines[0]
    assert "2 channels and 16 bits" in lines[2] and "1 channels and 32 bits" in lines[3]
    assert "cut off" in lines[4] and "is empty" in lines[5]
    assert "compressed sound file" in lines[6]


def test_json_tells_partials_and_times(korean_model, capsys) -> None:
    how = ["--model", str(korean_model), "-f", "json", "--partials"]
    assert main(["live", str(SAMPLE), *how]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    kinds = [row["type"] for row in rows]
    assert kinds.count("final") == 1 and "partial" in kinds
    final = next(row for row in rows if row["type"] == "final")
    assert final["text"] == " ".join(word["text"] for word in final["words"])
    assert 0 <= final["start"] < final["end"]


def test_lines_come_while_the_sound_goes_on(korean_model) -> None:
    """The first line is there before the input's end: not after everything has been read."""
    command = [sys.executable, "-m", "asr", "live", "-", "--model", str(korean_model)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(pcm())
        process.stdin.flush()
        assert process.stdout.readline().strip()
        process.stdin.close()
        assert process.stdout.readline().strip()
    assert process.returncode == 0


def test_wrong_use_and_wrong_sound(korean_model, monkeypatch, capsys, tmp_path) -> None:
    assert main(["live", "-", "--partials"]) == 2
    assert main(["live", str(SAMPLE), "--rate", "8000"]) == 2
    assert main(["live", "-", "--step", "0", "--model", str(korean_model)]) == 2
    assert main(["live", "-", "--rate", "5", "--model", str(korean_model)]) == 2
    feed(monkeypatch, b"\x00" * 32_001)
    assert main(["live", "-", "--model", str(korean_model)]) == 1
    assert "ended within a sample" in capsys.readouterr().err
    (tmp_path / "a.wav").write_bytes(b"no sound")
    assert main(["live", str(tmp_path / "a.wav"), "--model", str(korean_model)]) == 1
    error = capsys.readouterr().err
    assert "comes by standard input: asr live - --rate HZ" in error and "raw format" not in error


def test_a_grammar_is_followed(korean_model, tmp_path, capsys) -> None:
    grammar = tmp_path / "digits.txt"
    command = ["live", str(SAMPLE), "--model", str(korean_model), "--grammar", str(grammar)]
    grammar.write_text("번호 = 여섯 일곱\n", encoding="utf-8")
    assert main(command) == 1  # no grammar: it is told where
    assert "line 1" in capsys.readouterr().err
    grammar.write_text("<번호: digits 4>\n", encoding="utf-8")
    assert main(command) == 0
    assert capsys.readouterr().out == "6789\n"
    assert main([*command, "-f", "json", "--partials"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["slots"] for row in rows if row["type"] == "final"] == [{"번호": "6789"}]
    assert "여섯 일" in {row["text"] for row in rows if row["type"] == "partial"}
    grammar.write_text("불 켜 줘\n", encoding="utf-8")
    assert main(command) == 0
    assert capsys.readouterr().out == ""  # something else was said
    assert main([*command, "-f", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["rejected"] is True
    assert main([*command, "--words", str(grammar)]) == 2


def test_what_was_said_before_damage_is_told(korean_model, monkeypatch, capsys) -> None:
    samples = load_audio(SAMPLE, 16000).samples
    feed(monkeypatch, (samples * 32767).astype("<i2").tobytes() + b"\x00")
    assert main(["live", "-", "--model", str(korean_model)]) == 1
    told = capsys.readouterr()
    assert told.out.strip() and "ended within a sample" in told.err


def test_the_text_in_progress_stays_on_one_line(monkeypatch) -> None:
    file = io.StringIO()
    file.isatty = lambda: True  # type: ignore[method-assign]
    screen = _Screen(file)
    monkeypatch.setenv("COLUMNS", "10")
    screen.show("가나다라마바사")
    screen.show("가나다라마바사")
    screen.clear()
    assert file.getvalue() == "\r\x1b[K라마바사\r\x1b[K"
