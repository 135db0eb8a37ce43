"""From a written text to what an aligner needs: its eojeol as they are read, and their units."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from asr.decoder.align_graph import Step
from asr.errors import DataError, UsageError
from asr.hangul.normalize import to_spoken
from asr.lm.units import EOJEOL_MARK, SPECIALS

log = logging.getLogger(__name__)

_NOT_HANGUL = re.compile(r"[^가-힣]+")
_AROUND = " \t.,?!…·:;~-–—\"'`“”‘’()[]{}<>《》〈〉「」『』"


@dataclass(frozen=True, slots=True)
class SpacingConfig:
    """What it costs (nats) to speak a boundary between eojeol in another way than written.

    Attributes:
        joined_cost: across a space, as inside an eojeol.
        split_cost: inside an eojeol, as across a space, where a pause may be made.
    """

    joined_cost: float = 2.0
    split_cost: float = 3.0

    def __post_init__(self) -> None:
        if not (0.0 <= self.joined_cost < 1e6 and 0.0 <= self.split_cost < 1e6):
            raise UsageError("joined_cost and split_cost must be numbers and not negative")


@dataclass(frozen=True, slots=True)
class WrittenWord:
    """An eojeol of the text without the punctuation around it, and the eojeol that it is read as.

    Several eojeol of the text are one where they are read as one (2 ~ 3 명 as 두세 명).
    """

    text: str
    spoken: tuple[str, ...]


def written_words(text: str, tell: bool = True) -> list[WrittenWord]:
    """The eojeol of a text with their readings; what is not read (emoji, laughter) is left out.

    Args:
        text: as people write.
        tell: warn of what is left out.

    >>> [(word.text, word.spoken) for word in written_words("7년 전, 2 ~ 3 명이")]
    [('7년', ('칠년',)), ('전', ('전',)), ('2 ~ 3', ('두세',)), ('명이', ('명이',))]

    Raises:
        DataError: nothing in the text can be read.
    """
    tokens = text.split()
    alone = [(_spoken(token), number) for number, token in enumerate(tokens)]
    flat = [(word, number) for words, number in alone for word in words]
    whole = _spoken(text)
    # numbers are read by what follows them, so that the text is read as a whole; where that gives
    # the same as eojeol by eojeol, it is known which eojeol was read as what
    matcher = SequenceMatcher(None, [word for word, _ in flat], whole, autojunk=False)
    groups: list[tuple[set[int], list[str]]] = []
    for tag, a, b, c, d in matcher.get_opcodes():
        if tag == "equal":
            groups += [({flat[a + k][1]}, [whole[c + k]]) for k in range(b - a)]
        else:
            groups.append(({number for _, number in flat[a:b]}, whole[c:d]))
    words = list(_joined(groups, tokens))
    if not words:
        raise DataError("the text holds nothing that can be read aloud; give Korean text")
    if tell:
        _tell_of_unread(tokens, groups)
    return words


def _spoken(text: str) -> list[str]:
    return _NOT_HANGUL.sub(" ", to_spoken(text)).split()


def _joined(
    groups: Sequence[tuple[set[int], list[str]]], tokens: Sequence[str]
) -> Iterator[WrittenWord]:
    """Groups that share an eojeol of the text, or have none, become one."""
    merged: list[tuple[set[int], list[str]]] = []
    for numbers, spoken in groups:
        if merged and (not numbers or numbers & merged[-1][0] or not merged[-1][0]):
            merged[-1][0].update(numbers)
            merged[-1][1].extend(spoken)
        else:
            merged.append((set(numbers), list(spoken)))
    for numbers, spoken in merged:
        if spoken:
            text = " ".join(tokens[min(numbers) : max(numbers) + 1] if numbers else tokens)
            yield WrittenWord(text.strip(_AROUND) or "".join(spoken), tuple(spoken))


def _tell_of_unread(tokens: Sequence[str], groups: Sequence[tuple[set[int], list[str]]]) -> None:
    read = {number for numbers, spoken in groups if spoken for number in numbers}
    unread = [
        token
        for number, token in enumerate(tokens)
        if number not in read and any(character.isalnum() for character in token)
    ]
    if unread:
        log.warning("not read aloud, so without times: %s", " ".join(unread))


def text_steps(
    words: Sequence[str], units: Mapping[str, int], config: SpacingConfig | None = None
) -> list[Step]:
    """All ways to spell eojeol in LM units, as a lattice whose places are syllables.

    Args:
        words: eojeol of Hangul syllables.
        units: LM unit → id.
        config: costs of other spacings.

    Raises:
        DataError: syllables that no unit holds.
    """
    config = config or SpacingConfig()
    text = "".join(words)
    opens = {0}
    for word in words:
        opens.add(max(opens) + len(word))
    longest = max(
        (len(unit.removeprefix(EOJEOL_MARK)) for unit in units if unit not in SPECIALS), default=1
    )
    steps = []
    for place in range(len(text)):
        for end in range(place + 1, min(place + longest, len(text)) + 1):
            if any(between in opens for between in range(place + 1, end)):
                break
            marked, bare = units.get(EOJEOL_MARK + text[place:end]), units.get(text[place:end])
            opening = place in opens
            if marked is not None:
                steps.append(Step(place, end, marked, 0.0 if opening else config.split_cost))
            if bare is not None and place > 0:  # a sound begins as an eojeol does
                steps.append(Step(place, end, bare, config.joined_cost if opening else 0.0))
    _check_coverage(text, steps)
    return steps


def _check_coverage(text: str, steps: Sequence[Step]) -> None:
    covered = {place for step in steps for place in range(step.source, step.target)}
    missing = [text[place] for place in range(len(text)) if place not in covered]
    if missing:
        named = ", ".join(dict.fromkeys(missing))
        raise DataError(
            f"the model's language model has no unit for {named}: respell the text with syllables "
            "that it knows"
        )
