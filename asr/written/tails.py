"""What may follow a number and its counter within an eojeol: suffixes, particles, the copula.

That the rest of the eojeol is one of these is what tells 이십 명은 from 이십 명작.
"""

from __future__ import annotations

import re
from functools import cache

_SUFFIXES = (
    "째|짜리|간|씩|쯤|경|께|가량|정도|이상|이하|미만|초과|이내|이전|이후|남짓|대|당|말|초|반|치|분"
    "|생|제|급|전|후|뒤|내|안|동안|만|여|형|들|마다|더|대비|꼴|째로|어치|때|사이|중순|중|상당|산|행"
    "|발|이서|권|거리|된|난|달|날|작|형|식|용|선|씨|월호|급|(?:넘|지나|걸리|걸려|걸렸|가까|되|됐)[가-힣]*"
)
_PARTICLES = (
    "이|가|은|는|을|를|의|에|에서|에게|에는|에도|에만|에서는|에서도|와|과|도|만|만큼|만에|만이|로"
    "|으로|부터|까지|까지는|까지의|까지만|마다|보다|보단|처럼|같이|조차|마저|밖에|뿐|이나|나|이라도"
    "|라도|이든|든|랑|이랑|하고|한테|요|이요|대로|며|엔|에선|로는|으로는|로도|으로도|로의|으로의"
    "|부터는|부터의|과의|와의|한|하는|말고|씩만|에다|에다가|이라서|으로서|로서|으로써|로써|으로서의|로서의"
)
_COPULA = (
    "(?:입니|이에|이예|예요|이었|였|이고|이며|인데|이라|라고|라는|라면|이야|이지|이죠|이란|인지"
    "|일까|이니|이면|인가|이냐|이어|이므로|이자|이다|이거|지만|랍|이래|래요|이구|이겠|이기|이여|이네|네요|이군|이거든|거든|이더|더라|더니)[가-힣]*"
    "|인|일|임|여서|여도|다|야|죠|면|니까|라서|이라|라|네|군|니|냐|였|랑|든지"
)


@cache
def _pattern(suffixes: bool) -> re.Pattern[str]:
    before = f"(?:{_SUFFIXES})?" if suffixes else ""
    return re.compile(rf"{before}(?:{_PARTICLES}){{0,2}}(?:{_COPULA})?(?![가-힣])")


def tail_end(text: str, place: int, suffixes: bool = True) -> int | None:
    """The end of the tail at ``place``, which is the end of its eojeol; None where it is none."""
    match = _pattern(suffixes).match(text, place)
    return match.end() if match else None
