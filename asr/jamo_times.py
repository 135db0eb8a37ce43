"""From the spans of an aligned path to the times of written syllables and jamo."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from asr.alignment import TIME_DIGITS, Jamo, Syllable
from asr.decoder.align import PhoneSpan, Role
from asr.hangul.jamo import NUCLEI, ONSETS, SILENT_ONSET, decompose
from asr.hangul.junction import SURFACE_CODAS
from asr.hangul.phones import CODA_PHONES, ONSET_PHONES
from asr.hangul.realisation import realised


@dataclass(frozen=True, slots=True)
class Clock:
    """From frames to seconds.

    Attributes:
        frame_seconds: the length of a frame.
        begin: seconds at which frame 0 begins.
        end: seconds that no time may pass.
    """

    frame_seconds: float
    begin: float = 0.0
    end: float = float("inf")

    def seconds(self, frame: int) -> float:
        """When a frame begins."""
        return round(min(self.begin + frame * self.frame_seconds, self.end), TIME_DIGITS)


def syllable_times(
    words: Sequence[str], spans: Sequence[PhoneSpan], clock: Clock
) -> tuple[Syllable, ...]:
    """The times of each syllable: from the first sound that is said in it to the last.

    Args:
        words: the eojeol as spoken, Hangul syllables only.
        spans: how they were said.
        clock: of the frames.
    """
    said = _by_syllable(spans)
    word_of = [number for number, word in enumerate(words) for _ in word]
    return tuple(
        Syllable(text, word_of[place], clock.seconds(parts[0].start), clock.seconds(parts[-1].end))
        for place, (text, parts) in enumerate(zip("".join(words), said, strict=True))
    )


def jamo_times(words: Sequence[str], spans: Sequence[PhoneSpan], clock: Clock) -> tuple[Jamo, ...]:
    """The written letters that each sound stands for, and its times: an entry for each span.

    Arguments are those of :func:`syllable_times`.
    """
    said = _by_syllable(spans)
    spelled = [decompose(syllable) for word in words for syllable in word]
    texts: list[dict[Role, str]] = [{} for _ in spelled]
    for place in range(len(spelled) + 1):  # the boundary before each syllable, and the end
        left, right = place - 1, place
        coda = spelled[left][2] if left >= 0 else 0
        onset = spelled[right][0] if right < len(spelled) else SILENT_ONSET
        letters = realised(
            coda,
            onset,
            _sound(said[left], Role.CODA) if left >= 0 else "",
            _sound(said[right], Role.ONSET) if right < len(spelled) else "",
        )
        if left >= 0:
            texts[left][Role.CODA] = letters.coda
        if right < len(spelled):
            texts[right][Role.ONSET] = letters.moved + letters.onset
            texts[right][Role.NUCLEUS] = NUCLEI[spelled[right][1]]
    return tuple(
        Jamo(
            text=texts[span.syllable][span.role],
            phone=span.phone,
            role=span.role.value,
            syllable=span.syllable,
            start=clock.seconds(span.start),
            end=clock.seconds(span.end),
        )
        for span in spans
    )


def _by_syllable(spans: Sequence[PhoneSpan]) -> list[list[PhoneSpan]]:
    grouped: list[list[PhoneSpan]] = [[] for _ in range(1 + max(s.syllable for s in spans))]
    for span in spans:
        grouped[span.syllable].append(span)
    return grouped


def _sound(spans: Sequence[PhoneSpan], role: Role) -> str:
    """The letter of the surface onset or coda in a syllable, "" for none."""
    phone = next((span.phone for span in spans if span.role == role), "")
    if not phone:
        return ""
    if role == Role.CODA:
        return SURFACE_CODAS[CODA_PHONES.index(phone)]
    return ONSETS[ONSET_PHONES.index(phone)]
