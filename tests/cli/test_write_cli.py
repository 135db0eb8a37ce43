"""`asr write` and `asr transcribe --written`."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from asr import load
from asr.cli.main import main
from asr.data_files import shipped
from asr.recognizer import Model
from asr.written import to_written

DIGITS = shipped("samples") / "human-digits-6789.flac"


def test_texts_and_lines(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["write", "삼십 퍼센트", "이 사람"]) == 0
    assert capsys.readouterr().out == "30%\n이 사람\n"
    lines = io.TextIOWrapper(io.BytesIO("오후 세 시\n\n이십 명\n".encode()))
    monkeypatch.setattr("sys.stdin", lines)
    assert main(["write"]) == 0
    assert capsys.readouterr().out == "오후 3시\n\n20명\n"


def test_json_has_both_forms(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["write", "--json", "이십 명이 왔다"]) == 0
    assert json.loads(capsys.readouterr().out) == [
        {"spoken": "이십 명이", "written": "20명이"},
        {"spoken": "왔다", "written": "왔다"},
    ]


def test_text_that_is_not_utf8(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["write", "\udcff"]) == 1
    assert "UTF-8" in capsys.readouterr().err


def test_transcribe_written(
    capsys: pytest.CaptureFixture[str], korean_model: Path, tmp_path: Path
) -> None:
    call = ["transcribe", "--model", str(korean_model), str(DIGITS), "-o", str(tmp_path)]
    assert main([*call, "--written", "-f", "json", "-f", "txt", "-f", "ctm"]) == 0
    data = json.loads((tmp_path / "human-digits-6789.json").read_text(encoding="utf-8"))
    shown = (tmp_path / "human-digits-6789.txt").read_text(encoding="utf-8").split("\n")
    said = (tmp_path / "human-digits-6789.ctm").read_text(encoding="utf-8").split("\n")
    for segment, line in zip(data["segments"], shown, strict=False):
        assert segment["written"]["text"] == line == to_written(segment["text"])
        spoken = " ".join(token["spoken"] for token in segment["written"]["tokens"])
        assert spoken == segment["text"]
    words = [word["text"] for segment in data["segments"] for word in segment["words"]]
    assert [line.split()[4] for line in said if line] == words


def test_models_write_where_asked(korean_model: Path) -> None:
    model: Model = load(korean_model)
    plain = model.transcribe(DIGITS)
    written = model.transcribe(DIGITS, written=True)
    assert plain.text == written.text and plain.written_text == plain.text
    assert all(segment.written for segment in written.segments if segment.text)
    assert not any(segment.written for segment in plain.segments)


def test_a_grammar_is_written_as_it_stands(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["transcribe", "--written", "--grammar", str(tmp_path), str(DIGITS)]) == 2
    assert "--written" in capsys.readouterr().err
