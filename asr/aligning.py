"""Forced alignment of a sound with its text.

>>> from asr.aligning import load_aligner
>>> from asr.data_files import shipped
>>> aligner = load_aligner("ko-kaldi")
>>> sample = shipped("samples") / "human-digits-6789.flac"
>>> alignment = aligner.align(sample, "여섯 일곱 여덟 아홉")
>>> [word.text for word in alignment.words], alignment.plausible
(['여섯', '일곱', '여덟', '아홉'], True)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from asr.acoustic.scorer import AcousticScorer
from asr.align_text import SpacingConfig, WrittenWord, text_steps, written_words
from asr.alignment import AlignedWord, Alignment
from asr.audio import RawFormat, Source, load_audio
from asr.bundle import GRAPH_FILE, Bundle, open_bundle
from asr.decoder.align import AlignConfig, AlignedPath, Aligner
from asr.errors import ModelError
from asr.graph.hcl import HclGraph
from asr.jamo_times import Clock, jamo_times, syllable_times
from asr.models import resolve


@dataclass(frozen=True, slots=True)
class AligningConfig:
    """Options of aligning texts.

    Attributes:
        search: of the search.
        spacing: of texts spoken with other spaces than written.
        word_threshold: eojeol with a lower score (nats a frame) are not plausible.
        threshold: texts with a lower score, over all that was said, are not plausible.

    Both thresholds are set so that about one in a hundred right ones is flagged, on the training
    and development speakers of two corpora (docs/align.md has the figures).
    """

    search: AlignConfig = field(default_factory=AlignConfig)
    spacing: SpacingConfig = field(default_factory=SpacingConfig)
    word_threshold: float = -2.0
    threshold: float = -1.3


def load_aligner(name_or_path: str | Path = "ko-kaldi", device: str = "cpu") -> TextAligner:
    """Load what alignment needs of a model: by name, or from a bundle folder.

    Raises:
        ModelError: no such model, or a bundle that is damaged or of a newer version.
        UsageError: no such device.
    """
    return TextAligner.from_bundle(open_bundle(resolve(name_or_path)), device)


class TextAligner:
    """Aligns texts with sounds. Immutable: one may serve many threads.

    Args:
        scorer: from samples to acoustic scores.
        graph: compiled HCL.
        units: LM unit → id, as the graph's labels have them.
        name: of the model, for the results.
    """

    def __init__(
        self, scorer: AcousticScorer, graph: HclGraph, units: Mapping[str, int], name: str = ""
    ) -> None:
        self.name = name
        self.sample_rate = scorer.sample_rate
        self._scorer = scorer
        self._units = units
        self._aligner = Aligner(graph)
        if self._aligner.num_pdfs > scorer.num_pdfs:
            raise ModelError(
                f"the graph needs {self._aligner.num_pdfs} pdfs, the network has "
                f"{scorer.num_pdfs}: import the model again"
            )

    @classmethod
    def from_bundle(cls, bundle: Bundle, device: str = "cpu") -> TextAligner:
        """From a model on disk. Raises as :func:`load_aligner` does."""
        sections = bundle.manifest.sections
        scorer = AcousticScorer.from_bundle(bundle, device)
        graph = HclGraph.from_tensors(bundle.tensors(GRAPH_FILE))
        try:
            units = {unit: number for number, unit in enumerate(sections["lm"]["units"])}
        except (KeyError, TypeError) as error:
            raise ModelError(
                f"the bundle {bundle.path} cannot be understood ({error!r}): import the model again"
            ) from error
        return cls(scorer, graph, units, bundle.manifest.name)

    def align(
        self,
        audio: Source,
        text: str,
        *,
        raw: RawFormat | None = None,
        config: AligningConfig | None = None,
    ) -> Alignment:
        """When each eojeol, syllable and jamo of the text is said in the sound.

        Args:
            audio: a path, bytes, a binary file object or ``"-"`` (standard input).
            text: what is said, as it is written; numbers and Latin letters are read out
                (:func:`asr.hangul.normalize.to_spoken`).
            raw: layout of headerless PCM.
            config: options.

        Raises:
            AudioError: sound that cannot be read.
            DataError: a text without words or with syllables that the model does not know, or one
                that is too long for the sound, or more sound than memory is granted for.
        """
        words = written_words(text)
        sound = load_audio(audio, self.sample_rate, raw=raw)
        return self.align_words(sound.samples, words, config=config)

    def align_words(
        self,
        samples: NDArray[np.float32],
        words: Sequence[WrittenWord],
        *,
        config: AligningConfig | None = None,
    ) -> Alignment:
        """As :meth:`align`, from samples (float32 [N] at the model's rate) and eojeol."""
        scores = self.scores(samples)
        return self.align_scores(scores, words, len(samples) / self.sample_rate, config=config)

    def scores(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Acoustic scores of samples (float32 [N] at the model's rate): float32 [T, pdfs]."""
        return self._scorer.scores(samples)

    def align_scores(
        self,
        scores: NDArray[np.float32],
        words: Sequence[WrittenWord],
        duration: float,
        *,
        config: AligningConfig | None = None,
    ) -> Alignment:
        """As :meth:`align`, from what :meth:`scores` gave of a sound of so many seconds."""
        config = config or AligningConfig()
        eojeol = [spoken for word in words for spoken in word.spoken]
        steps = text_steps(eojeol, self._units, config.spacing)
        path = self._aligner.align(steps, scores, config.search)
        free = self._aligner.free_scores(scores)
        clock = Clock(self._scorer.frame_seconds, end=duration)
        return _alignment(words, path, free, clock, config, self.name)


def _alignment(
    words: Sequence[WrittenWord],
    path: AlignedPath,
    free: NDArray[np.float64],
    clock: Clock,
    config: AligningConfig,
    model: str,
) -> Alignment:
    spelled = ["".join(word.spoken) for word in words]
    lengths = np.cumsum([0] + [len(word) for word in spelled])
    said = np.concatenate([[0.0], np.cumsum(path.frame_scores, dtype=np.float64)]) - free
    first = {span.syllable: span for span in reversed(path.spans)}
    last = {span.syllable: span for span in path.spans}
    aligned = []
    for word, begin, end in zip(words, lengths[:-1].tolist(), lengths[1:].tolist(), strict=True):
        start, stop = first[begin].start, last[end - 1].end
        score = float(said[stop] - said[start]) / (stop - start)
        aligned.append(
            AlignedWord(
                text=word.text,
                spoken=" ".join(word.spoken),
                start=clock.seconds(start),
                end=clock.seconds(stop),
                score=score,
                plausible=score >= config.word_threshold,
            )
        )
    start, stop = path.spans[0].start, path.spans[-1].end
    score = float(said[stop] - said[start]) / (stop - start)
    return Alignment(
        words=tuple(aligned),
        syllables=syllable_times(spelled, path.spans, clock),
        jamo=jamo_times(spelled, path.spans, clock),
        duration=clock.end,
        score=score,
        plausible=score >= config.threshold,
        frame_seconds=clock.frame_seconds,
        model=model,
    )
