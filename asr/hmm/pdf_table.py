"""Which pdf scores each HMM state of each phone between its neighbours, as one array.

A monophone model and a tree of triphones alike come down to such a table: 48 × 48 × 48 × 5 numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from asr.errors import ModelError
from asr.hmm.topology import NUM_PHONES, SURFACE_PHONES, Topology, new_transitions
from asr.hmm.transition import TransitionModel

NO_PDF = -1


@dataclass(frozen=True, slots=True, eq=False)
class PdfTable:
    """(left phone-id, phone-id, right phone-id, HMM state) → pdfs.

    Attributes:
        topology: of the phones.
        pdf: int32 [P + 1, P + 1, P + 1, S, 2], the pdf of a state's first frame and of its further
            ones; −1 where there is no such phone (0 is none) or state.
        left, right: whether the phone before, and the phone after, matter.
    """

    topology: Topology
    pdf: NDArray[np.int32]
    left: bool
    right: bool

    @property
    def num_pdfs(self) -> int:
        """One more than the highest pdf."""
        return 1 + int(self.pdf.max())

    def tuples(self) -> NDArray[np.int32]:
        """All (phone-id, state, forward pdf, self-loop pdf), unique and sorted: int32 [K, 4]."""
        rows = []
        for phone in SURFACE_PHONES.symbols:
            for state in range(self.topology.states(phone)):
                pdfs = np.unique(self.pdf[1:, phone, 1:, state].reshape(-1, 2), axis=0)
                head = np.broadcast_to(np.array([phone, state], np.int32), pdfs.shape)
                rows.append(np.concatenate([head, pdfs], axis=1))
        return np.unique(np.concatenate(rows), axis=0)

    def new_transitions(self) -> TransitionModel:
        """An untrained transition model over the table's tuples."""
        return new_transitions(self.topology, self.tuples(), self.num_pdfs)

    def tuple_table(self, model: TransitionModel) -> NDArray[np.int32]:
        """The tuple of each context and state: int32 [P + 1, P + 1, P + 1, S]; −1 for none."""
        number = {
            key: i
            for i, key in enumerate(
                zip(
                    model.tuple_phone.tolist(), model.tuple_state.tolist(),
                    model.tuple_forward_pdf.tolist(), model.tuple_self_loop_pdf.tolist(),
                    strict=True,
                )
            )
        }  # fmt: skip
        table = np.full(self.pdf.shape[:-1], NO_PDF, np.int32)
        for phone in SURFACE_PHONES.symbols:
            for state in range(self.topology.states(phone)):
                pdfs = self.pdf[1:, phone, 1:, state].reshape(-1, 2)
                kinds, inverse = np.unique(pdfs, axis=0, return_inverse=True)
                ids = [number[phone, state, *kind] for kind in kinds.tolist()]
                found = np.array(ids, np.int32)[inverse.ravel()]
                table[1:, phone, 1:, state] = found.reshape(NUM_PHONES, NUM_PHONES)
        return table

    def to_tensors(self) -> dict[str, NDArray[np.generic]]:
        """The arrays by name, for a bundle."""
        shape = (self.topology.speech_states, self.topology.silence_states,
                 int(self.topology.own_entry), int(self.left), int(self.right))  # fmt: skip
        return {"pdf": self.pdf, "kind": np.array(shape, np.int32)}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, NDArray[np.generic]]) -> PdfTable:
        """Inverse of :meth:`to_tensors`; ModelError if the arrays do not fit together."""
        try:
            pdf, kind = np.asarray(tensors["pdf"]), np.asarray(tensors["kind"]).tolist()
            topology = Topology(int(kind[0]), int(kind[1]), bool(kind[2]))
            left, right = bool(kind[3]), bool(kind[4])
        except (KeyError, IndexError, TypeError) as error:
            raise ModelError(f"the model's table of pdfs is damaged ({error!r})") from None
        size = NUM_PHONES + 1
        if pdf.shape != (size, size, size, topology.most, 2) or pdf.dtype != np.int32:
            raise ModelError("the model's table of pdfs does not fit its phones; train it again")
        table = cls(topology, pdf, left, right)
        for phone in SURFACE_PHONES.symbols:
            if int(pdf[1:, phone, 1:, : topology.states(phone)].min()) < 0:
                raise ModelError("the model's table of pdfs has gaps; train it again")
        return table


def monophones(topology: Topology) -> PdfTable:
    """Pdfs of their own for each state of each phone, whatever stands beside it."""
    size = NUM_PHONES + 1
    pdf = np.full((size, size, size, topology.most, 2), NO_PDF, np.int32)
    following = 0
    for phone in SURFACE_PHONES.symbols:
        for state in range(topology.states(phone)):
            pdf[1:, phone, 1:, state] = following
            following += 1
            if topology.own_entry:
                pdf[1:, phone, 1:, state, 1] = following
                following += 1
    return PdfTable(topology, pdf, left=False, right=False)
