"""Speech cut into subtitles: where Korean may be broken, and how long a text must be shown.

Cuts and line breaks fall between eojeol only. Of all ways to cut, the one is taken whose cuts hurt
the least: behind a sentence or a clause, in a pause, not between words that belong together (a
determiner or a number and its noun, 안/못 and its verb, a noun and what can only follow one). Lines
of 16 to 20 syllables and 12 syllables a second are what Korean subtitling guides ask for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from asr.errors import UsageError
from asr.result import Result, Word


@dataclass(frozen=True)
class CueOptions:
    """How speech is cut into subtitles."""

    line_length: int = 20
    """Characters on a line (a Hangul syllable is one), which a single longer eojeol may pass."""
    lines: int = 2
    seconds: float = 7.0
    """A cue starts no word later than this after its beginning."""
    gap: float = 1.5
    """A silence of more seconds than this between two words starts a new cue."""
    shortest: float = 1.0
    """Seconds that a cue is shown at least, where silence follows it for so long."""
    reading_speed: float = 12.0
    """Characters (without spaces) a second at most, where what follows leaves the time."""

    def __post_init__(self) -> None:
        if self.line_length < 1 or self.lines < 1:
            raise UsageError("a subtitle has a line at least, and a line a character at least")
        if not (self.seconds > 0 and self.reading_speed > 0):
            raise UsageError("a subtitle's seconds and reading speed must be above 0")
        if not (self.gap >= 0 and self.shortest >= 0):
            raise UsageError("a subtitle's gap and shortest time cannot be negative")


@dataclass(frozen=True)
class Cue:
    """One subtitle: times in whole milliseconds, and its lines of words."""

    start: int
    end: int
    rows: tuple[tuple[Word, ...], ...]

    @property
    def lines(self) -> tuple[str, ...]:
        """Its lines as text."""
        return tuple(_text(row) for row in self.rows)


def cues(result: Result, options: CueOptions) -> list[Cue]:
    """Cut a result into cues that do not overlap and last at least a millisecond."""
    found: list[Cue] = []
    for segment in result.segments:
        for group in _cut(segment.written_words(), options):
            start = max(milliseconds(group[0].start), found[-1].end if found else 0)
            end = max(milliseconds(group[-1].end), start + 1)
            found.append(Cue(start, end, tuple(_rows(group, options))))
    limits = [cue.start for cue in found[1:]] + [milliseconds(result.duration)]
    return [
        replace(cue, end=max(cue.end, min(cue.start + _needed(cue, options), limit)))
        for cue, limit in zip(found, limits, strict=False)
    ]


def milliseconds(seconds: float) -> int:
    """Whole milliseconds."""
    return round(seconds * 1000)


def _needed(cue: Cue, options: CueOptions) -> int:
    """Milliseconds that a cue should be shown."""
    characters = sum(_characters(row) for row in cue.rows)
    return milliseconds(max(options.shortest, characters / options.reading_speed))


def _cut(words: Iterable[Word], options: CueOptions) -> Iterator[list[Word]]:
    """A segment's words, cue by cue."""
    run: list[Word] = []
    for word in words:
        if run and word.start - run[-1].end > options.gap:
            yield from _cut_run(run, options)
            run = []
        run.append(word)
    yield from _cut_run(run, options)


def _cut_run(words: Sequence[Word], options: CueOptions) -> list[list[Word]]:
    """The cheapest way to cut words that no long silence parts (dynamic programming)."""
    best = [0.0] + [float("inf")] * len(words)
    come_from = [0] * (len(words) + 1)
    for end in range(1, len(words) + 1):
        for begin in range(end - 1, -1, -1):
            group = words[begin:end]
            if not _fits(group, options):
                break
            cost = best[begin] + _cost(words, begin, end, options)
            if cost < best[end]:
                best[end], come_from[end] = cost, begin
    groups, end = [], len(words)
    while end:
        groups.append(list(words[come_from[end] : end]))
        end = come_from[end]
    return groups[::-1]


def _fits(words: Sequence[Word], options: CueOptions) -> bool:
    if len(words) == 1:
        return True
    late = words[-1].start - words[0].start > options.seconds
    return not late and _least_lines(words, options.line_length) <= options.lines


def _cost(words: Sequence[Word], begin: int, end: int, options: CueOptions) -> float:
    """What a cue costs, and the cut behind it."""
    group = words[begin:end]
    alone = len(group) == 1 and len(words) > 1
    shown_until = words[end].start if end < len(words) else group[-1].end + options.gap
    seconds = max(shown_until - group[0].start, 0.05)
    hurry = max(0.0, _characters(group) / seconds / options.reading_speed - 1.0)
    cost = 1.0 + alone + min(hurry, 2.0)
    if end < len(words):
        pause = max(0.0, words[end].start - words[end - 1].end)
        cost += 2 * tie(words[end - 1].text, words[end].text) - 0.5 * min(pause, 3.0)
    return cost


def _rows(words: Sequence[Word], options: CueOptions) -> list[tuple[Word, ...]]:
    """A cue's lines: as few as hold it, cut where it hurts least and about equally long."""
    count = min(_least_lines(words, options.line_length), len(words))
    if count == 1:
        return [tuple(words)]
    even = len(_text(words)) / count
    best: dict[tuple[int, int], tuple[float, int]] = {(0, 0): (0.0, 0)}
    for row in range(1, count + 1):
        for end in range(row, len(words) + 1):
            for begin in range(row - 1, end):
                width = len(_text(words[begin:end]))
                too_wide = width > options.line_length and end - begin > 1
                if too_wide or (row - 1, begin) not in best:
                    continue
                cost = best[row - 1, begin][0] + abs(width - even) / even
                if end < len(words):
                    cost += tie(words[end - 1].text, words[end].text)
                if cost < best.get((row, end), (float("inf"), 0))[0]:
                    best[row, end] = cost, begin
    rows, end = [], len(words)
    for row in range(count, 0, -1):
        begin = best[row, end][1]
        rows.append(tuple(words[begin:end]))
        end = begin
    return rows[::-1]


def _least_lines(words: Sequence[Word], length: int) -> int:
    """How many lines hold the words: filled greedily, which needs the fewest."""
    lines, width = 0, length
    for word in words:
        if lines and width + 1 + len(word.text) <= length:
            width += 1 + len(word.text)
        else:
            lines, width = lines + 1, len(word.text)
    return lines


def _text(words: Iterable[Word]) -> str:
    return " ".join(word.text for word in words)


def _characters(words: Iterable[Word]) -> int:
    return sum(len(word.text.replace(" ", "")) for word in words)


_SENTENCE = ("다", "요", "까", "죠", "네", "군", "라", "자", ".", "?", "!", "…")
_CLAUSE = ("고", "며", "면", "서", "니까", "는데", "은데", "지만", "려고", "거나", "면서", ",")
_PARTICLE = ("은", "는", "이", "가", "을", "를", "에", "에서", "로", "도", "만", "와", "과", "부터",
             "까지", "보다", "께", "한테", "처럼")  # fmt: skip
_LEANS_ON_NEXT = frozenset(
    ("이", "그", "저", "한", "두", "세", "네", "첫", "새", "헌", "옛", "각", "매", "몇", "여러",
     "모든", "어떤", "무슨", "어느", "다른", "아무", "안", "못", "더", "덜", "좀", "잘", "꼭", "참",
     "너무", "정말", "아주", "매우", "가장", "제일")
)  # fmt: skip
_LEANS_ON_LAST = (
    "것", "거", "게", "건", "수", "때", "줄", "적", "뿐", "만큼", "대로", "동안", "중", "등", "번",
    "개", "명", "분", "살", "년", "월", "일", "시", "원", "있", "없", "않", "싶", "같", "주", "버",
    "놓", "보", "하", "되", "말", "척", "듯",
)  # fmt: skip
_SHORT = 3
"""Syllables up to which an eojeol that begins like one of these leans on the last one."""


@lru_cache(maxsize=4096)
def tie(left: str, right: str) -> float:
    """How closely two neighbouring eojeol belong together, by their spelling: 0 to 1.5.

    A rough measure on purpose: what it gets wrong is a break that is a little less good.
    """
    if left in _LEANS_ON_NEXT or left[-1:].isdigit() or left.endswith("의"):
        return 1.5
    if left.endswith((".", "?", "!", "…")):
        return 0.0
    if len(right) <= _SHORT and right.startswith(_LEANS_ON_LAST):
        return 1.2
    if left.endswith(_CLAUSE):
        return 0.2
    if len(left) > 1 and left.endswith(_SENTENCE):
        return 0.1
    if len(left) > 1 and left.endswith(_PARTICLE):
        return 0.5
    return 0.8
