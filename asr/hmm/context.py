"""The context tree of a left-biphone model: which pdfs a phone uses after which left phone.

A chain model has one HMM state a phone, whose first frame is scored by the *forward* pdf and every
further frame by the *self-loop* pdf.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from asr.errors import ModelError
from asr.hmm.phones import PhoneTable, Position

NO_PHONE = 0  # the left context at the start of an utterance
_UNKNOWN = -1
_SAME_ROOT_WEIGHT = 50.0  # of agreement within a phone's own tree; 20 to 100 do alike

#: Which positions may follow each other inside a word and across a word boundary.
_INSIDE = {
    (Position.BEGIN, Position.INTERNAL),
    (Position.BEGIN, Position.END),
    (Position.INTERNAL, Position.INTERNAL),
    (Position.INTERNAL, Position.END),
}
_STARTS = {Position.NONE, Position.BEGIN, Position.SINGLETON}
_ENDS = {Position.NONE, Position.END, Position.SINGLETON}


@dataclass(frozen=True, slots=True, eq=False)
class ContextTree:
    """(left phone-id, phone-id) → (forward pdf, self-loop pdf).

    Attributes:
        pdf: int32 [P, P, 2] indexed by left phone-id and phone-id (0 = no phone on the left);
            −1 where the phone does not exist.
        is_known: bool [P, P], the pair comes from the model itself; elsewhere ``pdf`` holds the
            entry of the most similar left phone.
    """

    pdf: NDArray[np.int32]
    is_known: NDArray[np.bool_]

    @property
    def num_pdfs(self) -> int:
        """One more than the highest pdf."""
        return 1 + int(self.pdf.max())

    @classmethod
    def from_pairs(
        cls,
        left: NDArray[np.integer],
        phone: NDArray[np.integer],
        forward: NDArray[np.integer],
        self_loop: NDArray[np.integer],
        num_phones: int,
    ) -> ContextTree:
        """Build from known pairs (four arrays [N]) and fill the rest by the nearest left phone.

        Two left phones are near if they lead to the same pdfs where both are known: the tree put
        the same answers to its questions about them. The tree of the phone itself (its positions
        share one root, hence pdfs) says most; left out in turn, 82% of the known pdfs of the
        Korean Vosk model come back.
        """
        pdf = np.full((num_phones + 1, num_phones + 1, 2), _UNKNOWN, np.int32)
        pdf[left, phone, 0] = forward
        pdf[left, phone, 1] = self_loop
        is_known = pdf[:, :, 0] != _UNKNOWN
        _fill_from_nearest_left(pdf, is_known)
        return cls(pdf, is_known)

    def has(self, left: int, phone: int) -> bool:
        """Whether the tree has an entry for a phone-id after a left phone-id."""
        size = len(self.pdf)
        return 0 <= left < size and 0 < phone < size and self.pdf[left, phone, 0] != _UNKNOWN

    def pdfs(self, left: int, phone: int) -> tuple[int, int]:
        """(forward pdf, self-loop pdf) of a phone-id after a left phone-id.

        Raises:
            ModelError: the tree has no such phone.
        """
        if self.has(left, phone):
            return int(self.pdf[left, phone, 0]), int(self.pdf[left, phone, 1])
        raise ModelError(f"the context tree has no phone {phone} after phone {left}")

    def variants(
        self, phones: PhoneTable, left: str, phone: str
    ) -> dict[tuple[Position, Position], tuple[int, int]]:
        """(forward, self-loop) pdfs of a phone after another, by their positions in a word.

        ``left`` may be "" for the start of an utterance. Only positions that can follow each other
        are listed; pairs that the model's own graph holds win over filled ones.
        """
        lefts = phones.variants(left) if left else {Position.NONE: NO_PHONE}
        pairs = {
            (before, here): (left_id, phone_id)
            for before, left_id in lefts.items()
            for here, phone_id in phones.variants(phone).items()
            if can_follow(before, here) and self.pdf[left_id, phone_id, 0] != _UNKNOWN
        }
        known = {key: ids for key, ids in pairs.items() if self.is_known[ids]}
        return {key: self.pdfs(*ids) for key, ids in (known or pairs).items()}

    def to_tensors(self) -> dict[str, NDArray[np.generic]]:
        """The arrays by name, for a bundle."""
        return {"pdf": self.pdf, "is_known": self.is_known}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, NDArray[np.generic]]) -> ContextTree:
        """Inverse of :meth:`to_tensors`; ModelError if the arrays do not fit together."""
        try:
            pdf, is_known = np.asarray(tensors["pdf"]), np.asarray(tensors["is_known"])
        except KeyError as missing:
            raise ModelError(f"the context tree lacks {missing}; import the model again") from None
        if pdf.ndim != 3 or pdf.shape != (len(pdf), len(pdf), 2) or is_known.shape != pdf.shape[:2]:
            raise ModelError("the context tree's arrays do not fit together; import it again")
        return cls(pdf, is_known)


def can_follow(before: Position, here: Position) -> bool:
    """Whether a phone in position ``here`` may directly follow one in position ``before``."""
    return (before, here) in _INSIDE or (before in _ENDS and here in _STARTS)


def _fill_from_nearest_left(pdf: NDArray[np.int32], is_known: NDArray[np.bool_]) -> None:
    """Copy into every unknown (left, phone) the entry of the most similar left phone, in place."""
    everywhere = _agreements(pdf, is_known, np.arange(len(pdf)))
    known_pdf = pdf.copy()
    for group in _phones_sharing_pdfs(pdf, is_known):
        agreed, shared = _agreements(known_pdf, is_known, group)
        agreed = everywhere[0] + _SAME_ROOT_WEIGHT * agreed
        nearness = agreed / (everywhere[1] + _SAME_ROOT_WEIGHT * shared + 1.0)
        for phone in group:
            known = np.flatnonzero(is_known[:, phone])
            unknown = np.flatnonzero(~is_known[:, phone])
            nearest = known[np.argmax(nearness[np.ix_(unknown, known)], axis=1)]
            pdf[unknown, phone] = known_pdf[nearest, phone]


def _agreements(
    pdf: NDArray[np.int32], is_known: NDArray[np.bool_], phones: NDArray[np.intp]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """[P, P] for two left phones: pdfs they share among ``phones``, and how many both know."""
    rows, known = pdf[:, phones], is_known[:, phones]
    shared = known.astype(np.float64) @ known.T.astype(np.float64)
    agreed = np.zeros_like(shared)
    for left in range(len(pdf)):
        both = known[left] & known
        agreed[left] = ((rows[left] == rows).mean(axis=2) * both).sum(axis=1)
    return agreed, shared


def _phones_sharing_pdfs(
    pdf: NDArray[np.int32], is_known: NDArray[np.bool_]
) -> list[NDArray[np.intp]]:
    """Groups of known phones that share pdfs: one tree root (positions of a phone) each."""
    groups: list[tuple[set[int], list[int]]] = []
    for phone in np.flatnonzero(is_known.any(axis=0)).tolist():
        pdfs, members = set(pdf[is_known[:, phone], phone].ravel().tolist()), [phone]
        apart = []
        for other_pdfs, others in groups:
            if pdfs.isdisjoint(other_pdfs):
                apart.append((other_pdfs, others))
            else:
                pdfs, members = pdfs | other_pdfs, others + members
        groups = [*apart, (pdfs, members)]
    return [np.array(members) for _, members in groups]
