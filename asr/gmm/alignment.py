"""State alignments of many utterances: which HMM state spoke each frame; on disk as one file.

    from asr.gmm.alignment import read_alignments
    alignments = read_alignments("exp/mono/alignments.safetensors")
    alignments["utt1"].pdf  # int32 [T], targets of a network
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from asr.errors import DataError
from asr.hmm.topology import SURFACE_PHONES
from asr.tensor_file import read_tensors, write_tensors

VERSION = 1
_COLUMNS = {"pdf": np.int32, "tuple_id": np.int32, "phone": np.uint8, "state": np.uint8,
            "entered": np.bool_}  # fmt: skip


class PhoneSegment(NamedTuple):
    """A phone-id from its first frame to the frame after its last."""

    phone: int
    begin: int
    end: int

    @property
    def name(self) -> str:
        """Of the phone; SIL in pauses."""
        return SURFACE_PHONES.symbols[self.phone][0]


@dataclass(frozen=True, slots=True, eq=False)
class Alignment:
    """The best path of T frames.

    Attributes:
        pdf: int32 [T], the pdf that scores each frame.
        tuple_id: int32 [T], the tuple of the model's TransitionModel.
        phone: uint8 [T], phone-id of ``asr.hmm.topology.SURFACE_PHONES``: 1 is silence.
        state: uint8 [T], HMM state within the phone.
        entered: bool [T], the frame is the first in its state.
        score: mean log-likelihood of a frame (nats).
    """

    pdf: NDArray[np.int32]
    tuple_id: NDArray[np.int32]
    phone: NDArray[np.uint8]
    state: NDArray[np.uint8]
    entered: NDArray[np.bool_]
    score: float

    def __len__(self) -> int:
        return len(self.pdf)

    def segments(self) -> list[PhoneSegment]:
        """The phones in order, silence among them."""
        begins = np.flatnonzero(self.entered & (self.state == 0)).tolist()
        if not begins or begins[0] != 0:
            begins = [0, *begins]
        ends = [*begins[1:], len(self)]
        return [PhoneSegment(int(self.phone[b]), b, e) for b, e in zip(begins, ends, strict=True)]


def write_alignments(path: str | os.PathLike[str], alignments: Mapping[str, Alignment]) -> None:
    """Write alignments by utterance id; the file appears whole or not at all."""
    tables: dict[str, NDArray[np.generic]] = {
        name: np.concatenate(
            [getattr(a, name) for a in alignments.values()] or [np.zeros(0, kind)], dtype=kind
        )
        for name, kind in _COLUMNS.items()
    }
    tables["length"] = np.array([len(a) for a in alignments.values()], np.int64)
    tables["score"] = np.array([a.score for a in alignments.values()], np.float64)
    tables["ids"] = np.frombuffer(json.dumps(list(alignments)).encode(), np.uint8)
    tables["version"] = np.array([VERSION], np.int32)
    write_tensors(path, tables, checksum=True)


def read_alignments(path: str | os.PathLike[str]) -> dict[str, Alignment]:
    """Alignments by utterance id, in the order in which they were written.

    Raises:
        DataError: the file is missing, damaged or of a newer version.
    """
    path = Path(path)
    try:
        tables = read_tensors(path)
        version = int(tables["version"][0])
        if version > VERSION:
            raise DataError(f"{path} is of version {version}, newer than this program: upgrade it")
        ids = json.loads(bytes(tables["ids"]))
        ends = np.cumsum(tables["length"])
        columns: dict[str, Any] = {
            name: tables[name].astype(kind) for name, kind in _COLUMNS.items()
        }
        scores = tables["score"].tolist()
        frames = int(ends[-1]) if len(ends) else 0
        fits = len(ids) == len(ends) == len(scores) and all(
            column.shape == (frames,) for column in columns.values()
        )
    except FileNotFoundError:
        raise DataError(f"{path} does not exist: make alignments with `asr gmm align`") from None
    except (OSError, ValueError, KeyError, IndexError, TypeError) as error:
        raise DataError(f"{path} holds no alignments ({error}): make them anew") from error
    if not fits:
        raise DataError(f"{path} is damaged, its arrays do not fit together: make it anew")
    found = {}
    begin = 0
    for name, end, score in zip(ids, ends.tolist(), scores, strict=True):
        here = {key: column[begin:end] for key, column in columns.items()}
        found[name] = Alignment(**here, score=score)
        begin = end
    return found
