"""Speech recognised while it is spoken: partial texts, and segments that end where speakers pause.

A search follows the sound a fraction of a second behind it. Where it stands says whether the
speaker has finished (Kaldi's rules, online2/online-endpoint.h); a finished segment is recognised
once more as a whole, as a file's is, or the search's own result is taken.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from asr.acoustic.live_network import LiveNetwork
from asr.acoustic.live_scorer import LiveScorer, Speaker, WindowConfig, live_scorer
from asr.decoder.search import Search, Standing
from asr.errors import UsageError
from asr.result import Detail, Segment, Word
from asr.segment_recognizer import SegmentRecognizer
from asr.segmenting import SoundSegment, quietest
from asr.voice import VoiceConfig, Voices, without_noises

LEAD = 0.3
"""Seconds of a pause that the next segment begins with, at most."""
BEFORE_SPEECH = 2.0
"""Seconds that are kept while nobody has spoken yet; the search begins with them."""


@dataclass(frozen=True, slots=True)
class EndpointRule:
    """One way for a segment to end: all of this must hold.

    Attributes:
        said: something was said.
        silence: seconds of silence at its end, at least.
        final_cost: nats by which the best text that may end here is worse than the best, at most.
        length: seconds of the segment, at least.
    """

    said: bool
    silence: float
    final_cost: float
    length: float

    def holds(self, silence: float, length: float, standing: Standing) -> bool:
        """Whether the segment has ended by this rule."""
        return (
            (standing.said or not self.said)
            and silence >= self.silence
            and standing.final_cost <= self.final_cost
            and length >= self.length
        )


KALDI_RULES = (
    EndpointRule(False, 5.0, math.inf, 0.0),
    EndpointRule(True, 0.5, 2.0, 0.0),
    EndpointRule(True, 1.0, 8.0, 0.0),
    EndpointRule(True, 2.0, math.inf, 0.0),
    EndpointRule(False, 0.0, math.inf, 20.0),
)
"""Kaldi's five rules with its thresholds."""


@dataclass(frozen=True, slots=True)
class LiveConfig:
    """How live speech is followed.

    Attributes:
        step: seconds of sound that are searched at once.
        again: recognise a finished segment once more as a whole: as accurate as a file, for some
            more work at its end.
        beam: of the search that follows the sound, where segments are recognised again.
        agreement: partial texts show what so many steps in a row agree on: more of it flickers
            less and comes later.
        rules: when a segment ends.
        window: of networks that hear a whole window at once.
        voices: which frames the detector of voices takes for speech, and of how much it takes a
            segment to have a text, whatever the search makes of it.
        pad: seconds beside speech that are recognised again as they are; noises farther off are
            silenced.
    """

    step: float = 0.48
    again: bool = True
    beam: float = 9.0
    agreement: int = 2
    rules: tuple[EndpointRule, ...] = KALDI_RULES
    window: WindowConfig = field(default_factory=WindowConfig)
    voices: VoiceConfig = field(default_factory=VoiceConfig)
    pad: float = 0.3

    def __post_init__(self) -> None:
        if not 0.01 <= self.step <= 10:
            raise UsageError(f"a live step is from 0.01 to 10 seconds, not {self.step}")
        if not 0 <= self.pad < math.inf:
            raise UsageError(f"what is recognised beside speech lasts 0 s or more, not {self.pad}")
        if not isinstance(self.agreement, int) or self.agreement < 1:
            raise UsageError(f"partial texts agree over 1 step or more, not {self.agreement}")


class LiveRecognizer:
    """One recording in progress. Not to be shared between threads.

    Args:
        recognizer: how segments are recognised; its follower, if it has one, follows the sound.
        detail: what is told of them.
        config: how the sound is followed.

    Raises:
        UsageError: a follower, and segments that are not recognised again.
    """

    def __init__(
        self, recognizer: SegmentRecognizer, detail: Detail, config: LiveConfig | None = None
    ) -> None:
        self.config = config or LiveConfig()
        if recognizer.follower is not None and not self.config.again:
            raise UsageError(
                "what a light model follows is recognised again by the other one: leave out"
                " again=False (--once), or take the light model alone"
            )
        self._recognizer, self._detail = recognizer, detail
        self._follower = recognizer.follower or recognizer
        self._rate = recognizer.scorer.sample_rate
        self._step = max(1, round(self.config.step * self._rate))
        scorer, search = self._follower.scorer, self._follower.config
        self._speaker = Speaker(scorer)
        self._network = self._follower.network or LiveNetwork(scorer)
        if self.config.again:  # its lattice is not needed
            beam = min(search.beam, self.config.beam)
            search = replace(search, beam=beam, lattice_beam=0.0)
        self._search_config = search
        self._voices = Voices.of(self.config.voices, self._rate)
        self._waiting = np.zeros(0, np.float32)  # not searched yet
        self._begin_at(0)

    def accept(self, block: NDArray[np.float32]) -> Iterator[Segment]:
        """Take float32 [n] samples; yield the segments that have ended."""
        self._waiting = np.concatenate([self._waiting, block])
        while len(self._waiting) >= self._step:
            piece, self._waiting = np.split(self._waiting, [self._step])
            self._listen(piece)  # not to the block: what comes later is none of this segment
            self._take(piece)
            yield from self._ended()

    def finish(self) -> Iterator[Segment]:
        """Yield the segment in progress, if anything was said."""
        if len(self._waiting):
            self._listen(self._waiting)
            self._take(self._waiting)
            self._waiting = self._waiting[:0]
        self._advance(self._scorer.finish())
        # a syllable that the sound breaks off in has not ended, and was said all the same
        said = self._voiced() and bool(self._search.best_path().units)
        yield from self._close(len(self._held), said=said)

    def partial(self) -> Segment:
        """What the last steps agree on of the segment in progress; '' where that is nothing."""
        now = (self._begin + len(self._held)) / self._rate
        newest = self._guesses[-1] if len(self._guesses) == self.config.agreement else None
        if newest is None or not self._said():
            return Segment("", now, now)
        texts = [guess.text if guess else "" for guess in self._guesses]
        words = _cut(newest.words, shared_length(texts))
        return Segment.from_words(words) if words else Segment("", now, now)

    def _listen(self, block: NDArray[np.float32]) -> None:
        """Note where somebody speaks."""
        if self._voices is not None:
            for _ in self._voices.accept(block):
                pass

    def _said(self) -> bool:
        """Whether the segment has words, and somebody to say them."""
        return self._voiced() and self._standing.said

    def _voiced(self) -> bool:
        """Whether somebody speaks in the segment, where there is a detector to tell."""
        return self._voices is None or self._voices.enough

    def _spoken(self, length: int) -> NDArray[np.float32]:
        """So much of the segment, without the noises between what is said."""
        sound = self._held[:length]
        if self._voices is None:
            return sound
        pad = round(self.config.pad * self._rate)
        return without_noises(sound, self._voices.near(self._begin, length, pad))

    def _begin_at(self, sample: int) -> None:
        self._begin = sample
        self._forget()
        self._following = False
        self._held = np.zeros(0, np.float32)
        self._rows: list[NDArray[np.float32]] = []
        self._guesses: deque[Segment | None] = deque(maxlen=self.config.agreement)
        self._scorer: LiveScorer = live_scorer(
            self._network, self._speaker, self.config.window
        )
        self._search: Search = self._follower.search(self._search_config)
        self._closed = self._follower.closed_search()
        self._standing = self._search.standing()  # asked once a step: it costs a millisecond

    def _take(self, piece: NDArray[np.float32]) -> None:
        """Search a piece, or only keep it while nobody has spoken: noise is costly to search."""
        self._held = np.concatenate([self._held, piece])
        if self._following:
            self._advance(self._scorer.accept(piece))
        elif self._voiced():
            self._following = True
            self._advance(self._scorer.accept(self._held))
        else:
            spare = len(self._held) - round(BEFORE_SPEECH * self._rate)
            if spare > 0:
                self._begin += spare
                self._held = self._held[spare:]
                self._forget()

    def _forget(self) -> None:
        """What was said before the segment counts no more."""
        if self._voices is not None:
            self._voices.forget(self._begin)

    def _advance(self, rows: NDArray[np.float32]) -> None:
        if not len(rows):
            return
        if not self.config.again:
            self._rows.append(rows)
        self._search.advance(rows)
        if self._closed is not None:
            self._closed.advance(rows)
        self._standing = self._search.standing()
        sound = SoundSegment(self._begin / self._rate, self._held, False)
        clock = self._follower.clock(sound)
        self._guesses.append(self._follower.partial(self._search, self._closed, clock))

    def _ended(self) -> Iterator[Segment]:
        """The segment, if a rule says that it has ended; the next one begins."""
        if not self._following:
            return
        frame = self._follower.scorer.frame_seconds
        standing = self._standing
        silence, length = standing.silence * frame, self._search.frames * frame
        if not any(rule.holds(silence, length, standing) for rule in self.config.rules):
            return
        if silence > 0:
            cut = round((length - min(LEAD, silence / 2)) * self._rate)
        else:  # in the midst of speech: where it is quietest
            cut = quietest(self._held, self._rate)
        yield from self._close(min(cut, len(self._held)), said=self._said())

    def _close(self, length: int, *, said: bool) -> Iterator[Segment]:
        """End the segment after so many samples; the rest begins the next."""
        rest = self._held[length:]
        if said:
            segment = self._recognised(length)
            if segment is not None:
                yield segment
        self._begin_at(self._begin + length)
        if len(rest):
            self._take(rest)

    def _recognised(self, length: int) -> Segment | None:
        sound = SoundSegment(self._begin / self._rate, self._spoken(length), False)
        if self.config.again:
            return self._recognizer.recognize(sound, self._detail)
        scores, search = np.concatenate(self._rows), self._search
        frames = round(length / self._rate / self._recognizer.scorer.frame_seconds)
        if frames < len(scores):  # what lies behind the cut is searched with the next segment
            scores = scores[:frames]
            search = self._recognizer.search(self._search_config)
            search.advance(scores)
        heard = self._recognizer.conclude(search, sound.samples)
        return self._recognizer.told(
            heard, scores, self._recognizer.clock(sound), self._detail
        )


def shared_length(texts: Sequence[str]) -> int:
    """How many characters texts have in common from their beginning on."""
    for place, characters in enumerate(zip(*texts, strict=False)):
        if len(set(characters)) > 1:
            return place
    return min(map(len, texts), default=0)


def _cut(words: Sequence[Word], characters: int) -> list[Word]:
    """The words of the first so many characters of their text; the last one may be cut short."""
    kept = []
    for word in words:
        if characters <= 0:
            break
        kept.append(replace(word, text=word.text[:characters]))
        characters -= len(word.text) + 1
    return kept
