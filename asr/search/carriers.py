"""What people say around the thing they search for: particles, endings and carrier phrases."""

from __future__ import annotations

import importlib.resources
import re
from functools import cache, lru_cache

from asr.graph.grammar_particles import PAIRS
from asr.hangul.jamo import SILENT_ONSET, decompose

_ALWAYS = (
    "에 의 도 만 에서 에게 께 께서 한테 까지 부터 에다 에다가 에도 에는 에서는 에서도 에서부터 에까지 "
    "처럼 같이 같은 보다 하고 마다 조차 마저 밖에 뿐 대로 만큼 커녕 요 들 들이 들은 들을 들의 님 님이 님의 "
    "씨 씨가 씨의 쪽 쪽으로 행 입니다 입니까 인데 인데요 인가 인가요 일까 예요 에요 이에요 였 "
    "했 하는 하면 한 할 인 일 였던 이던"
).split()
_FORMS = sorted({form for pair in PAIRS for form in pair} | set(_ALWAYS), key=lambda f: (-len(f), f))
_PARTICLES = re.compile(f"(?:{'|'.join(_FORMS)}){{1,3}}")
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
    text = importlib.resources.files("asr.search").joinpath("data", "carriers.txt")
    lines = text.read_text(encoding="utf-8").splitlines()
    patterns = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    return re.compile(f"(?:{'|'.join(patterns)})(?:{_PARTICLES.pattern})?")
