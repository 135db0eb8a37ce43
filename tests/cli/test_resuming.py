"""`asr transcribe --resume`: what is done is left out, and only that."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
import soundfile

from asr.cli import transcribe
from asr.cli.main import main
from asr.cli.resuming import FOLDER
from asr.result import Result, Segment, Word


class Recogniser:
    """Says which model it is, once for each second of sound.

    Attributes:
        heard: how many sounds were recognised.
    """

    sample_rate = 16_000

    def __init__(self) -> None:
        self.name, self.heard = "하나", 0

    def stream(self, **detail: object) -> Recogniser:
        self._samples = 0
        return self

    def with_options(self, **options: object) -> Recogniser:
        return self

    def accept(self, block: np.ndarray) -> None:
        self._samples += len(block)

    def finish(self) -> Result:
        self.heard += 1
        seconds = self._samples // 16_000
        words = [Word(self.name, float(n), n + 1.0) for n in range(seconds)]
        return Result((Segment.from_words(words),), float(seconds))


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Recogniser:
    recogniser = Recogniser()
    monkeypatch.setattr(transcribe, "load_model", lambda *arguments: recogniser)
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.json").write_text(name)
    monkeypatch.setattr(transcribe, "model_path", lambda name: tmp_path / name)
    return recogniser


@pytest.fixture
def sounds(tmp_path: Path) -> Path:
    folder = tmp_path / "sounds"
    (folder / "deep").mkdir(parents=True)
    for name in ("a.wav", "deep/b.flac"):
        soundfile.write(folder / name, np.zeros(16_000), 16_000)
    return folder


class Call:
    """`asr transcribe SOUNDS --output OUT --resume` with what else is given."""

    def __init__(self, model: Recogniser, sounds: Path, out: Path) -> None:
        self._model, self.sounds, self.out = model, sounds, out

    def __call__(self, *options: str, model: str = "one", code: int = 0) -> int:
        """How many sounds were recognised."""
        before = self._model.heard
        arguments = ["transcribe", str(self.sounds), "-o", str(self.out), "-m", model, "--resume"]
        assert main([*arguments, *options]) == code
        return self._model.heard - before


@pytest.fixture
def call(model: Recogniser, sounds: Path, tmp_path: Path) -> Call:
    return Call(model, sounds, tmp_path / "out")


def test_what_is_done_is_left_out(call: Call, capsys) -> None:
    assert call() == 2
    assert call() == 0
    assert "2 of 2 sounds are done already" in capsys.readouterr().err
    assert call("--jobs", "2") == 0  # it changes no transcript
    assert main(["transcribe", str(call.sounds), "--resume"]) == 2
    assert "give both" in capsys.readouterr().err


def test_a_run_without_resume_is_taken_up(call: Call) -> None:
    assert main(["transcribe", str(call.sounds), "-o", str(call.out), "-m", "one"]) == 0
    assert call() == 0


@pytest.mark.parametrize("change", [
    lambda out: (out / "a.txt").unlink(),
    lambda out: (out / FOLDER / "a.json").unlink(),
    lambda out: (out / FOLDER / "a.json").write_text('{"files": ["txt'),
    lambda out: (out / FOLDER / "a.json").write_text('{"files": ["txt"]}'),
])  # fmt: skip
def test_what_is_missing_or_has_no_mark_is_made_again(call: Call, change) -> None:
    assert call() == 2
    change(call.out)
    assert call() == 1 and call() == 0


def test_another_model_and_other_options_are_other_transcripts(call: Call, tmp_path) -> None:
    words = tmp_path / "words.txt"
    words.write_text("서울역\n", encoding="utf-8")
    assert call() == 2
    assert call(model="two") == 2
    assert call("--no-rescoring", model="two") == 2
    assert call("--no-rescoring", model="two") == 0
    (tmp_path / "two" / "model.json").write_text("trained on")
    assert call("--no-rescoring", model="two") == 2
    assert call("-f", "srt") == 2 and call("-f", "srt", "--lines", "1") == 2


@pytest.mark.parametrize("seconds", [-1000, 1000])
def test_a_sound_that_changed_is_recognised_again(call: Call, seconds: int) -> None:
    """Newer than its transcript, or older: a copy of another recording keeps its time."""
    assert call() == 2
    sound = call.sounds / "deep" / "b.flac"
    soundfile.write(sound, np.zeros(48_000), 16_000)
    then = (call.out / "deep" / "b.txt").stat().st_mtime + seconds
    os.utime(sound, (then, then))
    assert call() == 1
    assert (call.out / "deep" / "b.txt").read_text(encoding="utf-8") == "하나 하나 하나\n"


def test_another_sound_of_the_same_name_size_and_time_is_another(call: Call, tmp_path) -> None:
    """As archives make them, whose files all have one time."""
    other = tmp_path / "others"
    (other / "deep").mkdir(parents=True)
    for folder in (call.sounds, other):
        for name in ("a.wav", "deep/b.flac"):
            soundfile.write(folder / name, np.zeros(16_000), 16_000)
            os.utime(folder / name, (10**9, 10**9))
    assert call() == 2 and call() == 0
    call.sounds = other
    assert call() == 2 and call() == 0


def test_a_damaged_sound_is_never_done(call: Call, capsys) -> None:
    whole = np.random.default_rng(0).normal(0, 0.1, 160_000)
    soundfile.write(call.sounds / "a.flac", whole, 16_000)
    content = (call.sounds / "a.flac").read_bytes()
    (call.sounds / "a.wav").unlink()
    (call.sounds / "a.flac").write_bytes(content[: len(content) // 2])
    assert call(code=1) == 2
    assert (call.out / "a.txt").read_text(encoding="utf-8")  # as far as it goes
    assert call(code=1) == 1
    (call.sounds / "a.flac").write_bytes(content)
    assert call() == 1 and call() == 0
    assert len((call.out / "a.txt").read_text(encoding="utf-8").split()) == 10


def test_marks_say_what_they_are(call: Call) -> None:
    call("-f", "txt", "-f", "json")
    mark = json.loads((call.out / FOLDER / "deep" / "b.json").read_text(encoding="utf-8"))
    size = (call.sounds / "deep" / "b.flac").stat().st_size
    assert mark["format"] == "malsori-done" and mark["version"] == 2
    assert mark["files"] == ["json", "txt"] and mark["sound"]["size"] == size
    assert mark["how"]["written"] is False
