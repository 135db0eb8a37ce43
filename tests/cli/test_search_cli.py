"""`asr search`: typed and spoken queries, an index on disk, and what is refused."""

import json

import pytest

from asr.cli.main import main
from asr.data_files import shipped

DIGITS = ("공", "하나", "둘", "셋", "넷", "다섯", "여섯", "일곱", "여덟", "아홉")


@pytest.fixture
def catalog(tmp_path):
    """Strings of digits, among them those of the samples, with where they are from."""
    rows = [
        f"{' '.join(DIGITS[int(digit)] for digit in digits)}\t\t\t{digits}"
        for digits in ("12345", "6789", "31415", "27182", "54321", "9876", "11111", "2468")
    ]
    path = tmp_path / "digits.tsv"
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def places(tmp_path):
    path = tmp_path / "places.tsv"
    path.write_text("서울역\t90\n서울숲\t20\n남산타워\t\t엔서울타워\tid=3\n", encoding="utf-8")
    return path


def test_typed(places, capsys):
    texts = ["--text", "서울력 근처 맛집 찾아줘", "--text", "엔서울타워 어디야"]
    assert main(["search", "--catalog", str(places), "--top", "1", *texts]) == 0
    first, second = capsys.readouterr().out.split("\n\n")
    assert first.splitlines()[0] == "서울력 근처 맛집 찾아줘"
    assert "서울역" in first and "[근처 맛집 찾아줘]" in first
    assert "남산타워" in second and "id=3" in second


def test_index_on_disk(places, tmp_path, capsys):
    folder = tmp_path / "index"
    assert main(["search", "--catalog", str(places), "--build-index", str(folder)]) == 0
    capsys.readouterr()
    assert main(["search", "--index", str(folder), "--text", "남산타워까지", "-f", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["format"], found["version"]) == ("malsori-search-result", 1)
    assert (found["hits"][0]["name"], found["hits"][0]["payload"]) == ("남산타워", ["id=3"])
    assert found["hits"][0]["start"] is None


@pytest.mark.parametrize("passes", ["1", "2"])
@pytest.mark.parametrize("digits", ["12345", "6789"])
def test_spoken(catalog, korean_model, capsys, passes, digits):
    sample = shipped("samples") / f"human-digits-{digits}.flac"
    command = ["search", "--catalog", str(catalog), "--model", str(korean_model), "-f", "json"]
    assert main([*command, "--passes", passes, str(sample)]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["source"] == str(sample)
    first = found["hits"][0]
    assert first["payload"] == [digits]
    assert 0 <= first["start"] < first["end"] <= 6 and first["score"] > found["hits"][1]["score"]


def test_a_sound_that_is_missing(places, korean_model, capsys):
    sample = shipped("samples") / "synthetic-espeak-1.flac"
    command = ["search", "--catalog", str(places), "--model", str(korean_model)]
    assert main([*command, "missing.wav", str(sample)]) == 1
    out, err = capsys.readouterr()
    assert "missing.wav: no such file" in err and "synthetic-espeak-1.flac: " in out


@pytest.mark.parametrize("options, code, why", [
    (["--text", "서울역"], 2, "give a catalogue"),
    (["--catalog", "a", "--index", "b", "--text", "서울역"], 2, "give a catalogue"),
    (["--catalog", "a"], 2, "give sounds"),
    (["--index", "a", "--build-index", "b"], 2, "needs the --catalog"),
    (["--catalog", "missing.tsv", "--text", "서울역"], 1, "missing.tsv"),
    (["--index", "missing", "--text", "서울역"], 1, "holds no index"),
    (["--catalog", "a", "--text", "서울역", "--top", "2000"], 2, "1000 hits"),
])  # fmt: skip
def test_refused(options, code, why, capsys):
    assert main(["search", *options]) == code
    err = capsys.readouterr().err
    assert why in err and len(err.splitlines()) == 1


def test_unreadable_entries(tmp_path, capsys):
    path = tmp_path / "catalog.tsv"
    path.write_text("서울역\n東京\n", encoding="utf-8")
    command = ["search", "--catalog", str(path), "--text", "서울역"]
    assert main(command) == 1
    assert "alias in Hangul" in capsys.readouterr().err
    assert main([*command, "--skip-unreadable"]) == 0
    assert "서울역" in capsys.readouterr().out
