"""A strong model teaches a small one: from its posteriors, on speech with texts and without.

The student takes the teacher's context tree, graph and language model; its network begins from
random weights, or from the hidden layers of another model, and learns by LF-MMI from what was said
and from what the teacher heard (:mod:`asr.chain.soft_targets`). The teacher hears the speech as it
was recorded (at each speed), whatever noise the student hears it in.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asr.acoustic.frame_rate import at_frame_rate
from asr.acoustic.front_end import FrontEnd
from asr.acoustic.network import AcousticNetwork
from asr.acoustic.new_output import with_new_output
from asr.acoustic.scorer import AcousticScorer
from asr.bundle import GRAPH_FILE, TREE_FILE, Bundle
from asr.chain.hmm_graph import HmmGraph
from asr.chain.prepared import PreparedGraph
from asr.chain.soft_targets import MixedTarget, SoftTarget
from asr.chain.supervision import TextSupervision
from asr.data.conditions import Conditions
from asr.errors import AudioError, DataError, UsageError
from asr.gmm.features import Spoken
from asr.graph_building import (
    acoustic_terms,
    attributions,
    own_lm,
    read_emissions,
    trained_further,
)
from asr.hmm.context import ContextTree
from asr.lfmmi_training import (
    LfMmiTrainingConfig,
    TrainingReport,
    TrainingSpeech,
    nothing_left,
    train_lfmmi,
)
from asr.new_model import NewModel, new_front_end, new_network, normalise, write_model
from asr.progress import Progress, silent
from asr.sound_variants import AS_RECORDED, SoundVariants
from asr.state_store import StateStore
from asr.supervised_speech import (
    STATES_FOLDER,
    Counter,
    SupervisedSpeech,
    SupervisedUtterance,
    process_folder,
)
from asr.training.batch import Example
from asr.training.config import TrainConfig
from asr.training.distributed import is_first_process
from asr.training.evaluation import DEV

MOST_FRAMES_APART = 3
"""By which the two may differ on the same sound: front ends treat its ends differently."""
_KEPT = ("graph", "tree", "lm", "decoder", "rescoring")
"""Sections that the student has of its teacher."""


@dataclass(frozen=True, slots=True)
class DistillConfig(LfMmiTrainingConfig):
    """Options.

    Attributes:
        weight: of what the teacher heard, where the text is known; the rest is of the text.
        keep: pdfs of a frame that are kept of the teacher's posteriors.
        network: kind and size of the student; None: a TDNN-F, or the layers it begins with.
        scale: weight of the student's scores in the search; chosen on development sets.
    """

    training: TrainConfig = field(
        default_factory=lambda: TrainConfig(
            epochs=6, learning_rate=1e-3, final_learning_rate=1e-4, max_frames=6000,
            weight_decay=1e-4, checkpoint_every=50, dropout="0,0@0.2,0.3@0.5,0",
        )
    )  # fmt: skip
    weight: float = 0.5
    keep: int = 16
    network: Mapping[str, Any] | None = None
    scale: float = 1.4

    def __post_init__(self) -> None:
        LfMmiTrainingConfig.__post_init__(self)
        if not 0.0 <= self.weight <= 1.0 or self.keep < 1:
            raise UsageError("the teacher's weight lies within 0 and 1, and keep is 1 or more")


class Teacher:
    """A model that hears for another.

    Args:
        bundle: with one HMM state a phone and left context.
        device: where it computes.
        keep: pdfs of a frame that are kept.
        store: keeps what it heard on disk; None: in memory.
        frame_seconds: of what it hears for its student, which may have frames of another length;
            None: its own.
    """

    def __init__(
        self,
        bundle: Bundle,
        device: str,
        keep: int,
        store: StateStore | None = None,
        frame_seconds: float | None = None,
    ) -> None:
        self._scorer = AcousticScorer.from_bundle(bundle, device)
        self._keep, self._store = keep, store
        self.sample_rate = self._scorer.sample_rate
        self.frame_seconds = frame_seconds or self._scorer.frame_seconds

    def scores(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Unscaled, as LF-MMI trained them: float32 [N, pdfs]."""
        scores = self._scorer.scores(samples) / np.float32(self._scorer.scale)
        return np.ascontiguousarray(scores)

    def hears(
        self, samples: NDArray[np.float32], denominator: PreparedGraph, mark: str = ""
    ) -> SoftTarget:
        """The posteriors of all that might have been said.

        Args:
            samples: float32 [N] at the teacher's rate.
            denominator: of all that might be said.
            mark: what tells it from others, for what is kept on disk.

        Raises:
            DataError: the sound is too short for any of it.
        """
        key = hashlib.sha256(mark.encode() + samples.tobytes()).hexdigest()
        kept = None if self._store is None else self._store.find(key)
        if kept is not None:
            return SoftTarget(kept)
        own = self._scorer.frame_seconds
        scores = at_frame_rate(self.scores(samples), own, self.frame_seconds)
        posteriors = np.zeros_like(scores)
        if not len(scores) or not np.isfinite(denominator.add(scores, posteriors, 1.0)):
            raise DataError("it is too short for the teacher")
        target = SoftTarget.of(posteriors, self._keep)
        return target if self._store is None else SoftTarget(self._store.keep(key, target.table))


def distill(
    bundle: Bundle,
    speech: Sequence[Spoken],
    out: Path,
    work: Path,
    *,
    untranscribed: Sequence[Spoken] = (),
    ivectors: Path | None = None,
    pretrained: Bundle | None = None,
    dev: Sequence[Spoken] = (),
    phone_text: Sequence[str] = (),
    config: DistillConfig | None = None,
    name: str | None = None,
    licence: str = "",
    attribution: str = "",
    progress: Progress = silent,
    device: str = "cpu",
) -> TrainingReport:
    """Train a student and write it as a model.

    Args:
        bundle: the teacher.
        speech: with texts.
        out: the student's bundle.
        work: folder of checkpoints; a run that was killed goes on from there.
        untranscribed: further speech, whose texts nobody knows.
        ivectors: a bundle with an i-vector extractor; None for a student without i-vectors.
        pretrained: a model whose front end (i-vectors and all) and hidden layers, a TDNN-F's, the
            student begins with.
        dev: the weights that do best on these are kept.
        phone_text: see :func:`asr.finetuning.finetune`.
        config: options.
        name: of the student; None for the teacher's with ``-student``.
        licence, attribution: of the speech, added to the teacher's.

    Raises:
        DataError: no utterance can be used.
        UsageError: a student of another sample rate, or two ways to begin.
        ModelError: a teacher, or a model to begin with, of another kind.
    """
    config = config or DistillConfig()
    lesson = _Lesson(bundle, config, work, ivectors, pretrained, device)
    lm = own_lm(bundle)  # now: a cached model may be deleted meanwhile, by a newer one's build
    if pretrained is not None:  # it has no second head
        config = replace(config, lfmmi=replace(config.lfmmi, xent=0.0))
    unused: dict[str, str] = {}
    counter = Counter(progress, max(1, len(speech) + len(dev)))
    variants = SoundVariants(config.speeds, Conditions(config.augment, speech))
    kept = list(lesson.prepared(speech, variants, unused, counter))
    sets = {DEV: list(lesson.prepared(dev, AS_RECORDED, unused, counter))}
    if not kept:
        raise nothing_left(len(speech), unused)
    phones = lesson.spoken(speech, kept, unused, progress)
    if pretrained is None:
        normalise(lesson.network, kept)
    data = TrainingSpeech(lesson, kept, phones, sets, phone_text, unused)

    def taught(examples: list[Example], graph: HmmGraph) -> list[Example]:
        every = [*speech, *untranscribed]
        sounds = _sounds(every, variants, lesson.teacher.sample_rate, unused, progress)
        return lesson.taught(examples, sounds, graph, {one.id for one in speech}, unused)

    origin = {"teacher": bundle.manifest.name, "weight": str(config.weight)}
    report = train_lfmmi(
        lesson.network, data, read_emissions(bundle), config, work, origin, progress, device, taught
    )
    if is_first_process():
        old = bundle.manifest
        sections = {key: old.sections[key] for key in _KEPT if key in old.sections}
        if sections.get("rescoring"):  # the encoder would cost more than the student
            sections["rescoring"] = {**sections["rescoring"], "attention_scale": 0.0}
        model = NewModel(
            lesson.network.cpu(), lesson.front_end, lesson.tree, lesson.graph, lm, config.scale,
            sections,
        )  # fmt: skip
        history = {
            "teacher": old.name, "network": lesson.description, "weight": config.weight,
            **({} if pretrained is None else {"from": pretrained.manifest.name}),
            "untranscribed": len(untranscribed), **report.history(config),
        }  # fmt: skip
        terms = _terms([bundle] if pretrained is None else [bundle, pretrained])
        write_model(
            out, model, history, name or f"{old.name}-student",
            (trained_further(terms[0], licence), attributions(terms[1], attribution)),
        )  # fmt: skip
    lesson.forget()
    progress(1.0, "done")
    return report


def _terms(models: Sequence[Bundle]) -> tuple[str, str]:
    """Licences and attributions of all models that a student has anything of, each once."""
    terms = [acoustic_terms(one.manifest) for one in models]
    named = [part for _, attribution in terms for part in attribution.split("; ")]
    licences = dict.fromkeys(licence for licence, _ in terms)
    return "; ".join(licences), attributions(*dict.fromkeys(named))


class _Lesson(SupervisedSpeech):
    """Student and teacher, and the examples that the one makes for the other."""

    def __init__(
        self,
        bundle: Bundle,
        config: DistillConfig,
        work: Path,
        ivectors: Path | None,
        pretrained: Bundle | None,
        device: str,
    ) -> None:
        self.tree = ContextTree.from_tensors(
            {key: np.array(array) for key, array in bundle.tensors(TREE_FILE).items()}
        )
        keep = min(config.keep, self.tree.num_pdfs)
        self.graph = {key: np.array(array) for key, array in bundle.tensors(GRAPH_FILE).items()}
        if pretrained is None:
            self._begin_anew(config, ivectors)
        elif config.network is None and ivectors is None:
            self._begin_with(pretrained)
        else:
            raise UsageError("a model to begin with has its network and i-vectors: give no others")
        units = {unit: place for place, unit in enumerate(bundle.manifest.sections["lm"]["units"])}
        super().__init__(self.front_end, TextSupervision.of_tensors(self.graph, units))
        self._weight, self._leaky = config.weight, config.lfmmi.leaky
        frame = self.front_end.frame_shift * self.network.subsampling
        # the model itself, not its path: another one may come to stand there
        model = [sorted((name, file.sha256) for name, file in bundle.files.items()),
                 bundle.manifest.sections]  # fmt: skip
        self._heard_store = StateStore(
            work / STATES_FOLDER / process_folder(f"teacher {json.dumps(model)} {keep} {frame}"),
            2 * keep, np.int16,
        )  # fmt: skip
        self.teacher = Teacher(bundle, device, keep, self._heard_store, frame)
        if self.teacher.sample_rate != self.front_end.sample_rate:
            raise UsageError(f"the teacher hears {self.teacher.sample_rate} Hz, the student"
                             f" {self.front_end.sample_rate}")  # fmt: skip

    def _begin_anew(self, config: DistillConfig, ivectors: Path | None) -> None:
        self.description = dict(config.network or {"kind": "tdnnf"})
        self.front_end: FrontEnd = new_front_end(self.description, ivectors, None)
        self.network: AcousticNetwork = new_network(
            self.description, self.tree.num_pdfs, self.front_end
        )

    def _begin_with(self, bundle: Bundle) -> None:
        begun = AcousticScorer.from_bundle(bundle)
        self.front_end = begun.front_end
        network = with_new_output(begun.network, self.tree.num_pdfs)
        self.network = network.requires_grad_(True)
        self.description = {"kind": f"that of {bundle.manifest.name}"}

    def spoken(
        self,
        speech: Sequence[Spoken],
        kept: Sequence[SupervisedUtterance],
        unused: dict[str, str],
        progress: Progress,
    ) -> dict[str, list[str]]:
        """The phones of each text, as the teacher hears them."""
        graphs = {one.id: one.graph for one in kept}
        phones = {}
        for number, one in enumerate(speech):
            if number % 20 == 0:
                progress(0.3 + 0.02 * number / len(speech), "the teacher aligns")
            if one.id not in graphs:
                continue
            scores = self.teacher.scores(one.samples(self.teacher.sample_rate))
            try:
                phones[one.id] = self._supervision.spoken_phones(graphs[one.id], scores)
            except DataError as error:
                unused[one.id] = str(error)
        return phones

    def taught(
        self,
        examples: Sequence[Example],
        sounds: Iterator[tuple[str, str, NDArray[np.float32], NDArray[np.float32]]],
        denominator: HmmGraph,
        transcribed: set[str],
        unused: dict[str, str],
    ) -> list[Example]:
        """The examples with what the teacher hears in them, and examples of other speech."""
        prepared = PreparedGraph(denominator, self._leaky)
        graph = hashlib.sha256(b"".join(a.tobytes() for a in prepared.identity())).hexdigest()
        mark = f"{graph} {self._leaky}"
        by_id = {example.id: example for example in examples}
        found = []
        for name, variant, played, heard in sounds:
            example = by_id.get(f"{name}×{variant}")
            if example is None and name in transcribed:
                continue  # its text was no use
            try:
                target = self.teacher.hears(played, prepared, mark)
                if example is None:
                    example = Example(f"{name}×{variant}", *self._inputs(heard))
                self._check_frames(target, example)
            except DataError as error:
                unused[name] = str(error)
                continue
            said = example.target
            soft = target if said is None else MixedTarget(said, target, self._weight)
            found.append(replace(example, target=soft))
        return found

    def _check_frames(self, target: SoftTarget, example: Example) -> None:
        frames = -(-example.frames // self.network.subsampling)
        if abs(frames - target.frames) > MOST_FRAMES_APART:
            raise DataError(f"the teacher has {target.frames} frames of it, the student {frames}")

    def forget(self) -> None:
        """Delete what was kept on disk."""
        super().forget()
        self._heard_store.remove()


def _sounds(
    speech: Sequence[Spoken],
    variants: SoundVariants,
    sample_rate: int,
    unused: dict[str, str],
    progress: Progress,
) -> Iterator[tuple[str, str, NDArray[np.float32], NDArray[np.float32]]]:
    """Of each utterance and variant: their names, what the teacher hears and what the student."""
    for number, one in enumerate(speech):
        if number % 20 == 0:
            progress(0.32 + 0.03 * number / len(speech), "the teacher listens")
        try:
            samples = one.samples(sample_rate)
        except AudioError as error:
            unused[one.id] = str(error)
            continue
        for variant in variants(one.id, one.speaker, samples, sample_rate):
            yield one.id, variant.name, variant.played, variant.heard
