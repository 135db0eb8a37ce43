"""Transcribed speech as LF-MMI takes it: what the network hears, and all ways to say the text."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from asr.acoustic.encoder_front_end import EncoderFrontEnd
from asr.acoustic.front_end import FrontEnd
from asr.chain.hmm_graph import HmmGraph, from_text_graph
from asr.chain.numerator import numerator
from asr.chain.phone_lm import PhoneLm
from asr.chain.prepared import PreparedGraph
from asr.chain.supervision import TextSupervision, random_phones
from asr.data.conditions import speaker_of
from asr.decoder.align_graph import TextGraph
from asr.errors import AudioError, DataError
from asr.progress import Progress
from asr.sound_variants import PLAIN, SoundVariants
from asr.state_store import StateStore
from asr.training.batch import Example

log = logging.getLogger(__name__)

STATES_FOLDER = "states"
SHORTEST = 0.1
"""Seconds; shorter sound cannot be trained on."""


Inputs = tuple[Tensor, Tensor | None]


class SpokenText(Protocol):
    """An utterance and what was said in it; rows of :class:`asr.data.DataDir` are such."""

    @property
    def id(self) -> str:
        """Unique."""

    @property
    def text(self) -> str | None:
        """As written; numbers and Latin letters are read out."""

    def samples(self, sample_rate: int) -> NDArray[np.float32]:
        """float32 [N] at a rate in Hz. Raises AudioError."""


@dataclass(frozen=True, slots=True, eq=False)
class SupervisedUtterance:
    """A usable utterance.

    Attributes:
        id: its name.
        graph: all ways to say its text.
        inputs: by variant (:class:`asr.sound_variants.SoundVariants`): features float [T, D],
            i-vector float32 [I] or None.
    """

    id: str
    graph: TextGraph
    inputs: dict[str, Inputs]

    @property
    def plain(self) -> Inputs:
        """Of the sound as it was recorded."""
        return self.inputs[PLAIN]


def state_store(front_end: FrontEnd, work: Path) -> StateStore | None:
    """Where a training in ``work`` keeps what an encoder hears; None for other front ends.

    It takes 0.18 GB of disk for an hour of one variant of the speech at Whisper base's width, times
    the states that are mixed. Each process of a training has its own.
    """
    if not isinstance(front_end, EncoderFrontEnd):
        return None
    folder = process_folder(json.dumps(front_end.section(), sort_keys=True))
    return StateStore(work / STATES_FOLDER / folder, front_end.dim)


def process_folder(what: str) -> str:
    """Name of this process's own folder for something."""
    return f"{hashlib.sha256(what.encode()).hexdigest()[:12]}-{os.environ.get('RANK', '0')}"


class Counter:
    """Tells of every fiftieth utterance whose features are there."""

    def __init__(self, progress: Progress, total: int) -> None:
        self._progress, self._total, self._done = progress, total, 0

    def __call__(self) -> None:
        self._done += 1
        if self._done % 50 == 0 or self._done == self._total:
            self._progress(0.3 * self._done / self._total, "features")


class SupervisedSpeech:
    """Makes examples of speech and texts.

    Args:
        front_end: makes what the network takes.
        supervision: of texts.
        store: keeps features on disk; None: they stay in memory. For front ends without i-vectors.
    """

    def __init__(
        self,
        front_end: FrontEnd,
        supervision: TextSupervision,
        store: StateStore | None = None,
    ) -> None:
        self._front_end = front_end
        self._supervision = supervision
        self._store = store
        self.frame_shift = front_end.frame_shift
        """Seconds between frames of features."""

    def prepared(
        self,
        speech: Iterable[SpokenText],
        variants: SoundVariants,
        unused: dict[str, str],
        counter: Counter,
    ) -> Iterable[SupervisedUtterance]:
        """Utterances whose text can be said and whose sound can be read."""
        for spoken in speech:
            try:
                if not (spoken.text or "").strip():
                    raise DataError("it has no text")
                graph = self._supervision.text_graph(spoken.text or "")
                from_text_graph(graph)
                inputs = self.heard(spoken, variants)
            except (AudioError, DataError) as error:
                unused[spoken.id] = str(error)
                continue
            finally:
                counter()
            yield SupervisedUtterance(spoken.id, graph, inputs)

    def heard(self, spoken: SpokenText, variants: SoundVariants) -> dict[str, Inputs]:
        """What the network takes of each variant of a sound.

        Raises:
            AudioError: it cannot be read.
            DataError: it is too short.
        """
        rate = self._front_end.sample_rate
        samples = spoken.samples(rate)
        if len(samples) < SHORTEST * rate:
            raise DataError("it is shorter than a tenth of a second")
        made = variants(spoken.id, speaker_of(spoken), samples, rate)
        return {variant.name: self._inputs(variant.heard) for variant in made}

    def _inputs(self, samples: NDArray[np.float32]) -> Inputs:
        key = hashlib.sha256(samples.tobytes()).hexdigest() if self._store is not None else ""
        kept = None if self._store is None else self._store.find(key)
        if kept is not None:
            return kept, None
        with torch.no_grad():
            feats, ivector = self._front_end.inputs(samples)
        if self._store is not None:
            return self._store.keep(key, feats), None
        return feats.cpu(), None if ivector is None else ivector.cpu()

    def forget(self) -> None:
        """Delete what was kept on disk: the training is over."""
        if self._store is not None:
            self._store.remove()

    def pronounced(self, sentences: Sequence[str], seed: int) -> list[list[str]]:
        """The phones of sentences, as they might be said; what cannot be said is left out."""
        generator = np.random.default_rng(seed)
        found = []
        for sentence in sentences:
            try:
                graph = self._supervision.text_graph(sentence, tell=False)
                found.append(random_phones(self._supervision, graph, generator))
            except DataError:
                continue
        return found

    def ways(self, utterances: Sequence[SupervisedUtterance], seed: int) -> list[list[str]]:
        """The phones of a way to say each text, drawn at random: so that each has one at least.

        What an aligner heard may be none of them, such as a pause within an eojeol.
        """
        generator = np.random.default_rng(seed)
        return [random_phones(self._supervision, one.graph, generator) for one in utterances]

    def examples(
        self,
        utterances: Sequence[SupervisedUtterance],
        lm: PhoneLm,
        unseen: float,
        unused: dict[str, str],
    ) -> list[Example]:
        """An example for each utterance and variant, but those that the n-gram cannot say."""

        def said(graph: TextGraph) -> HmmGraph:
            return numerator(from_text_graph(graph), self._supervision.phones(graph), lm, unseen)

        return examples_of(utterances, said, unused)


def examples_of(
    utterances: Iterable[SupervisedUtterance],
    said: Callable[[TextGraph], HmmGraph],
    unused: dict[str, str],
) -> list[Example]:
    """An example for each utterance and variant.

    Args:
        said: all ways to say a text; where it raises DataError, the utterance is left out.
        unused: id → why an utterance was left out.
    """
    found = []
    for utterance in utterances:
        try:
            target = PreparedGraph(said(utterance.graph))
        except DataError as error:
            unused[utterance.id] = str(error)
            continue
        for name, (feats, ivector) in utterance.inputs.items():
            found.append(Example(f"{utterance.id}×{name}", feats, ivector, target))
    return found


def fingerprint(
    examples: Sequence[Example], denominator: Sequence[NDArray[Any]], weights: Mapping[str, Tensor]
) -> str:
    """SHA-256 of what a training begins with: a run goes on only with the same."""
    digest = hashlib.sha256()
    for example in examples:
        digest.update(f"{example.id} {example.frames}\n".encode())
        for array in example.target.identity():
            digest.update(np.ascontiguousarray(array).tobytes())
    for array in denominator:
        digest.update(np.ascontiguousarray(array).tobytes())
    for name, weight in sorted(weights.items()):
        digest.update(name.encode())
        digest.update(weight.detach().cpu().numpy().tobytes())
    return digest.hexdigest()


def told(unused: Mapping[str, str]) -> None:
    """Warn of utterances that are left out."""
    for name, why in list(unused.items())[:5]:
        log.warning("%s is left out: %s", name, why)
    if len(unused) > 5:
        log.warning("%d utterances are left out in all", len(unused))
