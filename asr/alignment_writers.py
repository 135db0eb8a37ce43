"""Write an Alignment as a Praat TextGrid, as CTM or as JSON."""

from __future__ import annotations

import io
import json
import math
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, ClassVar

from asr.alignment import LEVELS, Alignment, Interval
from asr.atomic import replaced_file
from asr.errors import UsageError


class AlignmentWriter(ABC):
    """Turns alignments into text of one format."""

    extension: ClassVar[str]
    joinable: ClassVar[bool] = False
    """Whether the output of several sounds may follow each other in one stream."""

    @abstractmethod
    def write(self, alignment: Alignment, file: IO[str]) -> None:
        """Write one alignment to an open text file."""

    def dumps(self, alignment: Alignment) -> str:
        """The text that `write` would write."""
        file = io.StringIO()
        self.write(alignment, file)
        return file.getvalue()

    def save(self, alignment: Alignment, path: str | os.PathLike[str]) -> None:
        """Write to `path` through a temporary file, so that it appears whole or not at all."""
        with replaced_file(path) as file:
            self.write(alignment, file)


class TextGridWriter(AlignmentWriter):
    """Praat's long text format: an interval tier for each level, silence as empty intervals.

    Source: the Praat manual, "TextGrid file formats".
    """

    extension = "TextGrid"

    def write(self, alignment: Alignment, file: IO[str]) -> None:
        tiers = {level: alignment.intervals(level) for level in LEVELS}
        write_text_grid(tiers, alignment.duration, file)


def write_text_grid(
    tiers: Mapping[str, Sequence[Interval]], end: float, file: IO[str]
) -> None:
    """Write tiers of intervals, which do not overlap, of a sound of ``end`` seconds."""
    file.write('File type = "ooTextFile"\nObject class = "TextGrid"\n\n')
    file.write(f"xmin = 0 \nxmax = {end:.6g} \ntiers? <exists> \nsize = {len(tiers)} \n")
    file.write("item []: \n")
    for number, (name, intervals) in enumerate(tiers.items(), start=1):
        filled = list(_filled(intervals, end))
        file.write(f'    item [{number}]:\n        class = "IntervalTier" \n')
        file.write(f'        name = "{name}" \n        xmin = 0 \n        xmax = {end:.6g} \n')
        file.write(f"        intervals: size = {len(filled)} \n")
        for place, interval in enumerate(filled, start=1):
            text = interval.text.replace('"', '""')
            file.write(f"        intervals [{place}]:\n")
            file.write(f"            xmin = {interval.start:.6g} \n")
            file.write(f"            xmax = {interval.end:.6g} \n")
            file.write(f'            text = "{text}" \n')


@dataclass
class CtmWriter(AlignmentWriter):
    """NIST CTM: `file channel start duration text [confidence]`, of one level.

    The confidence, given for eojeol, is exp(score), at most 1.
    """

    level: str = "eojeol"
    extension = "ctm"
    joinable = True

    def write(self, alignment: Alignment, file: IO[str]) -> None:
        name = "_".join(Path(alignment.source).stem.split()) or "audio"
        for part in alignment.intervals(self.level):
            text = "_".join(part.text.split())
            line = f"{name} 1 {part.start:.3f} {part.end - part.start:.3f} {text}"
            if part.score is not None:
                line += f" {min(1.0, math.exp(part.score)):.2f}"
            file.write(line + "\n")


class JsonWriter(AlignmentWriter):
    """`Alignment.to_dict()` on one line, so that several make a JSON Lines file."""

    extension = "json"
    joinable = True

    def write(self, alignment: Alignment, file: IO[str]) -> None:
        json.dump(alignment.to_dict(), file, ensure_ascii=False)
        file.write("\n")


ALIGNMENT_WRITERS: dict[str, type[AlignmentWriter]] = {
    "textgrid": TextGridWriter,
    "ctm": CtmWriter,
    "json": JsonWriter,
}


def get_alignment_writer(name: str, level: str = "eojeol") -> AlignmentWriter:
    """The writer of a format; `level` is for CTM. Raises UsageError for an unknown format."""
    if name not in ALIGNMENT_WRITERS:
        raise UsageError(f"unknown format {name!r}: use one of {', '.join(ALIGNMENT_WRITERS)}")
    if level not in LEVELS:
        raise UsageError(f"no such level: {level}; use {', '.join(LEVELS)}")
    return CtmWriter(level) if name == "ctm" else ALIGNMENT_WRITERS[name]()


def _filled(intervals: Sequence[Interval], end: float) -> Iterator[Interval]:
    """The intervals with empty ones wherever nothing is said, from 0 to `end`."""
    done = 0.0
    for interval in intervals:
        if interval.start > done:
            yield Interval("", done, interval.start)
        yield interval
        done = interval.end
    if end > done or not intervals:
        yield Interval("", done, end)
