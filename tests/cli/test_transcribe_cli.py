"""`asr transcribe` with a stand-in that says how much sound it heard: outputs and their places."""

import importlib
import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from asr.cli import transcribe
from asr.cli.main import main
from asr.graph import grammar
from asr.result import Result, Segment, Word

ROOT = Path(__file__).parent.parent.parent


class CountingModel:
    """Recognises every whole second as a word."""

    sample_rate = 16000

    def stream(self, **detail):
        return CountingStream()


class CountingStream:
    def __init__(self):
        self.samples = 0

    def accept(self, block):
        self.samples += len(block)

    def finish(self):
        words = [Word(f"{n + 1}초", float(n), n + 1.0) for n in range(self.samples // 16000)]
        segments = (Segment.from_words(words),) if words else ()
        return Result(segments, self.samples / 16000, model="counting")


@pytest.fixture
def counting(monkeypatch):
    monkeypatch.setattr(transcribe, "load_model", lambda *arguments: CountingModel())
    monkeypatch.setattr(transcribe, "model_path", Path)


@pytest.fixture
def sounds(tmp_path):
    folder = tmp_path / "sounds"
    (folder / "deep").mkdir(parents=True)
    for name, seconds in [("b.wav", 2), ("a one.flac", 1), ("deep/c.ogg", 3)]:
        soundfile.write(folder / name, np.zeros(seconds * 16000), 16000)
    (folder / "notes.txt").write_text("not sound")
    (folder / ".hidden.wav").write_text("not sound")
    return folder


def visible(folder):
    """The files of a folder, at any depth, without hidden ones."""
    paths = [path.relative_to(folder) for path in folder.rglob("*") if path.is_file()]
    return sorted(str(path) for path in paths if not path.parts[0].startswith("."))


def test_one_file_prints_its_text(counting, sounds, capsys):
    assert main(["transcribe", str(sounds / "b.wav")]) == 0
    assert capsys.readouterr() == ("1초 2초\n", "")


@pytest.mark.parametrize("jobs", ["1", "3"])
def test_folder_prints_kaldi_lines_in_order(counting, sounds, capsys, jobs):
    assert main(["transcribe", "--jobs", jobs, str(sounds)]) == 0
    assert capsys.readouterr() == ("a_one 1초\nb 1초 2초\nc 1초 2초 3초\n", "")


def test_standard_input(counting, sounds, capsys, monkeypatch):
    data = io.BytesIO((sounds / "b.wav").read_bytes())
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(data))
    assert main(["transcribe", "-", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["source"] == "<stdin>"
    assert main(["transcribe", "-", "-"]) == 2


def test_raw(counting, tmp_path, capsys):
    (tmp_path / "a.pcm").write_bytes(bytes(8000 * 2))
    assert main(["transcribe", "--raw", "8000:mulaw", str(tmp_path)]) == 0
    assert capsys.readouterr().out == "1초 2초\n"
    assert main(["transcribe", "--raw", "8000:mp3", str(tmp_path)]) == 2
    assert "unknown raw encoding 'mp3'" in capsys.readouterr().err


def test_output_folder_keeps_the_shape_of_the_input(counting, sounds, tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["transcribe", str(sounds), "--output", str(out), "--format", "all"]) == 0
    assert capsys.readouterr().out == ""
    written = visible(out)
    formats = ("TextGrid", "ctm", "json", "srt", "tsv", "txt", "vtt")
    assert written == [f"{base}.{name}" for base in ("a one", "b", "deep/c") for name in formats]
    assert (out / "deep" / "c.txt").read_text(encoding="utf-8") == "1초 2초 3초\n"


def test_a_grammar_is_read_once_and_before_the_model(
    counting, sounds, tmp_path, monkeypatch, capsys
):
    path, read, given = tmp_path / "lights.txt", [], []
    load = grammar.load_grammar
    monkeypatch.setattr(grammar, "load_grammar", lambda path: read.append(path) or load(path))
    monkeypatch.setattr(CountingModel, "with_grammar", lambda self, one: given.append(one) or self,
                        raising=False)
    path.write_text("불 켜 줘\n", encoding="utf-8")
    command = ["transcribe", str(sounds / "b.wav"), "--grammar", str(path)]
    assert main([*command, "-o", str(tmp_path / "out")]) == 0
    assert read == [path] and isinstance(given[0], grammar.Grammar)
    path.write_text("불 켜 (줘\n", encoding="utf-8")
    monkeypatch.setattr(transcribe, "load_model", lambda *arguments: pytest.fail("it was loaded"))
    assert main(command) == 1
    assert "line 1" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["transcribe", "live", "serve"])
def test_a_mistake_in_a_list_of_words_is_told_before_the_model_is_loaded(
    command, sounds, tmp_path, monkeypatch, capsys
):
    words = tmp_path / "words.txt"
    words.write_text("가산디지털단지역\n東京\n", encoding="utf-8")
    module = importlib.import_module(f"asr.cli.{command}")
    loader = "load_model" if command == "transcribe" else "load_followed"
    monkeypatch.setattr(module, loader, lambda *_, **__: pytest.fail("it was loaded"))
    if command == "transcribe":
        monkeypatch.setattr(module, "model_path", Path)
    where = ["--port", "0"] if command == "serve" else [str(sounds / "b.wav")]
    assert main([command, *where, "--words", str(words)]) == 1
    assert "line 2" in capsys.readouterr().err


def test_subtitle_options(counting, sounds, capsys):
    long = str(sounds / "deep" / "c.ogg")
    assert main(["transcribe", long, "-f", "vtt", "--word-times", "--line-length", "2"]) == 0
    out = capsys.readouterr().out
    assert "<00:00:01.000>2초" in out and "1초 " not in out
    assert main(["transcribe", long, "--word-times"]) == 2
    assert main(["transcribe", long, "--line-length", "9"]) == 2
    assert main(["transcribe", long, "-f", "srt", "--reading-speed", "0"]) == 2


def test_sounds_that_differ_by_suffix_alone_keep_it(counting, sounds, tmp_path):
    soundfile.write(sounds / "b.flac", np.zeros(16000), 16000)
    out = tmp_path / "out"
    assert main(["transcribe", str(sounds), "-o", str(out)]) == 0
    assert visible(out) == ["a one.txt", "b.flac.txt", "b.wav.txt", "deep/c.txt"]


def test_clashing_outputs_and_formats_are_refused_before_work(counting, sounds, tmp_path, capsys):
    b, other = str(sounds / "b.wav"), tmp_path / "other" / "b.wav"
    other.parent.mkdir()
    soundfile.write(other, np.zeros(16000), 16000)
    for arguments in (
        [b, str(other), "-o", str(tmp_path / "out")],
        [b, "-f", "srt", "-f", "vtt"],
        [b, str(sounds / "a one.flac"), "-f", "srt"],
        [b, "-o", b],
    ):
        assert main(["transcribe", *arguments]) == 2
        assert capsys.readouterr().out == ""


def test_one_bad_file_does_not_stop_the_others(counting, sounds, tmp_path, capsys):
    (sounds / "aa.wav").write_text("text")
    out = tmp_path / "out"
    assert main(["transcribe", str(sounds), str(tmp_path / "none.wav"), "-o", str(out)]) == 1
    error = capsys.readouterr().err.splitlines()
    assert len(error) == 2 and all(line.startswith("asr: error: ") for line in error)
    assert "none.wav: no such file" in error[0] and "aa.wav is not a sound file" in error[1]
    assert visible(out) == ["a one.txt", "b.txt", "deep/c.txt"]


def test_debug_shows_the_traceback_of_a_bad_file(counting, sounds, capsys):
    (sounds / "aa.wav").write_text("text")
    assert main(["transcribe", "--debug", str(sounds)]) == 1
    captured = capsys.readouterr()
    assert "Traceback" in captured.err and "UnknownFormatError" in captured.err
    assert len(captured.out.splitlines()) == 3


def test_folder_without_sound(counting, tmp_path, capsys):
    assert main(["transcribe", str(tmp_path)]) == 1
    assert "no sound file in this folder\n" in capsys.readouterr().err
    (tmp_path / "KsponSpeech_000001.pcm").write_bytes(bytes(32_000))
    assert main(["transcribe", str(tmp_path)]) == 1
    assert "KsponSpeech_000001.pcm give --raw RATE" in capsys.readouterr().err


def test_odd_file_names(counting, sounds, tmp_path):
    odd = os.path.join(os.fsencode(sounds), b"\xff \n.wav")
    os.rename(sounds / "b.wav", odd)
    out = tmp_path / "out"
    assert main(["transcribe", os.fsdecode(odd), "-o", str(out), "-f", "json"]) == 0
    (written,) = out.glob("*.json")
    assert "�" in json.loads(written.read_text(encoding="utf-8"))["source"]


@pytest.mark.parametrize("arguments", [[""], ["a.wav", "--raw", ""]])
def test_empty_names_are_wrong_usage(counting, arguments, capsys):
    assert main(["transcribe", *arguments]) == 2
    assert capsys.readouterr().err.startswith("asr: error: ")


def refuse(*args, **kwargs):
    raise PermissionError(13, "Permission denied")


def test_output_is_tried_before_the_model_is_loaded(sounds, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(transcribe, "load_model", lambda *args: pytest.fail("loaded"))
    below_a_file = sounds / "b.wav" / "out"
    assert main(["transcribe", str(sounds), "-o", str(below_a_file)]) == 1
    line = f"asr: error: --output {below_a_file} cannot be written: Not a directory\n"
    assert capsys.readouterr() == ("", line)
    monkeypatch.setattr("tempfile.NamedTemporaryFile", refuse)  # root may write in any folder
    assert main(["transcribe", str(sounds), "-o", str(tmp_path)]) == 1
    assert f"--output {tmp_path} cannot be written: Permission denied" in capsys.readouterr().err


def test_unreadable_folder(counting, sounds, capsys, monkeypatch):
    monkeypatch.setattr(os, "listdir", refuse)
    assert main(["transcribe", str(sounds), str(sounds / "b.wav")]) == 1
    assert capsys.readouterr() == (
        "1초 2초\n", f"asr: error: {sounds}: Permission denied\n")


def test_a_sound_named_twice_is_recognised_once(counting, sounds, capsys, caplog):
    b = str(sounds / "b.wav")
    assert main(["transcribe", b, b]) == 0
    assert capsys.readouterr().out == "1초 2초\n"
    assert "b.wav is given more than once" in caplog.text


def test_damaged_sound_is_recognised_up_to_the_damage(counting, tmp_path, capsys):
    noise = np.random.default_rng(0).normal(0, 0.1, 160_000)
    soundfile.write(tmp_path / "whole.flac", noise, 16000)
    content = (tmp_path / "whole.flac").read_bytes()
    cut = tmp_path / "cut.flac"
    cut.write_bytes(content[: len(content) // 2])
    assert main(["transcribe", str(cut)]) == 1
    out, error = capsys.readouterr()
    assert out == "1초 2초 3초 4초\n"
    assert "cut.flac is cut short or damaged after 4." in error and error.count("\n") == 1
    assert main(["transcribe", str(cut), "-o", str(tmp_path / "out")]) == 1
    assert (tmp_path / "out" / "cut.txt").read_text(encoding="utf-8") == out


SLOW = """
import sys, time
from asr.cli import transcribe
from asr.cli.main import main
from asr.result import Result

class Model:
    sample_rate = 16000
    def stream(self, **detail): return self
    def accept(self, block): print("heard", flush=True); time.sleep(0.2)
    def finish(self): return Result((), 1.0)

transcribe.load_model = lambda *arguments: Model()
sys.exit(main(sys.argv[1:]))
"""


def test_interrupt_stops_in_the_middle_of_a_file(tmp_path):
    soundfile.write(tmp_path / "long.flac", np.zeros(16000 * 600), 16000)
    command = [sys.executable, "-c", SLOW, "transcribe", tmp_path / "long.flac"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                               env=os.environ | {"PYTHONPATH": str(ROOT)},
                               # A test run in the background has SIGINT ignored; children inherit.
                               preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
    assert process.stdout.readline() == "heard\n"
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert process.returncode == 130 and err == "asr: error: interrupted\n"
    assert out.count("heard") < 20  # of 120 blocks
