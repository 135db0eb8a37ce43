"""Corpus readers on a small made-up tree, and on the real corpora where they are at hand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from asr.data import CORPUS_FOLDERS, load_split, read_emotiontts, read_pansori
from asr.errors import DataError

SPEECH = Path(__file__).parents[2] / ".." / "shared" / "speech"


def _write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two speakers of each corpus; the readers do not open the sound, so it may be empty."""
    emotional = tmp_path / "emotiontts_open_db" / "Dataset" / "SpeechCorpus" / "Main"
    for speaker, suffix in (("aaa", "wav"), ("bbb", "flac")):
        name = f"{speaker}00001"
        _write(emotional / speaker / "script" / f"{name}.txt", "\ufeff7년\n")
        _write(emotional / speaker / "transcript" / f"{name}.txt", "\ufeff칠년\n")
        _write(emotional / speaker / "wav" / f"{name}.{suffix}", "")
    talk = tmp_path / "pansori-tedxkr-corpus" / "data" / "s1" / "t1"
    _write(talk / "s1-t1.trans.txt", "s1-t1-0000 안녕 하세요\ns1-t1-0001 네\n")
    for name in ("s1-t1-0000", "s1-t1-0001"):
        _write(talk / f"{name}.flac", "")
    splits = {
        "emotiontts_open_db": {"train": ["bbb00001", "aaa00001"], "dev": ["ccc00001"]},
        "pansori-tedxkr-corpus": {"dev": ["s1-t1-0001"]},
    }
    _write(tmp_path / "splits.json", json.dumps(splits))
    return tmp_path


def test_emotiontts_layout(root: Path) -> None:
    first, second = read_emotiontts(root / CORPUS_FOLDERS["emotiontts"])
    assert (first.id, first.speaker, first.audio.name) == ("aaa00001", "aaa", "aaa00001.wav")
    assert (first.script, first.transcript) == ("7년", "칠년")
    assert second.audio.suffix == ".flac"


def test_pansori_layout(root: Path) -> None:
    first, second = read_pansori(root / CORPUS_FOLDERS["pansori"])
    assert (first.id, first.transcript, first.speaker) == ("s1-t1-0000", "안녕 하세요", "s1")
    assert first.script is None
    assert second.audio.exists()


def test_a_split_comes_in_its_own_order(root: Path) -> None:
    assert [u.id for u in load_split(root, "emotiontts", "train")] == ["bbb00001", "aaa00001"]
    assert [u.id for u in load_split(root, "pansori", "dev")] == ["s1-t1-0001"]


@pytest.mark.parametrize(
    ("corpus", "split", "message"),
    [
        ("librispeech", "dev", "Unknown corpus 'librispeech'"),
        ("pansori", "train", "no split 'train': choose one of dev"),
        ("emotiontts", "dev", "1 utterances of emotiontts dev are missing .*ccc00001"),
    ],
)
def test_bad_requests(root: Path, corpus: str, split: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        load_split(root, corpus, split)


def test_damaged_trees(root: Path) -> None:
    speaker = root / "emotiontts_open_db" / "Dataset" / "SpeechCorpus" / "Main" / "aaa"
    (speaker / "transcript" / "aaa00001.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(DataError, match="not UTF-8"):
        read_emotiontts(root)
    (speaker / "transcript" / "aaa00001.txt").unlink()
    with pytest.raises(DataError, match="does not exist"):
        read_emotiontts(root)
    (speaker / "wav" / "aaa00001.wav").unlink()
    with pytest.raises(DataError, match="has no sound"):
        read_emotiontts(root)
    (root / "splits.json").write_text("[]", encoding="utf-8")
    with pytest.raises(DataError, match="does not list the corpus"):
        load_split(root, "pansori", "dev")
    (root / "splits.json").unlink()
    with pytest.raises(DataError, match="does not exist"):
        load_split(root, "pansori", "dev")


@pytest.mark.skipif(not SPEECH.exists(), reason="needs ../shared/speech")
@pytest.mark.parametrize(
    ("corpus", "split", "utterances", "speakers"),
    [("emotiontts", "dev", 58, 2), ("pansori", "dev", 79, 3)],
)
def test_real_corpora(corpus: str, split: str, utterances: int, speakers: int) -> None:
    found = load_split(SPEECH, corpus, split)
    assert len(found) == utterances
    assert len({utterance.speaker for utterance in found}) == speakers
    assert all(utterance.transcript for utterance in found)
    assert all((utterance.script is not None) == (corpus == "emotiontts") for utterance in found)
