"""What a test would measure wrongly: speakers, sounds or sentences that training has seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from asr.data.directory import DataDir
from asr.data.sentences import SentenceIndex
from asr.lm.text_files import read_lines
from asr.progress import Progress, silent


@dataclass(frozen=True, slots=True)
class Leak:
    """One thing that a test set shares with what was trained on."""

    kind: str
    """speaker, sound, sentence, or contained (one sentence within the other)."""
    test: str
    """The utterance (or speaker) of the test set."""
    train: str
    """The utterance or speaker of the training set, or FILE:LINE of a text."""
    what: str
    """The sentence, speaker or sound shared."""

    def __str__(self) -> str:
        return f"{self.kind}\t{self.test}\t{self.train}\t{self.what}"


@dataclass(frozen=True, slots=True)
class LeakConfig:
    """What counts as a leak."""

    text_eojeol: int = 2
    """Sentences of a test set with fewer eojeol are none in texts: everybody says 안녕하세요."""


def find_leaks(
    train: DataDir,
    tests: Sequence[DataDir],
    texts: Sequence[str | Path] = (),
    config: LeakConfig | None = None,
    progress: Progress = silent,
) -> list[Leak]:
    """Everything that `tests` share with training, in the order of kinds above.

    Args:
        train: the training set.
        tests: dev and test sets.
        texts: files of sentences that a language model or its units were trained on, one a line,
            plain or compressed.

    Raises:
        DataError: a text cannot be read.
    """
    config = config or LeakConfig()
    leaks = [leak for test in tests for leak in _shared_ids(train, test)]
    index = SentenceIndex()
    held: dict[str, str] = {}
    for test in tests:
        for u in test.utterances:
            if u.text:  # two sets may have an id in common
                held[u.id if u.id not in held else f"{test.path}:{u.id}"] = u.text
    for name, text in held.items():
        index.add(name, text)
    for utterance in train.utterances:
        if utterance.text:
            leaks += _shared_sentence(index, utterance.text, utterance.id, held)
    for done, path in enumerate(texts):
        progress(done / len(texts), f"reading {path}")
        for number, line in enumerate(read_lines(path), 1):
            leaks += [
                leak
                for leak in _shared_sentence(index, line, f"{path}:{number}", held)
                if len(leak.what.split()) >= config.text_eojeol
            ]
    return leaks


def _shared_ids(train: DataDir, test: DataDir) -> list[Leak]:
    speakers = [name for name in test.speakers if name in train.speakers]
    leaks = [Leak("speaker", name, name, name) for name in speakers]
    by_sound = {source: name for name, source in train.recordings.items()}
    for utterance in test.utterances:
        if utterance.source in by_sound and utterance.source is not None:
            other = by_sound[utterance.source]
            leaks.append(Leak("sound", utterance.id, other, str(utterance.source)))
    return leaks


def _shared_sentence(
    index: SentenceIndex, text: str, where: str, held: dict[str, str]
) -> list[Leak]:
    same, near = index.find(text)
    return [
        *(Leak("sentence", name, where, held[name]) for name in same),
        *(Leak("contained", name, where, held[name]) for name in near),
    ]
