"""Speech named on the command line: data directories, or parts of published corpora."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from asr.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

DATA_HELP = (
    "a Kaldi data directory, or ROOT:CORPUS:SPLIT for the split that ROOT/splits.json names of a"
    " published corpus (emotiontts, pansori)"
)


@dataclass(frozen=True, slots=True)
class SpokenSound:
    """One utterance. ``samples`` reads it at a rate in Hz: float32 [N]; text: None if unknown."""

    id: str
    speaker: str
    text: str | None
    samples: Callable[[int], NDArray[np.float32]]


def spoken_sounds(names: Iterable[str]) -> list[SpokenSound]:
    """All utterances that ``names`` stand for, in that order.

    Raises:
        DataError: no such data, or two utterances of one name.
    """
    sounds: dict[str, SpokenSound] = {}
    for name in names:
        for sound in _of(name):
            if sound.id in sounds:
                raise DataError(f"the utterance {sound.id} is given twice: name each data once")
            sounds[sound.id] = sound
    if not sounds:
        raise DataError("the data hold no utterances; give others")
    return list(sounds.values())


def _of(name: str) -> Iterator[SpokenSound]:
    root, *rest = name.rsplit(":", 2)
    if len(rest) == 2 and not Path(name).exists():
        from asr.data.corpora import load_split

        for utterance in load_split(root, *rest):
            sound = partial(_file, utterance.audio)
            yield SpokenSound(utterance.id, utterance.speaker, utterance.transcript, sound)
        return
    from asr.data import DataDir

    for row in DataDir.read(name).utterances:
        yield SpokenSound(row.id, row.speaker, row.text, row.samples)


def _file(path: Path, sample_rate: int) -> NDArray[np.float32]:
    from asr.audio import load_audio

    return load_audio(path, sample_rate).samples
