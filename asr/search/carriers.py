"""What people say around the thing they search for: particles, endings and carrier phrases."""

from __future__ import annotations

import importlib.resources
import re
from functools import cache, lru_cache

from asr.graph.grammar_particles import PAIRS
from asr.hangul.jamo import SILENT_ONSET, decompose


def _lines(name: str) -> list[str]:
    """The lines of a file in data/, without comments and empty ones."""
    text = importlib.resources.files("asr.search").joinpath("data", name)
    lines = text.read_text(encoding="utf-8").splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


_FORMS = {form for pair in PAIRS for form in pair} | set(" ".join(_lines("particles.txt")).split())
_PARTICLES = re.compile(f"(?:{'|'.join(sorted(_FORMS, key=len, reverse=True))}){{1,3}}")
_LONG = re.compile("까지|부터|하고|보다|처럼|같이|같은|한테|마다|만큼|께서|밖에|조차|대로")


@lru_cache(1 << 16)
def is_particle(rest: str) -> bool:
    """Whether the rest of an eojeol is particles and endings that may follow a noun.

    >>> is_particle("에서는"), is_particle("으로요"), is_particle("근처")
    (True, True, False)
    """
    return _PARTICLES.fullmatch(rest) is not None


@lru_cache(1 << 16)
def linking_particle(eojeol: str) -> str:
    """The particles at the end of an eojeol that would change how the noun before them sounds.

    Those that begin with a vowel, or have two syllables: the shorter ones (라, 도) end many names.

    >>> linking_particle("대전에서는"), linking_particle("신라"), linking_particle("한국까지")
    ('에서는', '', '까지')
    """
    for place in range(1, len(eojeol)):
        rest = eojeol[place:]
        if (decompose(rest[0])[0] == SILENT_ONSET or _LONG.match(rest)) and is_particle(rest):
            return rest
    return ""


@lru_cache(1 << 16)
def is_carrier(eojeol: str) -> bool:
    """Whether a word tells what is wanted with an entry, rather than which.

    >>> is_carrier("찾아줘"), is_carrier("근처에"), is_carrier("서울역")
    (True, True, False)
    """
    return _carriers().fullmatch(eojeol) is not None


@cache
def _carriers() -> re.Pattern[str]:
    """The patterns of data/carriers.txt as one; each may be followed by particles."""
    return re.compile(f"(?:{'|'.join(_lines('carriers.txt'))})(?:{_PARTICLES.pattern})?")
