"""Which pdfs score a phone of the Korean lexicon after another: the C and H of HCL.

Position-dependent phones need care: the acoustic model was trained with a lexicon of pieces, and
where pieces begin and end inside an eojeol is not known here. What is known is that a piece
boundary lies between syllables, never inside one; so each (left phone, phone) pair keeps the
position variants that this allows, and a frame scores as the best of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from asr.errors import ModelError
from asr.hangul.phones import CODA_PHONES, NUCLEUS_PHONES, ONSET_PHONES, PHONES
from asr.hmm.context import ContextTree
from asr.hmm.phones import PhoneTable, Position

SILENCE = "SIL"
_BEGINS = (Position.BEGIN, Position.INTERNAL)
_ENDS = (Position.INTERNAL, Position.END)

PdfPair = tuple[tuple[int, ...], tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class EmissionModel:
    """Pdf-ids by (left phone, phone): the forward ids and the self-loop ids.

    Several ids stand for the position-dependent variants of one phone.
    """

    table: Mapping[tuple[str, str], PdfPair]

    @classmethod
    def from_tree(cls, tree: ContextTree, phones: PhoneTable) -> EmissionModel:
        """From a left-biphone context tree over the 46 phones and silence."""
        table: dict[tuple[str, str], PdfPair] = {}
        for left in (SILENCE, *PHONES):
            for phone in (SILENCE, *PHONES):
                variants = tree.variants(phones, left, phone)
                allowed = {
                    key: pdfs for key, pdfs in variants.items() if _allowed(left, phone, *key)
                }
                chosen = (allowed or variants).values()
                if chosen:
                    forward, loop = zip(*chosen, strict=True)
                    table[left, phone] = (tuple(forward), tuple(loop))
        return cls(table)

    def pdfs(self, left: str, phone: str) -> PdfPair:
        """The pdf-ids of ``phone`` after ``left``; ModelError where the tree has none."""
        try:
            return self.table[left, phone]
        except KeyError:
            raise ModelError(
                f"the acoustic model has no state for phone {phone} after {left}; "
                "its phone set does not fit the Korean lexicon"
            ) from None


def _allowed(left: str, phone: str, before: Position, here: Position) -> bool:
    """Whether no piece boundary falls inside a syllable."""
    if phone in ONSET_PHONES:
        return here in _BEGINS
    inside = phone in CODA_PHONES or (phone in NUCLEUS_PHONES and left in ONSET_PHONES)
    return not inside or (before in _BEGINS and here in _ENDS)
