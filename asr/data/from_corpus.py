"""Data directories of the published corpora that `asr.data.corpora` reads."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from asr.audio import audio_info
from asr.data.corpora import (
    CORPUS_FOLDERS,
    Utterance,
    read_emotiontts,
    read_pansori,
    read_split_ids,
)
from asr.data.directory import DataDir, DirUtterance
from asr.data.table_files import UTT2DUR, seconds
from asr.errors import AudioError, DataError, UsageError
from asr.hangul.normalize import to_spoken
from asr.progress import Progress, silent

TEXTS = ("spoken", "transcript", "script")
"""What becomes of a sentence: how it is said, in Hangul and spaces only; as the corpus transcribes
it; as the corpus writes it (emotiontts alone)."""

_NOT_HANGUL = re.compile(r"[^가-힣]+")


def spoken_words(text: str) -> str:
    """How a sentence is read aloud, Hangul syllables and single spaces only.

    >>> spoken_words("KBS는 7년 전, 시작했다.")
    '케이비에스는 칠년 전 시작했다'
    """
    return _NOT_HANGUL.sub(" ", to_spoken(text)).strip()


def corpus_directory(
    corpus: str,
    root: str | Path,
    *,
    splits: str | Path | None = None,
    split: str | None = None,
    text: str = "spoken",
    progress: Progress = silent,
) -> DataDir:
    """A corpus, or one split of it, as a data directory with `utt2dur`.

    Args:
        corpus: a name of CORPUS_FOLDERS.
        root: the corpus' own folder, or the one above it.
        splits: a JSON file with the ids of each split.
        split: which of them; None for the whole corpus.
        text: one of TEXTS.

    Raises:
        DataError: the corpus, split or a sound is not there or malformed, or a text has no word.
        UsageError: a split without the file that lists it, or an unknown kind of text.
    """
    if text not in TEXTS:
        raise UsageError(f"there is no kind of text {text!r}: choose one of {', '.join(TEXTS)}")
    if (splits is None) != (split is None):
        raise UsageError(
            "a split needs the file that lists it, and the other way round: give both"
            " --splits FILE and --split NAME"
        )
    found = _utterances(corpus, Path(root), splits, split)
    rows, durations = [], {}
    for number, utterance in enumerate(found):
        progress(number / len(found), f"reading {corpus}")
        rows.append(_row(utterance, text))
        durations[utterance.id] = seconds(_duration(utterance))
    return DataDir(tuple(rows), {UTT2DUR: durations})


def _utterances(
    corpus: str, root: Path, splits: str | Path | None, split: str | None
) -> Sequence[Utterance]:
    readers = {"emotiontts": read_emotiontts, "pansori": read_pansori}
    if corpus not in readers:
        raise DataError(f"Unknown corpus {corpus!r}: choose one of {', '.join(readers)}.")
    folder = root / CORPUS_FOLDERS[corpus]
    root = folder if folder.is_dir() else root
    ids = None
    if splits is not None and split is not None:
        ids = read_split_ids(Path(splits), CORPUS_FOLDERS[corpus], split)
    found = readers[corpus](root, ids)
    missing = set(ids or ()) - {utterance.id for utterance in found}
    if missing:
        raise DataError(
            f"{len(missing)} utterances of {corpus} {split} are missing below {root}"
            f" (first: {min(missing)}): fetch the whole corpus"
        )
    if not found:
        raise DataError(
            f"{root} holds no utterance of {corpus}: give the folder of the corpus as"
            " it is published"
        )
    return found


def _row(utterance: Utterance, kind: str) -> DirUtterance:
    text: str | None = utterance.transcript
    if kind == "script":
        text = utterance.script
        if text is None:
            raise DataError("this corpus has no written form: choose spoken or transcript")
    elif kind == "spoken":
        text = spoken_words(utterance.transcript)
    text = " ".join((text or "").split())
    if not text:
        raise DataError(
            f"{utterance.id} has no text that can be read aloud"
            f" ({utterance.transcript!r}): correct or delete it in the corpus"
        )
    return DirUtterance(
        utterance.id,
        utterance.id,
        utterance.speaker,
        text,
        source=Path(os.path.abspath(utterance.audio)),
    )


def _duration(utterance: Utterance) -> float:
    duration = audio_info(utterance.audio).duration
    if duration is None:
        raise AudioError(f"{utterance.audio} does not say how long it is: convert it to WAV")
    return duration
