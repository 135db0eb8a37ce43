"""Readers of two open Korean speech corpora in the layouts in which they are published.

EmotionTTS open DB (CC BY-NC-SA 4.0): any folder ``<speaker>/`` with ``wav/<id>.wav``,
``script/<id>.txt`` (how the sentence is written) and ``transcript/<id>.txt`` (how it was spoken).
Pansori TEDxKR (CC BY-NC-ND 4.0): as LibriSpeech, ``data/<speaker>/<talk>/<id>.flac`` and one
``<speaker>-<talk>.trans.txt`` with a line ``<id> <transcript>`` for each utterance.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from asr.errors import DataError

# Folder of each corpus below the root that also holds splits.json.
CORPUS_FOLDERS = {"emotiontts": "emotiontts_open_db", "pansori": "pansori-tedxkr-corpus"}
SPLITS_FILE = "splits.json"
_AUDIO_SUFFIXES = (".wav", ".flac")


@dataclass(frozen=True, slots=True)
class Utterance:
    """One recorded sentence. ``script`` is its written form (7년), where the corpus has one."""

    id: str
    audio: Path
    transcript: str
    script: str | None
    speaker: str


def load_split(root: str | Path, corpus: str, split: str) -> list[Utterance]:
    """The utterances of ``split`` (train, dev, test) of ``corpus``, in the order of splits.json.

    ``root`` holds splits.json and the folders of CORPUS_FOLDERS. Raises DataError when the corpus
    or split is unknown, or an utterance that the split names is missing.
    """
    if corpus not in CORPUS_FOLDERS:
        raise DataError(f"Unknown corpus {corpus!r}: choose one of {', '.join(CORPUS_FOLDERS)}.")
    folder = CORPUS_FOLDERS[corpus]
    ids = read_split_ids(Path(root) / SPLITS_FILE, folder, split)
    found = {utterance.id: utterance for utterance in _READERS[corpus](Path(root) / folder, ids)}
    missing = [name for name in ids if name not in found]
    if missing:
        raise DataError(
            f"{len(missing)} utterances of {corpus} {split} are missing below {root} "
            f"(first: {missing[0]}): fetch the whole corpus."
        )
    return [found[name] for name in ids]


def read_split_ids(path: Path, folder: str, split: str) -> list[str]:
    """The utterance ids of ``split`` of the corpus in ``folder``, in the order of the file.

    Raises DataError when the file is missing or malformed, or knows no such corpus or split.
    """
    try:
        splits = json.loads(_read_text(path))[folder]
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise DataError(f"{path} does not list the corpus {folder!r}: {error}.") from error
    if split not in splits:
        raise DataError(f"{path} has no split {split!r}: choose one of {', '.join(splits)}.")
    return list(splits[split])


def read_emotiontts(root: str | Path, ids: Iterable[str] | None = None) -> list[Utterance]:
    """Every utterance below ``root`` (or only ``ids``), sorted by path.

    Raises DataError for a script without its transcript or sound, or text that is not UTF-8.
    """
    wanted = None if ids is None else set(ids)
    paths = sorted(Path(root).glob("**/script/*.txt"))
    return [_emotiontts_utterance(p) for p in paths if wanted is None or p.stem in wanted]


def _emotiontts_utterance(script: Path) -> Utterance:
    speaker = script.parent.parent
    return Utterance(
        id=script.stem,
        audio=_audio_file(speaker / "wav", script.stem),
        transcript=_read_text(speaker / "transcript" / script.name).strip(),
        script=_read_text(script).strip(),
        speaker=speaker.name,
    )


def read_pansori(root: str | Path, ids: Iterable[str] | None = None) -> list[Utterance]:
    """Every utterance below ``root`` (or only ``ids``), sorted by transcript file, then as listed.

    Raises DataError for a transcript without its sound, or text that is not UTF-8.
    """
    wanted = None if ids is None else set(ids)
    utterances = []
    for transcripts in sorted(Path(root).glob("**/*.trans.txt")):
        for line in _read_text(transcripts).splitlines():
            name, _, text = line.strip().partition(" ")
            if name and (wanted is None or name in wanted):
                audio = _audio_file(transcripts.parent, name)
                speaker = transcripts.parent.parent.name
                utterances.append(Utterance(name, audio, text.strip(), None, speaker))
    return utterances


_READERS: dict[str, Callable[[Path, Iterable[str] | None], list[Utterance]]] = {
    "emotiontts": read_emotiontts,
    "pansori": read_pansori,
}


def _audio_file(folder: Path, name: str) -> Path:
    for suffix in _AUDIO_SUFFIXES:
        path = folder / (name + suffix)
        if path.exists():
            return path
    raise DataError(f"{folder / name} has no sound ({' or '.join(_AUDIO_SUFFIXES)}).")


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise DataError(f"{path} does not exist: check the root of the corpus.") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text: convert it.") from error
