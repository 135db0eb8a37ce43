"""Write a Result as txt, json, srt, vtt, ctm or tsv: one class a format."""

from __future__ import annotations

import io
import json
import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, ClassVar

from asr.atomic import replaced_file
from asr.errors import UsageError
from asr.result import Result, Word


class Writer(ABC):
    """Turns results into text of one format."""

    extension: ClassVar[str]
    """Also the name of the format on the command line."""
    joinable: ClassVar[bool] = False
    """Whether the output of several sounds may follow each other in one stream."""

    @abstractmethod
    def write(self, result: Result, file: IO[str]) -> None:
        """Write one result to an open text file."""

    def dumps(self, result: Result) -> str:
        """The text that `write` would write."""
        file = io.StringIO()
        self.write(result, file)
        return file.getvalue()

    def save(self, result: Result, path: str | os.PathLike[str]) -> None:
        """Write to `path` through a temporary file, so that it appears whole or not at all."""
        with replaced_file(path) as file:
            self.write(result, file)


class TextWriter(Writer):
    """The transcript alone, a segment a line; as it is written, where that was asked for."""

    extension = "txt"

    def write(self, result: Result, file: IO[str]) -> None:
        for segment in result.segments:
            file.write(_one_line(segment.written_text) + "\n")


class JsonWriter(Writer):
    """`Result.to_dict()` on one line, so that several results make a JSON Lines file."""

    extension = "json"
    joinable = True

    def write(self, result: Result, file: IO[str]) -> None:
        json.dump(result.to_dict(), file, ensure_ascii=False)
        file.write("\n")


class CtmWriter(Writer):
    """NIST CTM as Kaldi writes it: `file channel start duration word [confidence]`.

    Its lines are words as they were said, whether or not they are written otherwise.
    """

    extension = "ctm"
    joinable = True

    def write(self, result: Result, file: IO[str]) -> None:
        name = "_".join(Path(result.source).stem.split()) or "audio"
        for word in _words(result):
            line = f"{name} 1 {word.start:.2f} {max(0.0, word.end - word.start):.2f} {word.text}"
            if word.confidence is not None:
                line += f" {word.confidence:.2f}"
            file.write(line + "\n")


class TsvWriter(Writer):
    """A segment a line: start and end in whole milliseconds, text (whisper's columns)."""

    extension = "tsv"

    def write(self, result: Result, file: IO[str]) -> None:
        file.write("start\tend\ttext\n")
        for segment in result.segments:
            start, end = _milliseconds(segment.start), _milliseconds(segment.end)
            file.write(f"{start}\t{end}\t{_one_line(segment.written_text)}\n")


@dataclass(frozen=True)
class CueOptions:
    """How speech is cut into subtitles; lines break only between eojeol."""

    line_length: int = 20
    """Characters on a line (a Hangul syllable is one), which a single longer eojeol may pass."""
    lines: int = 2
    seconds: float = 7.0
    """A cue starts no word later than this after its beginning."""
    gap: float = 1.5
    """A silence of more seconds than this between two words starts a new cue."""
    shortest: float = 1.0
    """Seconds that a cue is shown at least, where silence follows it for so long."""


@dataclass(frozen=True)
class Cue:
    """One subtitle: times in whole milliseconds."""

    start: int
    end: int
    lines: tuple[str, ...]


@dataclass
class SubtitleWriter(Writer):
    """What SubRip and WebVTT share."""

    options: CueOptions = field(default_factory=CueOptions)

    def cues(self, result: Result) -> list[Cue]:
        """Cut a result into cues that do not overlap and last at least a millisecond."""
        groups = [
            group
            for segment in result.segments
            for group in _balanced(_grouped(segment.written_words(), self.options), self.options)
        ]
        cues: list[Cue] = []
        for group in groups:
            start = max(_milliseconds(group[0].start), cues[-1].end if cues else 0)
            end = max(_milliseconds(group[-1].end), start + 1)
            lines = _wrapped([word.text for word in group], self.options.line_length)
            cues.append(Cue(start, end, tuple(lines)))
        limits = [cue.start for cue in cues[1:]] + [_milliseconds(result.duration)]
        shortest = _milliseconds(self.options.shortest)
        return [
            replace(cue, end=max(cue.end, min(cue.start + shortest, limit)))
            for cue, limit in zip(cues, limits, strict=False)
        ]


class SrtWriter(SubtitleWriter):
    """SubRip subtitles."""

    extension = "srt"

    def write(self, result: Result, file: IO[str]) -> None:
        for number, cue in enumerate(self.cues(result), start=1):
            file.write(f"{number}\n{_clock(cue.start, ',')} --> {_clock(cue.end, ',')}\n")
            file.write("\n".join(cue.lines) + "\n\n")


class VttWriter(SubtitleWriter):
    """WebVTT subtitles."""

    extension = "vtt"

    def write(self, result: Result, file: IO[str]) -> None:
        file.write("WEBVTT\n\n")
        for cue in self.cues(result):
            text = "\n".join(cue.lines)
            text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
            file.write(f"{_clock(cue.start, '.')} --> {_clock(cue.end, '.')}\n{text}\n\n")


WRITERS: dict[str, type[Writer]] = {
    writer.extension: writer
    for writer in (TextWriter, JsonWriter, SrtWriter, VttWriter, CtmWriter, TsvWriter)
}


def get_writer(name: str) -> Writer:
    """The writer of a format with its default options. Raises UsageError for an unknown one."""
    if name not in WRITERS:
        raise UsageError(f"unknown format {name!r}: use one of {', '.join(WRITERS)}")
    return WRITERS[name]()


def _words(result: Result) -> Iterator[Word]:
    for segment in result.segments:
        yield from segment.timed_words()


def _grouped(words: Iterable[Word], options: CueOptions) -> Iterator[list[Word]]:
    """Cut a segment's words where a cue would hold too much or too long a silence."""
    group: list[Word] = []
    for word in words:
        if group and (
            word.start - group[-1].end > options.gap or not _fits([*group, word], options)
        ):
            yield group
            group = []
        group.append(word)
    if group:
        yield group


def _balanced(groups: Iterable[list[Word]], options: CueOptions) -> list[list[Word]]:
    """Give a word left alone in its cue some of the cue before, unless a silence parts them.

    Of the cuts that leave two words or more on each side, the one with the most even sides.
    """
    balanced: list[list[Word]] = []
    for group in groups:
        if balanced and len(group) == 1 and group[0].start - balanced[-1][-1].end <= options.gap:
            words = [*balanced[-1], *group]
            cuts = [cut for cut in range(2, len(words) - 1) if _fits(words[cut:], options)]
            if cuts:
                cut = min(cuts, key=lambda cut: abs(_width(words[:cut]) - _width(words[cut:])))
                balanced[-1], group = words[:cut], words[cut:]
        balanced.append(group)
    return balanced


def _fits(words: list[Word], options: CueOptions) -> bool:
    return (
        words[-1].start - words[0].start <= options.seconds
        and len(_wrapped([word.text for word in words], options.line_length)) <= options.lines
    )


def _width(words: Iterable[Word]) -> int:
    return sum(len(word.text) + 1 for word in words)


def _wrapped(words: Iterable[str], length: int) -> list[str]:
    """Fill lines greedily. (textwrap would count a wide character as it likes and break inside.)"""
    lines: list[str] = []
    for word in words:
        if lines and len(lines[-1]) + 1 + len(word) <= length:
            lines[-1] += " " + word
        else:
            lines.append(word)
    return lines


def _clock(milliseconds: int, mark: str) -> str:
    seconds, fraction = divmod(milliseconds, 1000)
    minutes, second = divmod(seconds, 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours:02d}:{minute:02d}:{second:02d}{mark}{fraction:03d}"


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)


def _one_line(text: str) -> str:
    return " ".join(text.split())
