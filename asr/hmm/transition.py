"""The transition model: which pdf each HMM state and transition of each phone uses.

Kaldi numbers things in three ways (Kaldi hmm/transition-model.h). A *tuple* is one HMM state of one
phone with its pdfs; a *transition-id* (from 1) is one arc out of that state; a *pdf-id* (from 0)
is a column of the acoustic model's output.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from asr.errors import ModelError


@dataclass(frozen=True, slots=True, eq=False)
class TransitionModel:
    """Flat arrays of a transition model. ``K`` tuples, ``T`` transitions.

    Attributes:
        tuple_phone: int32 [K], phone-id.
        tuple_state: int32 [K], HMM state within the phone, from 0.
        tuple_forward_pdf: int32 [K], pdf scored on entering the state (chain models) or on any
            of its frames (classical models, where both pdfs are the same).
        tuple_self_loop_pdf: int32 [K], pdf scored on staying in the state.
        transition_tuple: int32 [T + 1], tuple of each transition-id; entry 0 is unused (−1).
        transition_target: int32 [T + 1], HMM state each transition leads to.
        transition_log_prob: float32 [T + 1].
        transition_self_loop: bool [T + 1], the transition stays in its state.
        num_pdfs: columns of the acoustic model's output.
    """

    tuple_phone: NDArray[np.int32]
    tuple_state: NDArray[np.int32]
    tuple_forward_pdf: NDArray[np.int32]
    tuple_self_loop_pdf: NDArray[np.int32]
    transition_tuple: NDArray[np.int32]
    transition_target: NDArray[np.int32]
    transition_log_prob: NDArray[np.float32]
    transition_self_loop: NDArray[np.bool_]
    num_pdfs: int

    @property
    def num_tuples(self) -> int:
        """How many (phone, state, pdfs) tuples there are."""
        return len(self.tuple_phone)

    @property
    def num_transitions(self) -> int:
        """The highest transition-id; ids run from 1."""
        return len(self.transition_tuple) - 1

    @property
    def phones(self) -> NDArray[np.int32]:
        """The phone-ids that occur, ascending."""
        return np.unique(self.tuple_phone)

    @property
    def transition_pdf(self) -> NDArray[np.int32]:
        """int32 [T + 1], pdf-id of each transition-id; −1 at entry 0."""
        pdf = np.where(
            self.transition_self_loop,
            self.tuple_self_loop_pdf[self.transition_tuple],
            self.tuple_forward_pdf[self.transition_tuple],
        )
        pdf[0] = -1
        return pdf.astype(np.int32)

    @property
    def transition_phone(self) -> NDArray[np.int32]:
        """int32 [T + 1], phone-id of each transition-id; −1 at entry 0."""
        phone = self.tuple_phone[self.transition_tuple]
        phone[0] = -1
        return phone

    def to_tensors(self) -> dict[str, NDArray[np.generic]]:
        """The arrays by name, for a bundle; ``num_pdfs`` is an int64 [1]."""
        arrays = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "num_pdfs"}
        return {**arrays, "num_pdfs": np.array([self.num_pdfs], np.int64)}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, NDArray[np.generic]]) -> TransitionModel:
        """Inverse of :meth:`to_tensors`.

        Raises:
            ModelError: an array is missing or an index points outside the model.
        """
        missing = [f.name for f in fields(cls) if f.name not in tensors]
        if missing:
            raise ModelError(f"the transition model lacks {', '.join(missing)}; import it again")
        arrays = {f.name: np.asarray(tensors[f.name]) for f in fields(cls) if f.name != "num_pdfs"}
        model = cls(**arrays, num_pdfs=int(np.asarray(tensors["num_pdfs"]).ravel()[0]))
        model.validate()
        return model

    def validate(self) -> None:
        """Refuse indices that point outside the model (ModelError)."""
        pdfs = np.concatenate([self.tuple_forward_pdf, self.tuple_self_loop_pdf])
        per_tuple = {len(self.tuple_phone), len(self.tuple_state), len(pdfs) // 2}
        per_transition = {
            len(self.transition_tuple),
            len(self.transition_target),
            len(self.transition_log_prob),
            len(self.transition_self_loop),
        }
        owner = self.transition_tuple[1:]
        sound = (
            self.num_tuples > 0
            and len(per_tuple) == len(per_transition) == 1
            and int(pdfs.min()) >= 0
            and int(pdfs.max()) < self.num_pdfs
            and int(self.tuple_phone.min()) > 0
            and len(owner) > 0
            and int(owner.min()) >= 0
            and int(owner.max()) < self.num_tuples
        )
        if not sound:
            raise ModelError("the transition model's arrays do not fit together; import it again")
