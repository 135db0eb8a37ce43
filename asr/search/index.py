"""An index of a catalogue: its names as phones, and which of them hold which phone n-grams.

N-grams are counted over classes of phones (:data:`asr.search.phonetic.CLASS_OF`), so the commonest
confusions spoil none. On disk an index is a folder of ``index.json`` and ``index.safetensors``,
which is mapped and not read; nothing is ever unpickled.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from asr.atomic import replaced_folder
from asr.errors import DataError, UsageError
from asr.hangul.phones import PHONES
from asr.search.catalog import ALIAS_MARK, Catalog, Entry
from asr.search.grams import GRAM, Postings, build_postings
from asr.search.phonetic import Phones, phones_of_many
from asr.tensor_file import read_tensors, write_tensors

log = logging.getLogger("asr.search")

FORMAT = "malsori-search-index"
VERSION = 1
_DESCRIPTION, _ARRAYS = "index.json", "index.safetensors"
_PAYLOAD_MARK = "\t"


class Forms(NamedTuple):
    """F ways to say E entries, sorted by entry.

    entry: int32 [F]; begin: int64 [F + 1]: form f is ``phones[begin[f]:begin[f + 1]]``;
    phones: uint8 [P].
    """

    entry: NDArray[np.int32]
    begin: NDArray[np.int64]
    phones: Phones


class Texts(NamedTuple):
    """N strings in one: text n is ``data[begin[n]:begin[n + 1]]``, UTF-8."""

    data: NDArray[np.uint8]
    begin: NDArray[np.int64]

    @classmethod
    def of(cls, texts: Iterable[str]) -> Texts:
        """Put strings together."""
        parts = [text.encode() for text in texts]
        begin = np.cumsum([0, *map(len, parts)], dtype=np.int64)
        return cls(np.frombuffer(b"".join(parts), np.uint8), begin)

    def get(self, number: int) -> str:
        """One of them."""
        return self.data[self.begin[number] : self.begin[number + 1]].tobytes().decode()


@dataclass(frozen=True, slots=True, eq=False)
class Index:
    """A catalogue, ready to be searched. Immutable: threads and processes may share it.

    Attributes:
        forms: how the entries are said.
        postings: which forms hold which n-grams.
        popularity: float32 [E]; NaN where nobody knows.
        names, aliases, payloads: of the entries, the latter two joined to one string each.
    """

    forms: Forms
    postings: Postings
    popularity: NDArray[np.float32]
    names: Texts
    aliases: Texts
    payloads: Texts

    @classmethod
    def build(
        cls,
        catalog: Catalog | Iterable[Entry | str],
        *,
        skip_unreadable: bool = False,
    ) -> Index:
        """Index a catalogue; a million names take some minutes.

        Args:
            catalog: the entries, or names.
            skip_unreadable: leave out entries that no rule reads aloud, with a warning.

        Raises:
            DataError: an entry that no rule reads aloud, or all are.
        """
        entries = [one if isinstance(one, Entry) else Entry(one) for one in catalog]
        readings = [entry.readings() for entry in entries]
        silent = [entry.name for entry, said in zip(entries, readings, strict=True) if not said]
        if silent and len(silent) == len(entries):
            raise DataError(
                f"none of {len(entries)} entries can be read aloud (first: {silent[0]!r}): give"
                " each an alias in Hangul"
            )
        if silent and not skip_unreadable:
            raise DataError(
                f"{len(silent)} of {len(entries)} entries cannot be read aloud (first:"
                f" {silent[0]!r}): give each an alias in Hangul, or leave them out"
            )
        if silent:
            log.warning("%d entries that cannot be read aloud are left out (first: %r)",
                        len(silent), silent[0])  # fmt: skip
            entries = [entry for entry, said in zip(entries, readings, strict=True) if said]
            readings = [said for said in readings if said]
        if not entries:
            raise DataError("there are no entries to index")
        texts = [text for said in readings for text in said]
        phones, begin = phones_of_many(texts)
        counts = list(map(len, readings))
        entry = np.repeat(np.arange(len(entries), dtype=np.int32), counts)
        known = [np.nan if one.popularity is None else one.popularity for one in entries]
        return cls(
            Forms(entry, begin, phones),
            build_postings(phones, begin),
            np.array(known, np.float32),
            Texts.of(one.name for one in entries),
            Texts.of(ALIAS_MARK.join(one.aliases) for one in entries),
            Texts.of(_PAYLOAD_MARK.join(one.payload) for one in entries),
        )

    def __len__(self) -> int:
        """How many entries there are."""
        return len(self.popularity)

    def entry(self, number: int) -> Entry:
        """An entry as it was in the catalogue, but for those left out of it."""
        popularity = float(self.popularity[number])
        return Entry(
            self.names.get(number),
            None if np.isnan(popularity) else popularity,
            tuple(filter(None, self.aliases.get(number).split(ALIAS_MARK))),
            _payload(self.payloads.get(number)),
        )

    def form(self, number: int) -> Phones:
        """The phones of a form."""
        found: Phones = self.forms.phones[self.forms.begin[number] : self.forms.begin[number + 1]]
        return found

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write the index to a folder, which appears whole or not at all.

        Raises:
            UsageError: there is something else.
        """
        folder = Path(folder)
        if folder.exists() and not is_index(folder):
            raise UsageError(f"{folder} holds something other than an index: choose another place")
        with replaced_folder(folder) as made:
            write_tensors(made / _ARRAYS, self._arrays())
            text = json.dumps(self._description(), indent=1)
            (made / _DESCRIPTION).write_text(text + "\n", encoding="utf-8")

    @classmethod
    def open(cls, folder: str | os.PathLike[str]) -> Index:
        """Map an index that was saved.

        Raises:
            DataError: there is none, or it is damaged or of another version.
        """
        folder = Path(folder)
        described = _read_description(folder)
        try:
            arrays = read_tensors(folder / _ARRAYS)
            index = cls._of(arrays)
            index._check(described)
        except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
            raise DataError(f"the index {folder} is damaged ({error}): build it again") from error
        return index

    def _arrays(self) -> dict[str, np.ndarray]:
        arrays = {"popularity": self.popularity}
        for room, part in self._parts().items():
            arrays |= {f"{room}.{name}": array for name, array in part._asdict().items()}
        return arrays

    def _parts(self) -> dict[str, Any]:
        return {
            "forms": self.forms, "postings": self.postings, "names": self.names,
            "aliases": self.aliases, "payloads": self.payloads,
        }  # fmt: skip

    @classmethod
    def _of(cls, arrays: dict[str, np.ndarray]) -> Index:
        def part(kind: Any, room: str) -> Any:
            return kind(*(arrays[f"{room}.{name}"] for name in kind._fields))

        return cls(
            part(Forms, "forms"), part(Postings, "postings"), arrays["popularity"],
            part(Texts, "names"), part(Texts, "aliases"), part(Texts, "payloads"),
        )  # fmt: skip

    def _description(self) -> dict[str, Any]:
        sizes = {name: list(array.shape) for name, array in self._arrays().items()}
        return {"format": FORMAT, "version": VERSION, "gram": GRAM, "arrays": sizes}

    def _check(self, described: dict[str, Any]) -> None:
        """Refuse arrays that do not fit together: the search trusts them."""
        if described.get("gram") != GRAM:
            raise ValueError(f"its n-grams are of {described.get('gram')!r}, not {GRAM} phones")
        if described.get("arrays") != self._description()["arrays"]:
            raise ValueError("its arrays are not those that index.json lists")
        forms, postings, entries = self.forms, self.postings, len(self)
        _check_offsets("forms", forms.begin, len(forms.entry), len(forms.phones))
        for name, texts in (("names", self.names), ("aliases", self.aliases),
                            ("payloads", self.payloads)):  # fmt: skip
            _check_offsets(name, texts.begin, entries, len(texts.data))
        _check_range("forms", forms.entry, entries)
        _check_range("phones", forms.phones, len(PHONES))
        postings.check(len(forms.entry))


def is_index(folder: Path) -> bool:
    """Whether a folder holds an index, of whatever version."""
    return (folder / _DESCRIPTION).is_file() and (folder / _ARRAYS).is_file()


def _payload(joined: str) -> tuple[str, ...]:
    return tuple(joined.split(_PAYLOAD_MARK)) if joined else ()


def _read_description(folder: Path) -> dict[str, Any]:
    try:
        described = json.loads((folder / _DESCRIPTION).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise DataError(f"{folder} holds no index: build one with --build-index") from error
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"the index {folder} is damaged ({error}): build it again") from error
    if not isinstance(described, dict) or described.get("format") != FORMAT:
        raise DataError(f"{folder} holds something other than an index of a catalogue")
    if described.get("version") != VERSION:
        raise DataError(
            f"the index {folder} is of version {described.get('version')!r}, this Malsori reads"
            f" {VERSION}: build it again"
        )
    return described


def _check_offsets(name: str, begin: np.ndarray, count: int, total: int) -> None:
    fits = len(begin) == count + 1 and begin[0] == 0 and begin[-1] == total
    if not fits or (np.diff(begin) < 0).any():
        raise ValueError(f"the offsets of its {name} do not fit")


def _check_range(name: str, values: np.ndarray, limit: int) -> None:
    if len(values) and not (values.min() >= 0 and values.max() < limit):
        raise ValueError(f"its {name} point outside")
