"""Catalogues: what may be searched for, one entry a line.

The file is a table, UTF-8, plain or compressed (.gz, .xz), without a header::

    # name <TAB> popularity <TAB> alias|alias <TAB> anything else; all but the name may be left out
    서울역	8512	서울스테이션	id=17
    N서울타워		남산타워|엔서울타워
    방탄소년단	9000	BTS

The popularity is a number, not negative, such as how often the entry is asked for. Aliases are
other ways to say or write the name. Further columns are kept as they are and come back with hits.
Lines that begin with ``#`` and empty lines are passed over.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from asr.errors import DataError, UsageError
from asr.graph.bias_words import MOST_SYLLABLES, readings_of
from asr.lm.text_files import read_lines

ALIAS_MARK = "|"
_CONTROL = frozenset(map(chr, (*range(32), 127)))


@dataclass(frozen=True, slots=True)
class Entry:
    """Something that may be searched for.

    Attributes:
        name: how it is written.
        popularity: how often it is asked for, on any scale; None where nobody knows.
        aliases: other names.
        payload: further columns of the catalogue, given back with hits.
    """

    name: str
    popularity: float | None = None
    aliases: tuple[str, ...] = ()
    payload: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for text in (self.name, *self.aliases):
            if not text.strip() or _CONTROL & set(text) or ALIAS_MARK in text:
                raise UsageError(
                    f"a name must have letters, and neither control characters nor"
                    f" {ALIAS_MARK!r}, unlike {text!r}"
                )
        if any(_CONTROL & set(text) for text in self.payload):
            raise UsageError(f"the payload of {self.name!r} holds control characters")
        if self.popularity is not None and not 0 <= self.popularity < math.inf:
            raise UsageError(
                f"the popularity of {self.name!r} must be a number and not negative,"
                f" not {self.popularity}"
            )

    def readings(self) -> tuple[str, ...]:
        """All ways to say the name and its aliases: Hangul syllables and single spaces.

        Empty where no rule reads any of them surely.
        """
        texts = (" ".join(text.split()) for text in (self.name, *self.aliases))
        found = dict.fromkeys(reading for text in texts for reading in _readings(text))
        return tuple(found)


def _readings(text: str) -> tuple[str, ...]:
    readings = readings_of(text)
    return tuple(r for r in readings if len(r) - r.count(" ") <= MOST_SYLLABLES)


class Catalog:
    """Entries in order. Immutable.

    Raises:
        UsageError: there are none.
    """

    def __init__(self, entries: Iterable[Entry]) -> None:
        self.entries = tuple(entries)
        if not self.entries:
            raise UsageError("a catalogue needs at least one entry")

    def __len__(self) -> int:
        return len(self.entries)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self.entries)

    def __getitem__(self, number: int) -> Entry:
        return self.entries[number]


def read_catalog(path: str | os.PathLike[str]) -> Catalog:
    """Read a catalogue; the module says its format.

    Raises:
        DataError: the file is missing, empty or not UTF-8, or a line makes no sense; the message
            names it.
    """
    entries = []
    for number, line in enumerate(read_lines(path), 1):
        if not line.strip() or line.startswith("#"):
            continue
        try:
            entries.append(_entry(line))
        except UsageError as error:
            raise DataError(f"{path}, line {number}: {error}") from None
    if not entries:
        raise DataError(f"{path} has no entries: give a file with one name a line")
    return Catalog(entries)


def _entry(line: str) -> Entry:
    name, *rest = (field.strip() for field in line.split("\t"))
    popularity, aliases, *payload = (*rest, "", "")[: max(2, len(rest))]
    if popularity:
        try:
            weight: float | None = float(popularity)
        except ValueError:
            raise UsageError(
                f"the second column is the popularity, a number; not {popularity!r}"
            ) from None
    else:
        weight = None
    named = tuple(alias.strip() for alias in aliases.split(ALIAS_MARK)) if aliases else ()
    return Entry(name, weight, named, tuple(payload))
