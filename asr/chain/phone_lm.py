"""A phone n-gram, estimated from how training texts are said: what the denominator knows.

As in Kaldi's chain recipes (chain/language-model.h): probabilities are relative frequencies,
histories of two phones are all kept, and of the longer ones the most frequent; a history that is
not kept goes on in its longest suffix that is.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from asr.errors import DataError, UsageError

EDGE = ""
"""What stands before the first and after the last phone."""
SHORT = 2
"""Phones of a history that is always kept."""

History = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PhoneLmConfig:
    """Options of the phone n-gram.

    Attributes:
        order: phones of an n-gram.
        extra_histories: of more than two phones; the most frequent are kept.
        least_count: what an n-gram must have been seen to keep a history of more than two phones.

    An n-gram that knows the training texts too well leaves nothing to learn from the sound: on two
    hours of speech, Kaldi's four phones with 2,000 histories gained nothing on a dev set, where
    three phones, and texts of other kinds beside the training texts, took away a fifth of errors.
    """

    order: int = 3
    extra_histories: int = 0
    least_count: int = 20

    def __post_init__(self) -> None:
        if self.order < SHORT + 1:
            raise UsageError(f"the phone n-gram needs an order of at least {SHORT + 1}")
        if self.extra_histories < 0 or self.least_count < 1:
            raise UsageError("extra_histories may not be below 0, nor least_count below 1")


@dataclass(frozen=True, slots=True)
class PhoneLm:
    """Probabilities of the next phone by history; ``EDGE`` as a next phone ends the utterance.

    A history is the last phones before, oldest first, and begins with ``EDGE`` where fewer phones
    have been said.
    """

    start: History
    nexts: dict[History, dict[str, float]]

    def after(self, history: History, phone: str) -> History | None:
        """The history after another phone; None where it has not been seen."""
        longer = (*history, phone)
        for begin in range(len(longer) - SHORT + 1):
            if longer[begin:] in self.nexts:
                return longer[begin:]
        return None


def estimate_phone_lm(
    sentences: Iterable[Sequence[str]], config: PhoneLmConfig | None = None
) -> PhoneLm:
    """Relative frequencies from phone sequences, pauses among the phones.

    Raises:
        DataError: there are no sentences.
    """
    config = config or PhoneLmConfig()
    counts: dict[History, Counter[str]] = defaultdict(Counter)
    for sentence in sentences:
        phones = (EDGE,) * SHORT + tuple(sentence) + (EDGE,)
        for place in range(SHORT, len(phones)):
            for length in range(SHORT, config.order):
                if length <= place:
                    counts[phones[place - length : place]][phones[place]] += 1
    if not counts:
        raise DataError("there is no text to estimate the phone n-gram from")
    long = [
        history
        for history, nexts in counts.items()
        if len(history) > SHORT and nexts.total() >= config.least_count
    ]
    long.sort(key=lambda history: (-counts[history].total(), history))
    kept = _closed(long[: config.extra_histories])
    nexts = {
        history: {phone: count / of.total() for phone, count in of.items()}
        for history, of in counts.items()
        if len(history) == SHORT or history in kept
    }
    return PhoneLm((EDGE,) * SHORT, nexts)


def _closed(histories: Sequence[History]) -> set[History]:
    """Those whose suffixes are kept, too: a history is reached through its suffixes."""
    chosen = set(histories)
    return {
        history
        for history in chosen
        if all(history[begin:] in chosen for begin in range(1, len(history) - SHORT))
    }
