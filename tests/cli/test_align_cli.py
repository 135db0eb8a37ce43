"""`asr align`: what it writes, where, and how it speaks of mistakes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from asr.cli.main import main
from asr.data_files import shipped

TEXT = "여섯 일곱 여덟 아홉"


@pytest.fixture
def sample(tmp_path: Path, korean_model: Path) -> Path:
    return Path(shutil.copy(shipped("samples") / "human-digits-6789.flac", tmp_path / "a.flac"))


def test_one_sound_to_standard_output(sample: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["align", str(sample), TEXT]) == 0
    out, err = capsys.readouterr()
    assert out.startswith('File type = "ooTextFile"') and 'text = "여덟"' in out
    assert err == ""


def test_ctm_at_each_level(sample: Path, capsys: pytest.CaptureFixture[str]) -> None:
    counts = {}
    for level in ("eojeol", "syllable", "jamo"):
        assert main(["align", str(sample), TEXT, "-f", "ctm", "--level", level]) == 0
        rows = [line.split() for line in capsys.readouterr().out.splitlines()]
        assert all(row[:2] == ["a", "1"] and float(row[3]) > 0 for row in rows)
        starts = [float(row[2]) for row in rows]
        assert starts == sorted(starts)
        counts[level] = len(rows)
    assert counts["eojeol"] == 4 and counts["syllable"] == 8 and counts["jamo"] > 12


def test_text_from_a_file_and_files_of_every_format(
    sample: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("matplotlib")
    text = tmp_path / "a.txt"
    text.write_text("\ufeff여섯, 일곱,\n여덟, 아홉.\n", encoding="utf-8")
    out, plot = tmp_path / "out", tmp_path / "plots" / "a.png"
    assert main(["align", str(sample), str(text), "-f", "all", "-o", str(out),
                 "--plot", str(plot)]) == 0  # fmt: skip
    assert sorted(path.name for path in out.iterdir()) == ["a.TextGrid", "a.ctm", "a.json"]
    data = json.loads((out / "a.json").read_text(encoding="utf-8"))
    assert data["text"] == TEXT and data["plausible"] and data["source"] == str(sample)
    assert plot.read_bytes().startswith(b"\x89PNG")
    assert capsys.readouterr().out == ""


def test_a_wrong_text_is_warned_of(
    sample: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["align", str(sample), "안녕하세요 여러분", "-f", "json"]) == 0
    assert "probably not what is said" in caplog.text
    assert json.loads(capsys.readouterr().out)["plausible"] is False
    caplog.clear()
    assert main(["align", str(sample), "여섯 일곱 코끼리 아홉", "-f", "json"]) == 0
    assert "코끼리" in caplog.text and "일곱" not in caplog.text


def test_a_list_goes_on_after_a_failure(
    sample: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [f"{sample}\t{TEXT}", f"{tmp_path / 'none.flac'}\t네", "", f"{sample}\t{TEXT} {TEXT}"]
    listed = tmp_path / "list.tsv"
    listed.write_text("\n".join(lines), encoding="utf-8")
    assert main(["align", "--list", str(listed), "-f", "json"]) == 1
    out, err = capsys.readouterr()
    assert [json.loads(line)["text"] for line in out.splitlines()] == [TEXT, f"{TEXT} {TEXT}"]
    assert err.count("asr: error:") == 1 and "none.flac" in err


def test_wrong_usage_exits_2_and_wrong_data_1(
    sample: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    listed, broken = tmp_path / "list.tsv", tmp_path / "broken.tsv"
    listed.write_text(f"{sample}\t네\n{sample}\t아니\n", encoding="utf-8")
    broken.write_text(f"{sample} no tab\n", encoding="utf-8")
    latin = tmp_path / "latin.txt"
    latin.write_bytes("네".encode("cp949"))
    cases = [
        (["align"], 2, "give AUDIO and TEXT"),
        (["align", str(sample)], 2, "give AUDIO and TEXT"),
        (["align", str(sample), "네", "--list", str(listed)], 2, "either"),
        (["align", "--list", str(listed), "--plot", "a.png"], 2, "one sound"),
        (["align", "--list", str(listed)], 2, "--output"),
        (["align", "--list", str(listed), "-o", str(tmp_path / "o")], 2, "both be written"),
        (["align", str(sample), "네", "-f", "all"], 2, "--output"),
        (["align", str(sample), "네", "-o", str(sample)], 2, "is a file"),
        (["align", str(sample), "네", "--plot", str(tmp_path / "a.bmp")], 2, ".png"),
        (["align", "--list", str(broken)], 1, "line 1"),
        (["align", str(sample), str(latin)], 1, "UTF-8"),
        (["align", str(sample), "쀍"], 1, "no unit for 쀍"),
        (["align", str(sample), ":)"], 1, "nothing that can be read"),
        (["align", str(tmp_path / "none.flac"), "네"], 1, "none.flac"),
        (["align", str(sample), "네 " * 300], 1, "longer than what was said"),
    ]
    for arguments, code, message in cases:
        assert main(arguments) == code, arguments
        out, err = capsys.readouterr()
        assert out == "" and message in err and err.count("\n") == 1, (arguments, err)


def test_a_mistyped_file_name_is_not_taken_for_the_text(
    sample: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["align", str(sample), "nofile.txt"]) == 1
    assert "no such file" in capsys.readouterr().err
