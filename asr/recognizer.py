"""The recogniser: one immutable :class:`Model`, shared; one cheap :class:`Stream` an utterance.

>>> from asr import load
>>> from asr.data_files import shipped
>>> model = load("ko")
>>> result = model.transcribe(shipped("samples") / "human-digits-6789.flac")
>>> result.model, round(result.duration, 1)
('ko-whisper', 2.9)
>>> result.text == " ".join(word.text for word in result.words)
True
>>> 0 <= result.words[0].start < result.words[0].end <= result.duration
True
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator
from concurrent.futures import Executor
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from asr.acoustic.scorer import AcousticScorer
from asr.audio import RawFormat, Source, from_array, iter_blocks
from asr.bundle import GRAPH_FILE, LM_FILE, Bundle, open_bundle
from asr.decoder.confidence import ConfidenceConfig
from asr.decoder.config import DecoderConfig
from asr.decoder.rescoring import RescoringConfig
from asr.decoder.search import Decoder
from asr.errors import ModelError, UsageError
from asr.gathering import GatherConfig
from asr.graph.bias import BiasConfig
from asr.graph.bias_words import BiasWord, read_words_file
from asr.graph.grammar import Grammar, load_grammar
from asr.graph.grammar_reject import RejectConfig
from asr.graph.hcl import HclGraph
from asr.live import LiveConfig, LiveRecognizer
from asr.lm.automaton import LmAutomaton
from asr.models import resolve
from asr.result import Detail, Result
from asr.segment_recognizer import SegmentRecognizer, Shared
from asr.segmenting import SegmentingConfig
from asr.stream import Stream
from asr.whole_segments import WholeSegments


def load(
    name_or_path: str | Path = "ko", device: str = "cpu", precision: str = "float32"
) -> Model:
    """Load a model by name or from a bundle folder.

    Args:
        name_or_path: a name ("ko", which is "ko-whisper", or "ko-kaldi"; built on first use from
            what is installed, and kept in the user's cache) or the path of a bundle.
        device: where the network runs: "cpu", "cuda" or "cuda:N".
        precision: its arithmetic: "float32", "int8" (on a processor, of models on an encoder:
            faster), "float16" (on a GPU) or "bfloat16".

    Raises:
        ModelError: no such model, or a bundle that is damaged or of a newer version.
        UsageError: no such device or precision, or they do not go together.
    """
    return Model(open_bundle(resolve(name_or_path)), device, precision)


class Model:
    """A recogniser. Immutable: one may serve many threads.

    Attributes:
        name: the bundle's name.
        sample_rate: the rate (Hz) that sound is converted to.
        licence: under which the weights may be used.
    """

    def __init__(self, bundle: Bundle, device: str = "cpu", precision: str = "float32") -> None:
        manifest = bundle.manifest
        self.name: str = manifest.name
        self.language: str = manifest.language
        self.sample_rate: int = manifest.sample_rate
        self.licence: str = manifest.licence
        self.attribution: str = manifest.attribution
        scorer = AcousticScorer.from_bundle(bundle, device).in_precision(precision)
        try:
            arrays = bundle.tensors(GRAPH_FILE)
            lookahead = arrays.pop("lookahead")
            lm = LmAutomaton.from_tensors(bundle.tensors(LM_FILE), manifest.sections["lm"])
            decoder = Decoder(HclGraph.from_tensors(arrays), lm, lookahead)
            config = DecoderConfig(**manifest.sections["decoder"])
            confidence = ConfidenceConfig(**manifest.sections["confidence"])
            reject = RejectConfig(**manifest.sections.get("reject", {}))
            described = manifest.sections["rescoring"]
            rescoring = None if described is None else RescoringConfig(**described)
        except (KeyError, TypeError, ValueError, AttributeError, IndexError, UsageError) as error:
            raise ModelError(
                f"the bundle {bundle.path} cannot be understood ({error!r}): import the model again"
            ) from error
        if self.sample_rate != scorer.sample_rate:
            raise ModelError(
                f"the bundle {bundle.path} says {self.sample_rate} Hz, its features "
                f"{scorer.sample_rate} Hz: import the model again"
            )
        if decoder.num_pdfs > scorer.num_pdfs:
            raise ModelError(
                f"the graph of {bundle.path} needs {decoder.num_pdfs} pdfs, its network has "
                f"{scorer.num_pdfs}: import the model again"
            )
        self._recognizer = SegmentRecognizer(
            scorer, decoder, config, rescoring, confidence, Shared(decoder), reject=reject
        )

    def __repr__(self) -> str:
        return f"<asr.Model {self.name}: {self.language}, {self.sample_rate} Hz, {self.licence}>"

    @property
    def scorer(self) -> AcousticScorer:
        """From samples to acoustic scores."""
        return self._recognizer.scorer

    @property
    def decoder(self) -> Decoder:
        """Graph and language model, for searches of one's own."""
        return self._recognizer.decoder

    @property
    def decoder_config(self) -> DecoderConfig:
        """The model's own search options."""
        return self._recognizer.config

    @property
    def rescoring(self) -> RescoringConfig | None:
        """The model's own options for choosing among the N best texts; None: it does not."""
        return self._recognizer.rescoring

    @property
    def bias(self) -> BiasConfig:
        """How much user words are boosted."""
        return self._recognizer.bias

    def add_words(
        self,
        words: Iterable[str | BiasWord] | Path,
        *,
        boost: float | None = None,
    ) -> Model:
        """The same model, which knows more words: names, terms, abbreviations.

        Words may be in Hangul (가산디지털단지역) or not (KBS, 5G); the latter get their Korean
        readings and come out as written. Nothing is compiled: ten thousand take a tenth of a
        second. This model stays as it is; both share everything else.

        Args:
            words: the words, or the Path of a list (:mod:`asr.graph.bias_words` says its format).
            boost: nats by which all of them are preferred, on top of making them as likely as
                words of a list; for words that the model knows but misses ("hotwords").

        Raises:
            UsageError: a word that cannot be read aloud, or the model has a grammar.
            DataError: a list that cannot be read.
        """
        listed = read_words_file(words) if isinstance(words, Path) else words
        return self._with(self._recognizer.with_words(listed, boost))

    def with_grammar(self, grammar: Grammar | str | Path) -> Model:
        """The same model, which recognises the phrases of a grammar and nothing else.

        Segments have ``slots``, and are ``rejected`` where something else was said.

        Args:
            grammar: one that was read, or the path of one (docs/grammar.md says its format).

        Raises:
            DataError: a grammar that cannot be understood, with the line.
            UsageError: the model has user words.
        """
        if not isinstance(grammar, Grammar):
            grammar = load_grammar(grammar)
        return self._with(self._recognizer.with_grammar(grammar))

    def with_options(
        self,
        *,
        decoder: DecoderConfig | None = None,
        rescoring: RescoringConfig | Literal["model"] | None = "model",
        bias: BiasConfig | None = None,
    ) -> Model:
        """The same model with other options.

        Args:
            decoder: search options other than the model's own.
            rescoring: how to choose among the N best texts; None: take the search's best; "model":
                as the model does. To change one option, ``replace(model.rescoring, count=50)``
                (of dataclasses): a new RescoringConfig has no decoder judge.
            bias: how much user words are boosted, other than usually.
        """
        if not (rescoring in (None, "model") or isinstance(rescoring, RescoringConfig)):
            raise UsageError(f"rescoring is a RescoringConfig, None or 'model', not {rescoring!r}")
        chosen = self.rescoring if isinstance(rescoring, str) else rescoring
        config = decoder or self.decoder_config
        bias = bias or self.bias
        follower = self._recognizer.follower
        if follower is not None:  # it boosts words as much
            follower = replace(follower, bias=bias)
        return self._with(
            replace(
                self._recognizer, config=config, rescoring=chosen, bias=bias, follower=follower
            )
        )

    def gathering(self, config: GatherConfig) -> Model:
        """The same model, whose live streams in several threads have its network run together."""
        return self._with(self._recognizer.gathering(config))

    def following(self, light: Model) -> Model:
        """The same model, whose live streams are followed by another.

        What is being said is then shown as the light model hears it, which costs less, and each
        segment's text is still this model's. Words and a grammar are given to both; words that the
        light model had alone are left out.

        Raises:
            UsageError: it hears another sample rate, or one of them has a grammar already.
        """
        return self._with(self._recognizer.following(light._recognizer))

    def _with(self, recognizer: SegmentRecognizer) -> Model:
        other = copy.copy(self)
        other._recognizer = recognizer
        return other

    def transcribe(
        self,
        audio: Source | NDArray[np.generic],
        *,
        sample_rate: int | None = None,
        raw: RawFormat | None = None,
        decoder: DecoderConfig | None = None,
        nbest: int = 0,
        jamo: bool = False,
        written: bool = False,
        punctuation: bool = False,
        segmenting: SegmentingConfig | None = None,
        executor: Executor | None = None,
    ) -> Result:
        """Recognise a whole file, stream or array.

        Args:
            audio: a path, bytes, a binary file object, ``"-"`` (standard input), or samples
                ([N] or [N, channels], float in [-1, 1] or signed integer).
            sample_rate: the rate of an array's samples in Hz; required there, refused elsewhere.
            raw: layout of headerless PCM.
            decoder: search options other than the model's own.
            nbest: how many alternatives to give of each segment.
            jamo: whether to give the times of syllables and jamo, too.
            written: whether to give the written form, too (30% for 삼십 퍼센트): see
                ``written_text`` of the result. A grammar's phrases are written as they stand there.
            punctuation: whether to put full stops, question marks and commas behind words. A
                grammar's phrases stay as they stand there.
            segmenting: where long sound is cut, and whether what nobody speaks in is left out.
            executor: threads that recognise segments at the same time; None: one after the other.

        Raises:
            AudioError: sound that cannot be read.
            UsageError: an array without its sample rate.
            ModelError: a network or graph whose numbers make no sense.
        """
        stream = self.stream(
            decoder=decoder, nbest=nbest, jamo=jamo, written=written, punctuation=punctuation,
            segmenting=segmenting, executor=executor,
        )  # fmt: skip
        for block in self._blocks(audio, sample_rate, raw):
            stream.accept(block)
        return stream.finish()

    def stream(
        self,
        *,
        decoder: DecoderConfig | None = None,
        nbest: int = 0,
        jamo: bool = False,
        written: bool = False,
        punctuation: bool = False,
        live: bool | LiveConfig = False,
        segmenting: SegmentingConfig | None = None,
        executor: Executor | None = None,
    ) -> Stream:
        """Begin one utterance (or one long recording) whose samples come piece by piece.

        Args:
            decoder: search options other than the model's own.
            nbest: how many alternatives to give of each segment.
            jamo: whether to give the times of syllables and jamo, too.
            written: whether to give the written form, too.
            punctuation: whether to put full stops, question marks and commas behind words.
            live: follow the sound as it comes: partial texts, and segments that end where the
                speaker pauses; or how to (:class:`~asr.live.LiveConfig`).
            segmenting: where sound that is not live is cut, and whether what nobody speaks in is
                left out.
            executor: threads that recognise segments of such sound at the same time; None: one
                after the other, in the caller's.

        Raises:
            UsageError: options that do not go together.
        """
        model = self if decoder is None else self.with_options(decoder=decoder)
        detail = Detail(nbest, jamo, written, punctuation)
        recognizer = model._recognizer
        if live is False:
            whole = WholeSegments(recognizer, detail, segmenting, executor)
            return Stream(model, whole, detail)
        if segmenting is not None or executor is not None:
            raise UsageError("a live stream has its own segments: leave out segmenting, executor")
        config = None if live is True else live
        return Stream(model, LiveRecognizer(recognizer, detail, config), detail)

    def _blocks(
        self, audio: Source | NDArray[np.generic], sample_rate: int | None, raw: RawFormat | None
    ) -> Iterator[NDArray[np.float32]]:
        if isinstance(audio, (list, tuple)):
            audio = np.asarray(audio, np.float32)
        if isinstance(audio, np.ndarray):
            if sample_rate is None:
                raise UsageError("samples in an array need their rate: pass sample_rate=16000")
            if sample_rate < 1:
                raise UsageError(f"a sample rate of {sample_rate} Hz makes no sense")
            yield from_array(audio, sample_rate, self.sample_rate).samples
            return
        if sample_rate is not None:
            raise UsageError("sample_rate is for arrays; a file says its own (raw PCM: pass raw=)")
        yield from iter_blocks(audio, self.sample_rate, raw=raw)
