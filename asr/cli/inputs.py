"""Which sounds a command line names, and where the transcript of each goes."""

from __future__ import annotations

import logging
import os
import tempfile
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from asr.errors import AudioError, DataError, UsageError
from asr.sound_names import RAW_SUFFIXES, SOUND_SUFFIXES

logger = logging.getLogger("asr.inputs")

STDIN = "-"


@dataclass(frozen=True)
class Input:
    """One sound to recognise."""

    source: str
    """A path, or `-` for standard input."""
    relative: PurePath
    """Its place below the output folder: its name, or its path inside the folder that was given."""

    @property
    def name(self) -> str:
        """The source as text that can be printed and written as UTF-8."""
        return "<stdin>" if self.source == STDIN else os.fsencode(self.source).decode(
            "utf-8", "replace")


def check_no_sound(option: str, path: Path | None) -> None:
    """Refuse the name of a sound where a text is wanted: any lines of text would do as one.

    Raises:
        UsageError: it is called like a sound.
    """
    if path is not None and path.suffix.lower() in SOUND_SUFFIXES:
        raise UsageError(f"{option} {path} is called like a sound: give a text file there")


def expand(arguments: Sequence[str], *, raw: bool) -> tuple[list[Input], list[AudioError]]:
    """Replace folders by the sounds below them, sorted; errors are the arguments that hold none.

    With `raw`, folders also give .raw and .pcm files. A sound that is named twice is taken once.
    """
    if "" in arguments:
        raise UsageError("the name of an input is empty")
    if arguments.count(STDIN) > 1:
        raise UsageError("standard input (-) can be given only once")
    suffixes = SOUND_SUFFIXES | RAW_SUFFIXES if raw else SOUND_SUFFIXES
    inputs: list[Input] = []
    errors: list[AudioError] = []
    for argument in arguments:
        try:
            inputs.extend(_expand_one(argument, suffixes))
        except AudioError as error:
            errors.append(error)
        except OSError as error:
            errors.append(AudioError(f"{argument}: {error.strerror}"))
    return _without_repeats(inputs), errors


def _expand_one(argument: str, suffixes: frozenset[str]) -> list[Input]:
    path = Path(argument)
    if argument == STDIN:
        return [Input(STDIN, PurePath("stdin"))]
    if path.is_dir():
        os.listdir(path)  # rglob passes over a folder that may not be read
        found = _sounds_below(path, suffixes)
        if not found:
            headerless = _sounds_below(path, RAW_SUFFIXES)
            hint = f"; for {headerless[0].name} give --raw RATE[:ENCODING]" if headerless else ""
            raise AudioError(f"{argument}: no sound file in this folder{hint}")
        return [Input(str(file), file.relative_to(path)) for file in found]
    if path.exists():
        return [Input(argument, PurePath(path.name))]
    raise AudioError(f"{argument}: no such file")


def _without_repeats(inputs: Iterable[Input]) -> list[Input]:
    kept: dict[str, Input] = {}
    for item in inputs:
        key = STDIN if item.source == STDIN else os.path.abspath(item.source)
        if key in kept:
            logger.warning("%s is given more than once and recognised once", item.name)
        else:
            kept[key] = item
    return list(kept.values())


def _sounds_below(folder: Path, suffixes: frozenset[str]) -> list[Path]:
    return sorted(
        file
        for file in folder.rglob("*")
        if file.suffix.lower() in suffixes and file.is_file() and not file.name.startswith(".")
    )


def prepare_folder(folder: Path, said: str) -> None:
    """Make the folder and try to write in it, so that hours of work are not lost for want of it.

    Raises DataError, with the folder named as in `said`, where that is not possible.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(prefix=".asr-", dir=folder):
            pass
    except OSError as error:
        reason = "Not a directory" if isinstance(error, FileExistsError) else error.strerror
        raise DataError(f"{said} cannot be written: {reason}") from error


def output_paths(inputs: Iterable[Input], folder: Path, extensions: Sequence[str]
                 ) -> list[dict[str, Path]]:
    """For each input the file that each format is written to.

    The sound's own suffix is dropped unless two sounds differ by nothing else. Raises UsageError
    when two transcripts would still have one name.
    """
    kept = list(inputs)
    counts = Counter(item.relative.with_suffix("") for item in kept)
    bases = [
        item.relative.with_suffix("") if counts[item.relative.with_suffix("")] == 1
        else item.relative
        for item in kept
    ]
    doubled = [base for base, count in Counter(bases).items() if count > 1]
    if doubled:
        raise UsageError(f"two of the sounds would both be written as {folder / doubled[0]}:"
                         " give the folder that holds them, or run them one after the other")
    return [
        {extension: folder / f"{base}.{extension}" for extension in extensions} for base in bases
    ]


def utterance_ids(inputs: Sequence[Input]) -> list[str]:
    """Ids without white space for Kaldi's `text` format: file stems, or paths where they clash."""
    stems = ["_".join(item.relative.stem.split()) for item in inputs]
    if len(set(stems)) == len(stems):
        return stems
    return ["_".join(item.name.split()) for item in inputs]
