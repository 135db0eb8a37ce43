"""From a stretch of sound to a Segment: scores, search, user words or a grammar, times."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from asr.acoustic.live_network import LiveNetwork
from asr.acoustic.scorer import AcousticScorer
from asr.decoder.align import Aligner, linear_steps
from asr.decoder.closed import ClosedDecoder, piece_frames
from asr.decoder.confidence import ConfidenceConfig, Eojeol, eojeols_of
from asr.decoder.config import DecoderConfig
from asr.decoder.path import DecodedUnit
from asr.decoder.rescoring import Rescorer, RescoringConfig
from asr.decoder.search import Decoder, Search
from asr.decoder.utterance import Heard, UtteranceDecoder
from asr.errors import DataError, UsageError
from asr.gathering import GatherConfig
from asr.graph.bias import BiasConfig, build_bias
from asr.graph.bias_words import BiasWord, make_words
from asr.graph.bias_written import WrittenForms, WrittenSpan
from asr.graph.grammar import Grammar
from asr.graph.grammar_reject import RejectConfig
from asr.hangul.jamo import CODAS, decompose
from asr.jamo_times import Clock, jamo_times, syllable_times
from asr.listening import listening
from asr.lm.morphology import morpheme_model
from asr.result import Alternative, Detail, Segment, Word
from asr.segmenting import SoundSegment

log = logging.getLogger(__name__)


class Shared:
    """What all views of a model share and make when it is first needed."""

    def __init__(self, decoder: Decoder) -> None:
        self._decoder = decoder

    @cached_property
    def aligner(self) -> Aligner:
        """For times of jamo."""
        return Aligner(self._decoder.hcl)


@dataclass(frozen=True)
class SegmentRecognizer:
    """How segments of sound are recognised. Immutable; variants of it are cheap.

    Attributes:
        scorer: from samples to acoustic scores.
        decoder: graph and language model.
        config: options of the search.
        rescoring: of the N best texts; None: none.
        confidence: calibration of confidences.
        shared: what variants have in common.
        words: the user's words.
        grammar: recognises the phrases of a grammar only, in place of all this.
        reject: calibration of what is outside of a grammar.
        network: that live streams share; None: each runs it for itself.
        follower: follows live sound in place of this one, which recognises what has ended.
    """

    scorer: AcousticScorer
    decoder: Decoder
    config: DecoderConfig
    rescoring: RescoringConfig | None
    confidence: ConfidenceConfig
    shared: Shared
    words: tuple[BiasWord, ...] = ()
    bias: BiasConfig = field(default_factory=BiasConfig)
    grammar: ClosedDecoder | None = None
    reject: RejectConfig = field(default_factory=RejectConfig)
    network: LiveNetwork | None = None
    follower: SegmentRecognizer | None = None

    def with_words(self, words: Iterable[str | BiasWord], boost: float | None) -> SegmentRecognizer:
        """The same with more words."""
        if self.grammar is not None:
            raise UsageError("a grammar recognises its own phrases only: put the words into it")
        made = make_words(words, boost)
        follower = self.follower and self.follower.with_words(made, None)
        return replace(self, words=(*self.words, *made), follower=follower)

    def with_grammar(self, grammar: Grammar) -> SegmentRecognizer:
        """The same, for the phrases of a grammar only."""
        if self.words:
            raise UsageError("a grammar recognises its own phrases only: put the words into it")
        closed = ClosedDecoder.of(grammar, self.decoder, self.reject)
        follower = self.follower and self.follower.with_grammar(grammar)
        return replace(self, grammar=closed, follower=follower)

    def gathering(self, config: GatherConfig) -> SegmentRecognizer:
        """The same, with one network for live streams in several threads."""
        follower = self.follower and self.follower.gathering(config)
        return replace(self, network=LiveNetwork(self.scorer, config), follower=follower)

    def following(self, light: SegmentRecognizer) -> SegmentRecognizer:
        """The same with a follower, which gets the words of this one, and gathers as it does.

        Raises:
            UsageError: it hears another sample rate, or there is a grammar already.
        """
        if self.grammar is not None or light.grammar is not None:
            raise UsageError("a model is followed by another before both are given a grammar")
        if light.scorer.sample_rate != self.scorer.sample_rate:
            raise UsageError(
                f"the model of live sound hears {light.scorer.sample_rate} Hz, the other one"
                f" {self.scorer.sample_rate}: take one that hears the same"
            )
        light = replace(light, words=self.words, bias=self.bias, follower=None)
        if self.network is not None and light.network is None:
            light = light.gathering(self.network.config)
        return replace(self, follower=light)

    def recognize(self, sound: SoundSegment, detail: Detail) -> Segment | None:
        """Recognise one segment; None where nothing was said."""
        if sound.silent:
            return None
        scores, feats = self.scorer.scores_and_features(sound.samples)
        if len(scores) == 0:
            return None
        heard = self._utterances.decode(scores, listening(self.scorer, sound.samples, feats))
        return self.told(heard, scores, self.clock(sound), detail)

    def clock(self, sound: SoundSegment) -> Clock:
        """From a segment's frames to seconds of the recording."""
        end = sound.start + len(sound.samples) / self.scorer.sample_rate
        return Clock(self.scorer.frame_seconds, begin=sound.start, end=end)

    def search(self, config: DecoderConfig | None = None) -> Search:
        """A search for sound that is still to come, with the user's words."""
        utterances = self._utterances
        return self.decoder.search(config or utterances.config, utterances.bias)

    def conclude(self, search: Search, samples: NDArray[np.float32]) -> Heard | None:
        """What a search has found in float32 [N] samples, as if the segment ended here."""
        return self._utterances.conclude(search, listening(self.scorer, samples))

    def closed_search(self) -> Search | None:
        """A search for a phrase of the grammar in sound that is still to come, if there is one."""
        return None if self.grammar is None else self.grammar.search()

    def partial(self, search: Search, closed: Search | None, clock: Clock) -> Segment | None:
        """The best text so far, as it is said; None where nothing is, or nothing of the grammar.

        Args:
            search: of :meth:`search`; closed: of :meth:`closed_search`, over the same scores.
        """
        if self.grammar is not None and closed is not None:
            units = self.grammar.partial(closed, search)
        else:
            units = search.best_path().units
        eojeols = [Eojeol(units, None) for units in eojeols_of(units)]
        if not eojeols:
            return None
        spans = self._written.spans([eojeol.text for eojeol in eojeols])
        return Segment.from_words(_words(eojeols, spans, clock))

    def told(
        self, heard: Heard | None, scores: NDArray[np.float32], clock: Clock, detail: Detail
    ) -> Segment | None:
        """The segment of what was heard in float32 [T, pdfs] scores."""
        if heard is None or not heard.eojeols:
            return None
        if self.grammar is not None:
            return self._phrase(heard, scores, clock, detail)
        spans = self._written.spans([eojeol.text for eojeol in heard.eojeols])
        words = _words(heard.eojeols, spans, clock)
        segment = Segment.from_words(words, _mean([word.confidence for word in words]))
        if detail.nbest:
            segment = replace(segment, alternatives=self._alternatives(heard, detail.nbest))
        if detail.jamo:
            units = [unit for eojeol in heard.eojeols for unit in eojeol.units]
            spelled = [eojeol.text for eojeol in heard.eojeols]
            owners = [
                number
                for number, span in enumerate(spans)
                for eojeol in spelled[span.first : span.end]
                for _ in eojeol
            ]
            segment = self._with_jamo(segment, units, spelled, owners, scores, clock)
        return segment

    def _phrase(
        self, heard: Heard, scores: NDArray[np.float32], clock: Clock, detail: Detail
    ) -> Segment:
        """A phrase of the grammar, or a segment that is rejected."""
        assert self.grammar is not None
        path = self.grammar.decode(scores, heard.first)
        if path.rejected or path.match is None:
            start, end = clock.seconds(heard.eojeols[0].start), clock.seconds(heard.eojeols[-1].end)
            return Segment("", start, end, confidence=path.confidence, rejected=True)
        words = tuple(
            Word(text, clock.seconds(start), clock.seconds(end), path.confidence)
            for text, start, end in piece_frames(path.match, path.units)
        )
        segment = replace(
            Segment.from_words(words, path.confidence), text=path.match.text, slots=path.match.slots
        )
        if detail.jamo:
            spelled = path.match.spoken.split()
            owners = [0] * sum(map(len, spelled))
            for number, piece in enumerate(path.match.pieces):
                owners[piece.begin :] = [number] * (len(owners) - piece.begin)
            segment = self._with_jamo(segment, path.units, spelled, owners, scores, clock)
        return segment

    @cached_property
    def _utterances(self) -> UtteranceDecoder:
        rescorer = None  # a grammar is judged by the search alone
        if self.rescoring is not None and self.grammar is None:
            rescorer = Rescorer(self.rescoring, morpheme_model, self._stand_in)
        bias = None
        if self.words and self.grammar is None:
            bias = build_bias(self.words, self.decoder.lm, self.bias, self.config.lm_scale)
        return UtteranceDecoder(self.decoder, self.config, self.confidence, rescorer, bias)

    @cached_property
    def _written(self) -> WrittenForms:
        bias = self.bias
        return WrittenForms(self.words, joined=bias.joined, anywhere=bias.anywhere)

    @cached_property
    def _stand_ins(self) -> WrittenForms:
        words = [
            BiasWord(_stand_in_for(reading), (reading,))
            for word in self.words
            for reading in word.readings
        ]
        return WrittenForms(words, joined=self.bias.joined, anywhere=self.bias.anywhere)

    def _stand_in(self, text: str) -> str:
        """The text with an everyday noun for each user word, which the morpheme model may lack."""
        if not self.words:
            return text
        return " ".join(span.text for span in self._stand_ins.spans(text.split()))

    def _alternatives(self, heard: Heard, count: int) -> tuple[Alternative, ...]:
        """The best texts as the user writes them, those written alike taken together."""
        shares: dict[str, float] = {}
        for text, share in heard.alternatives:
            written = " ".join(span.text for span in self._written.spans(text.split()))
            shares[written] = shares.get(written, 0.0) + share
        return tuple(Alternative(text, share) for text, share in list(shares.items())[:count])

    def _with_jamo(
        self,
        segment: Segment,
        units: Sequence[DecodedUnit],
        spelled: Sequence[str],
        owners: Sequence[int],
        scores: NDArray[np.float32],
        clock: Clock,
    ) -> Segment:
        """The segment with the times of its syllables and jamo, as spoken.

        ``owners`` has each syllable's word.
        """
        steps = linear_steps([unit.id for unit in units])
        try:
            spans = self.shared.aligner.align(steps, scores).spans
        except DataError:  # sound that breaks off in the midst of a word has no path to its end
            log.warning("no times of jamo for %r: its sound breaks off", segment.text)
            return segment
        return replace(
            segment,
            syllables=tuple(
                replace(syllable, word=owner)
                for syllable, owner in zip(
                    syllable_times(spelled, spans, clock), owners, strict=True
                )
            ),
            jamo=jamo_times(spelled, spans, clock),
        )


def _words(eojeols: Sequence[Eojeol], spans: Sequence[WrittenSpan], clock: Clock) -> list[Word]:
    """Eojeol as the user writes them, with their times."""
    words = []
    for span in spans:
        group = eojeols[span.first : span.end]
        sure = [eojeol.confidence for eojeol in group if eojeol.confidence is not None]
        start, end = clock.seconds(group[0].start), clock.seconds(group[-1].end)
        words.append(Word(span.text, start, end, min(sure) if sure else None))
    return words


_OPEN, _CLOSED, _LIQUID = "학교", "시장", "서울"
"""Everyday nouns that end in a vowel, in a consonant and in ㄹ, as particles tell apart."""


def _stand_in_for(reading: str) -> str:
    coda = CODAS[decompose(reading[-1])[2]]
    return {"": _OPEN, "ㄹ": _LIQUID}.get(coda, _CLOSED)


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return math.fsum(known) / len(known) if known else None
