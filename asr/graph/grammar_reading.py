"""How the words of a grammar are said: Hangul as it stands, the rest by the text normaliser."""

from __future__ import annotations

import re

from asr.hangul.jamo import is_syllable
from asr.hangul.normalize import spoken_sentences, to_spoken

_HANGUL_AND_SPACES = re.compile(r"[가-힣 ]+")
_NOT_HANGUL = re.compile(r"[^가-힣]+")


def read_aloud(written: str) -> str | None:
    """The spoken form, Hangul syllables and single spaces; None where no rule reads it surely.

    >>> read_aloud("KBS 5G, 3시"), read_aloud("xyzzy")
    ('케이비에스 파이브지 세시', None)
    """
    if _HANGUL_AND_SPACES.fullmatch(written):
        return " ".join(written.split())
    spoken = _NOT_HANGUL.sub(" ", to_spoken(written)).strip()
    sure = " ".join(spoken_sentences(written))
    return spoken if spoken and spoken.split() == sure.split() else None


def read_pieces(written: str) -> list[tuple[str, str]] | None:
    """Pieces between spaces as (written, spoken): each alone where that reads as the whole does.

    Fewer and larger pieces otherwise ("3 시" is one). None where it cannot be read; no pieces
    where nothing in it is said (signs alone).
    """
    pieces = written.split()
    if not any(is_syllable(c) or c.isalnum() for c in written):
        return []
    whole = read_aloud(written)
    if whole is None:
        return None
    readings = [read_aloud(piece) if _is_spoken(piece) else "" for piece in pieces]
    if None not in readings and "".join(readings).replace(" ", "") == whole.replace(" ", ""):  # type: ignore[arg-type]
        return _joined(pieces, [reading or "" for reading in readings])
    return [(" ".join(pieces), whole)]


def _is_spoken(piece: str) -> bool:
    return any(is_syllable(c) or c.isalnum() for c in piece)


def _joined(pieces: list[str], readings: list[str]) -> list[tuple[str, str]]:
    """Silent pieces (a dash) belong to the one before, or to the first one."""
    result: list[tuple[str, str]] = []
    silent = ""
    for piece, reading in zip(pieces, readings, strict=True):
        if reading:
            result.append((silent + piece, reading))
            silent = ""
        elif result:
            result[-1] = (result[-1][0] + " " + piece, result[-1][1])
        else:
            silent += piece + " "
    return result
