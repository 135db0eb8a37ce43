"""Write a Result as txt, json, srt, vtt, ctm, tsv or TextGrid: one class a format."""

from __future__ import annotations

import io
import json
import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, ClassVar

from asr.alignment import Interval
from asr.alignment_writers import write_text_grid
from asr.atomic import replaced_file
from asr.errors import UsageError
from asr.result import Result, Word
from asr.subtitles import Cue, CueOptions, cues, milliseconds


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
            start, end = milliseconds(segment.start), milliseconds(segment.end)
            file.write(f"{start}\t{end}\t{_one_line(segment.written_text)}\n")


@dataclass
class SubtitleWriter(Writer):
    """What SubRip and WebVTT share."""

    options: CueOptions = field(default_factory=CueOptions)

    def cues(self, result: Result) -> list[Cue]:
        """Cut a result into cues that do not overlap and last at least a millisecond."""
        return cues(result, self.options)


class SrtWriter(SubtitleWriter):
    """SubRip subtitles."""

    extension = "srt"

    def write(self, result: Result, file: IO[str]) -> None:
        for number, cue in enumerate(self.cues(result), start=1):
            file.write(f"{number}\n{_clock(cue.start, ',')} --> {_clock(cue.end, ',')}\n")
            file.write("\n".join(cue.lines) + "\n\n")


@dataclass
class VttWriter(SubtitleWriter):
    """WebVTT subtitles."""

    extension = "vtt"
    word_times: bool = False
    """Whether every word but a cue's first has a timestamp in front, as for karaoke."""

    def write(self, result: Result, file: IO[str]) -> None:
        file.write("WEBVTT\n\n")
        for cue in self.cues(result):
            text = "\n".join(self._line(cue, row) for row in cue.rows)
            file.write(f"{_clock(cue.start, '.')} --> {_clock(cue.end, '.')}\n{text}\n\n")

    def _line(self, cue: Cue, row: Iterable[Word]) -> str:
        words, last = [], cue.start
        for word in row:
            text = word.text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
            at = milliseconds(word.start)
            # timestamps within a cue rise and lie inside of it (WebVTT, 4.2.2)
            if self.word_times and last < at < cue.end:
                text, last = f"<{_clock(at, '.')}>{text}", at
            words.append(text)
        return " ".join(words)


class TextGridWriter(Writer):
    """Praat's TextGrid: tiers of segments and eojeol, and of syllables and jamo where known."""

    extension = "TextGrid"

    def write(self, result: Result, file: IO[str]) -> None:
        tiers: dict[str, Sequence[Interval]] = {
            "segment": [
                Interval(_one_line(s.written_text), s.start, s.end) for s in result.segments
            ],
            "eojeol": [
                Interval(word.text, word.start, word.end)
                for segment in result.segments
                for word in segment.written_words()
            ],
        }
        for name in ("syllables", "jamo"):
            parts = [part for segment in result.segments for part in getattr(segment, name)]
            if parts:
                tiers[name.removesuffix("s")] = [Interval(p.text, p.start, p.end) for p in parts]
        write_text_grid(tiers, result.duration, file)


WRITERS: dict[str, type[Writer]] = {
    writer.extension: writer
    for writer in (TextWriter, JsonWriter, SrtWriter, VttWriter, CtmWriter, TsvWriter)
}
WRITERS["textgrid"] = TextGridWriter  # of which the files end otherwise


def get_writer(
    name: str, options: CueOptions | None = None, *, word_times: bool = False
) -> Writer:
    """The writer of a format. Raises UsageError for an unknown one.

    Args:
        options: how subtitles are cut, for srt and vtt.
        word_times: a timestamp before each word, for vtt.
    """
    if name not in WRITERS:
        raise UsageError(f"unknown format {name!r}: use one of {', '.join(WRITERS)}")
    kind = WRITERS[name]
    if kind is VttWriter:
        return VttWriter(options or CueOptions(), word_times)
    return kind(options or CueOptions()) if issubclass(kind, SubtitleWriter) else kind()


def _words(result: Result) -> Iterator[Word]:
    for segment in result.segments:
        yield from segment.timed_words()


def _clock(milliseconds: int, mark: str) -> str:
    seconds, fraction = divmod(milliseconds, 1000)
    minutes, second = divmod(seconds, 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours:02d}:{minute:02d}:{second:02d}{mark}{fraction:03d}"


def _one_line(text: str) -> str:
    return " ".join(text.split())
