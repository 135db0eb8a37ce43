"""`asr search`: typed and spoken queries, an index on disk, and what is refused."""

import json

import pytest

from asr.cli.main import main
from asr.data_files import shipped


@pytest.fixture
def catalog(tmp_path):
    """What people say when they meet and part, with something to know each by."""
    names = ("안녕하세요", "안녕히 가세요", "고맙습니다", "미안합니다", "어서 오세요", "잘 자요")
    path = tmp_path / "greetings.tsv"
    rows = (f"{name}\t\t\t{number}\n" for number, name in enumerate(names))
    path.write_text("".join(rows), encoding="utf-8")
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


def test_a_query_that_cannot_be_read_is_told(places, capsys, caplog):
    assert main(["search", "--catalog", str(places), "--text", "東京"]) == 0
    assert "(nothing)" in capsys.readouterr().out
    assert "'東京' can be read aloud: write it in Hangul" in caplog.text
    caplog.clear()
    assert main(["search", "--catalog", str(places), "--text", "쀍"]) == 0
    assert "(nothing)" in capsys.readouterr().out and not caplog.text


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
def test_spoken(catalog, korean_model, capsys, passes):
    sample = shipped("samples") / "synthetic-espeak-1.flac"
    command = ["search", "--catalog", str(catalog), "--model", str(korean_model), "-f", "json"]
    assert main([*command, "--passes", passes, str(sample)]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["source"] == str(sample)
    first, *others = found["hits"]
    assert (first["name"], first["payload"]) == ("안녕하세요", ["0"])
    assert 0 <= first["start"] < first["end"] <= 2
    assert all(first["score"] > other["score"] for other in others)


def test_a_sound_that_is_missing(places, korean_model, capsys):
    sample = shipped("samples") / "synthetic-espeak-1.flac"
    command = ["search", "--catalog", str(places), "--model", str(korean_model)]
    assert main([*command, "missing.wav", str(sample)]) == 1
    out, err = capsys.readouterr()
    assert "missing.wav: no such file" in err and "synthetic-espeak-1.flac: " in out


@pytest.mark.parametrize("options, code, why", [
    (["--text", "서울역"], 2, "give a catalogue"),
    (["--catalog", "a", "--index", "b", "--text", "서울역"], 2, "only one of them"),
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
