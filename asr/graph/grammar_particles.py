"""Particles that change their form with the sound before them (한글 맞춤법, 표준국어대사전).

The first form follows a coda, the second a vowel. Where the first begins with 으, ㄹ counts as a
vowel (서울로). 과/와 and 아/야, 이랑/랑 go by the coda alone.
"""

from __future__ import annotations

import re

_PAIRS = (
    "은/는 이/가 을/를 과/와 아/야 으로/로 으로서/로서 으로써/로써 으로부터/로부터 "
    "으로도/로도 으로만/로만 으로는/로는 이랑/랑 이나/나 이나마/나마 이라도/라도 이라고/라고 "
    "이라는/라는 이란/란 이라/라 이며/며 이고/고 이든/든 이든지/든지 이든가/든가 이여/여 "
    "이야/야 이야말로/야말로 이요/요 이에요/예요 이었/였 이죠/죠 이지/지 이니/니 이면/면 이다/다"
)
PAIRS: tuple[tuple[str, str], ...] = tuple(
    (pair.split("/")[0], pair.split("/")[1]) for pair in _PAIRS.split()
)
"""(after a coda, after a vowel)."""

_BY_FORM: dict[str, tuple[str, str]] = {}
for _pair in PAIRS:
    for _form in _pair:
        _BY_FORM.setdefault(_form, _pair)

_HANGUL = "[가-힣]+"
_WRITTEN = re.compile(
    rf"\((?P<dropped>[으이])\)(?P<rest>{_HANGUL})"
    rf"|(?P<one>{_HANGUL})/(?P<two>{_HANGUL})|(?P<form>{_HANGUL})"
)
#: Written without braces, only these (서울을/를): others might be words of their own.
_BARE = (
    [f"{a}/{b}" for a, b in PAIRS]
    + [f"{b}/{a}" for a, b in PAIRS]
    + [rf"\({a[0]}\){b}" for a, b in PAIRS if a == a[0] + b]
)
BARE = re.compile(f"(?:{'|'.join(sorted(_BARE, key=lambda text: -len(text)))})(?![가-힣/])")


def read_particle(text: str) -> tuple[str, str] | None:
    """The two forms of 을, 를, 을/를, 를/을, (으)로 or any pair 가/나; None if it is no particle.

    >>> read_particle("를"), read_particle("(으)로"), read_particle("가/이")
    (('을', '를'), ('으로', '로'), ('이', '가'))
    """
    match = _WRITTEN.fullmatch(text.strip())
    if match is None:
        return None
    if match["form"]:
        return _BY_FORM.get(match["form"])
    if match["dropped"]:
        return match["dropped"] + match["rest"], match["rest"]
    pair = (match["one"], match["two"])
    return pair[::-1] if pair[::-1] in PAIRS else pair
