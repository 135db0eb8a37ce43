"""The recogniser: one immutable :class:`Model`, shared; one cheap :class:`Stream` an utterance.

>>> from asr import load
>>> from asr.data_files import shipped
>>> model = load("ko")
>>> result = model.transcribe(shipped("samples") / "human-digits-6789.flac")
>>> result.model, round(result.duration, 1)
('ko-kaldi', 2.9)
>>> result.text == " ".join(word.text for word in result.words)
True
>>> 0 <= result.words[0].start < result.words[0].end <= result.duration
True
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from asr.acoustic.scorer import AcousticScorer
from asr.audio import RawFormat, Source, check_samples, from_array, iter_blocks
from asr.bundle import ACOUSTIC_FILE, GRAPH_FILE, IVECTOR_FILE, LM_FILE, Bundle, open_bundle
from asr.decoder.config import DecoderConfig
from asr.decoder.search import BestPath, DecodedUnit, Decoder
from asr.errors import ModelError, UsageError
from asr.graph.hcl import HclGraph
from asr.lm.automaton import LmAutomaton
from asr.lm.units import EOJEOL_MARK
from asr.models import resolve
from asr.result import Result, Segment, Word
from asr.segmenting import SegmentCutter, SegmentingConfig, SoundSegment


def load(name_or_path: str | Path = "ko", device: str = "cpu") -> Model:
    """Load a model by name or from a bundle folder.

    Args:
        name_or_path: a name ("ko"; built on first use from the installed model package and kept in
            the user's cache) or the path of a bundle written by ``asr import-kaldi``.
        device: where the network runs: "cpu", "cuda" or "cuda:N".

    Raises:
        ModelError: no such model, or a bundle that is damaged or of a newer version.
        UsageError: no such device.
    """
    return Model(open_bundle(resolve(name_or_path)), device)


class Model:
    """A recogniser. Immutable: one may serve many threads.

    Attributes:
        name: the bundle's name.
        sample_rate: the rate (Hz) that sound is converted to.
        licence: under which the weights may be used.
    """

    def __init__(self, bundle: Bundle, device: str = "cpu") -> None:
        manifest = bundle.manifest
        self.name: str = manifest.name
        self.language: str = manifest.language
        self.sample_rate: int = manifest.sample_rate
        self.licence: str = manifest.licence
        self.attribution: str = manifest.attribution
        self._scorer = AcousticScorer.from_sections(
            manifest.sections,
            bundle.tensors(ACOUSTIC_FILE),
            bundle.tensors(IVECTOR_FILE) if IVECTOR_FILE in bundle.files else None,
            device,
        )
        try:
            arrays = bundle.tensors(GRAPH_FILE)
            lookahead = arrays.pop("lookahead")
            lm = LmAutomaton.from_tensors(bundle.tensors(LM_FILE), manifest.sections["lm"])
            self._decoder = Decoder(HclGraph.from_tensors(arrays), lm, lookahead)
            self.decoder_config = DecoderConfig(**manifest.sections["decoder"])
        except (KeyError, TypeError, ValueError, AttributeError, IndexError, UsageError) as error:
            raise ModelError(
                f"the bundle {bundle.path} cannot be understood ({error!r}): import the model again"
            ) from error
        if self.sample_rate != self._scorer.sample_rate:
            raise ModelError(
                f"the bundle {bundle.path} says {self.sample_rate} Hz, its features "
                f"{self._scorer.sample_rate} Hz: import the model again"
            )
        if self._decoder.num_pdfs > self._scorer.num_pdfs:
            raise ModelError(
                f"the graph of {bundle.path} needs {self._decoder.num_pdfs} pdfs, its network has "
                f"{self._scorer.num_pdfs}: import the model again"
            )

    def transcribe(
        self,
        audio: Source | NDArray[np.generic],
        *,
        sample_rate: int | None = None,
        raw: RawFormat | None = None,
        decoder: DecoderConfig | None = None,
    ) -> Result:
        """Recognise a whole file, stream or array.

        Args:
            audio: a path, bytes, a binary file object, ``"-"`` (standard input), or samples
                ([N] or [N, channels], float in [-1, 1] or signed integer).
            sample_rate: the rate of an array's samples in Hz; required there, refused elsewhere.
            raw: layout of headerless PCM.
            decoder: search options other than the model's own.

        Raises:
            AudioError: sound that cannot be read.
            UsageError: an array without its sample rate.
            ModelError: a network or graph whose numbers make no sense.
        """
        stream = self.stream(decoder=decoder)
        for block in self._blocks(audio, sample_rate, raw):
            stream.accept(block)
        return stream.finish()

    def stream(self, *, decoder: DecoderConfig | None = None) -> Stream:
        """Begin one utterance (or one long recording) whose samples come piece by piece."""
        return Stream(self, decoder or self.decoder_config)

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

    def _decode(self, segment: SoundSegment, config: DecoderConfig) -> Segment | None:
        """Recognise one segment; None where nothing was said."""
        if segment.silent:
            return None
        scores = self._scorer.scores(segment.samples)
        if len(scores) == 0:
            return None
        search = self._decoder.search(config)
        search.advance(scores)
        end = segment.start + len(segment.samples) / self.sample_rate
        words = path_words(search.best_path(), segment.start, end, self._scorer.frame_seconds)
        if not words:
            return None
        return Segment.from_words(words)


class Stream:
    """One utterance or recording in progress: feed it, then take its result.

    Sound is recognised in segments of at most half a minute, cut at quiet places, so memory stays
    bounded however long it runs. Not to be shared between threads.
    """

    def __init__(
        self, model: Model, config: DecoderConfig, segmenting: SegmentingConfig | None = None
    ) -> None:
        self._model = model
        self._config = config
        self._cutter = SegmentCutter(model.sample_rate, segmenting or SegmentingConfig())
        self._segments: list[Segment] = []
        self._samples = 0
        self._finished = False

    def accept(self, samples: NDArray[np.float32]) -> None:
        """Take more sound: float32 [n] in [-1, 1] at the model's rate, of any length.

        Raises:
            UsageError: samples of another type or shape, or after :meth:`finish`.
            AudioError: samples that are not finite or far outside [-1, 1].
        """
        if self._finished:
            raise UsageError("this stream is finished; begin another with model.stream()")
        block = np.asarray(samples)
        if block.ndim != 1 or block.dtype != np.float32:
            raise UsageError(
                f"a stream takes float32 samples of shape [n], not {block.dtype} {block.shape}"
            )
        check_samples(block)
        self._samples += len(block)
        self._recognise(self._cutter.accept(block))

    @property
    def segments(self) -> tuple[Segment, ...]:
        """What has been recognised for good so far."""
        return tuple(self._segments)

    def finish(self) -> Result:
        """Recognise what is left and return everything."""
        if not self._finished:
            self._recognise(self._cutter.finish())
            self._finished = True
        return Result(
            segments=self.segments,
            duration=self._samples / self._model.sample_rate,
            language=self._model.language,
            model=self._model.name,
        )

    def _recognise(self, pieces: Iterable[SoundSegment]) -> None:
        for piece in pieces:
            segment = self._model._decode(piece, self._config)
            if segment is not None:
                self._segments.append(segment)


def path_words(path: BestPath, begin: float, end: float, frame_seconds: float) -> list[Word]:
    """Join a path's units to eojeol with times in seconds, within the segment's begin and end."""
    groups: list[list[DecodedUnit]] = []
    for unit in path.units:
        if unit.unit.startswith(EOJEOL_MARK) or not groups:
            groups.append([])
        groups[-1].append(unit)
    return [
        Word(
            text="".join(unit.unit.removeprefix(EOJEOL_MARK) for unit in group),
            start=round(begin + group[0].start * frame_seconds, 3),
            end=round(min(begin + group[-1].end * frame_seconds, end), 3),
        )
        for group in groups
    ]
