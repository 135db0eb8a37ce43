"""The change from spoken to written text, piece by piece, so that it can be taken back."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class WrittenToken:
    """Eojeol ``first:end`` of what was said, and how they are written.

    Attributes:
        spoken: the eojeol, joined by single spaces.
        written: their written form, which may hold a space (3시 30분).
        first: index of the first eojeol.
        end: index after the last.
    """

    spoken: str
    written: str
    first: int
    end: int

    @property
    def changed(self) -> bool:
        """Whether it is written otherwise than it is said."""
        return self.spoken != self.written
