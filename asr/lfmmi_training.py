"""Training a network by LF-MMI on transcribed speech: what is the same for old and new networks."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from asr.acoustic.network import AcousticNetwork
from asr.chain.denominator import denominator
from asr.chain.hmm_graph import HmmGraph
from asr.chain.objective import LfMmiConfig
from asr.chain.phone_lm import PhoneLmConfig, estimate_phone_lm
from asr.chain.training import LfMmiObjective
from asr.data.conditions import ConditionsConfig
from asr.errors import DataError, UsageError
from asr.graph.emissions import Emissions
from asr.progress import Progress
from asr.supervised_speech import SupervisedSpeech, SupervisedUtterance, fingerprint, told
from asr.training.batch import Example
from asr.training.config import TrainConfig
from asr.training.evaluation import DevSet, Evaluation, watching
from asr.training.source import MemoryBatches
from asr.training.trainer import Summary, train

UNSEEN = 1e-4
"""Probability of a phone in dev texts that training texts do not have after the phones before."""


@dataclass(frozen=True, slots=True)
class LfMmiTrainingConfig:
    """Options.

    Attributes:
        speeds: at which the training speech is played, each as speech of its own.
        training: of the trainer.
        lfmmi: of the objective.
        phone_lm: of the denominator.
        augment: copies of the training speech in rooms, noise and the like, each at one of the
            speeds.
    """

    speeds: tuple[float, ...] = (1.0, 0.9, 1.1)
    training: TrainConfig = field(default_factory=TrainConfig)
    lfmmi: LfMmiConfig = field(default_factory=LfMmiConfig)
    phone_lm: PhoneLmConfig = field(default_factory=PhoneLmConfig)
    augment: ConditionsConfig = field(default_factory=ConditionsConfig)

    def __post_init__(self) -> None:
        if 1.0 not in self.speeds or not all(0.5 <= speed <= 2.0 for speed in self.speeds):
            raise UsageError("speeds must lie between 0.5 and 2 and hold 1")


@dataclass(frozen=True, slots=True)
class TrainingReport:
    """How it went.

    Attributes:
        utterances: trained on (however many variants there are of each).
        seconds: of speech in them.
        unused: id → why it was left out.
        denominator: states and edges of the denominator.
        summary: of the trainer.
    """

    utterances: int
    seconds: float
    unused: dict[str, str]
    denominator: tuple[int, int]
    summary: Summary

    def history(self, config: LfMmiTrainingConfig) -> dict[str, Any]:
        """What a model keeps of its training, as JSON."""
        return {
            "objective": config.lfmmi.name,
            "utterances": self.utterances,
            "seconds": round(self.seconds, 1),
            "left_out": len(self.unused),
            "speeds": list(config.speeds),
            "augment": asdict(config.augment),
            "training": config.training.to_json(),
            "lfmmi": asdict(config.lfmmi),
            "phone_lm": asdict(config.phone_lm),
            "metrics": self.summary.metrics,
            "chosen_step": self.summary.chosen_step,
        }


@dataclass(frozen=True, slots=True, eq=False)
class TrainingSpeech:
    """What is trained on.

    Attributes:
        speech: makes examples of it.
        kept: the utterances that can be used.
        phones: id → the phones that were said, of all that were aligned.
        sets: by name (:data:`asr.training.evaluation.DEV`, ``GUARD``): utterances to evaluate on.
        phone_text: further sentences for the denominator's phone n-gram.
        unused: id → why it is left out; more are added.
    """

    speech: SupervisedSpeech
    kept: Sequence[SupervisedUtterance]
    phones: Mapping[str, Sequence[str]]
    sets: Mapping[str, Sequence[SupervisedUtterance]]
    phone_text: Sequence[str]
    unused: dict[str, str]


def train_lfmmi(
    network: AcousticNetwork,
    data: TrainingSpeech,
    emissions: Emissions,
    config: LfMmiTrainingConfig,
    work: Path,
    origin: Mapping[str, str],
    progress: Progress,
    device: torch.device | str,
    taught: Callable[[list[Example], HmmGraph], list[Example]] | None = None,
) -> TrainingReport:
    """Train a network in place.

    Args:
        emissions: the network's pdfs by phone.
        work: folder of checkpoints; a run that was killed goes on from there.
        origin: what the network begins as; a run goes on only with the same.
        taught: from the examples and the denominator to those that are trained on in their place.

    Raises:
        DataError: no utterance can be used.
        ModelError: a model of another kind than chain models with left context.
    """
    seed, unused = config.training.seed, data.unused
    others = data.speech.pronounced(data.phone_text, seed)
    others += data.speech.ways(data.kept, seed)
    lm = estimate_phone_lm([*data.phones.values(), *others], config.phone_lm)
    graph = denominator(lm, emissions)
    objective = LfMmiObjective(graph, config.lfmmi)
    aligned = [one for one in data.kept if one.id in data.phones]
    examples = data.speech.examples(aligned, lm, 0.0, unused)
    if not examples:
        raise nothing_left(len(data.kept), unused)
    if taught is not None:
        examples = taught(examples, graph)
    sets = {name: found for name, found in data.sets.items() if found}
    training = watching(config.training, sets)
    evaluations: dict[str, Evaluation] = {
        name: DevSet(
            MemoryBatches(
                data.speech.examples(found, lm, UNSEEN, unused), training.max_frames, shuffle=False
            ),
            objective,
        )
        for name, found in sets.items()
    }
    told(unused)
    batches = MemoryBatches(examples, training.max_frames, training.seed)
    begin = {**origin, "data": fingerprint(examples, graph, network.state_dict())}
    weights = (config.lfmmi.mmi, config.lfmmi.smbr)
    if weights != (1.0, 0.0):  # another loss: its best weights are not comparable
        begin["objective"] = "{:g} MMI + {:g} sMBR".format(*weights)
    if config.augment.copies:
        begin["augment"] = json.dumps(asdict(config.augment))
    summary = train(
        network, objective, batches, evaluations, training, work,
        lambda done, what: progress(0.35 + 0.6 * done, what), device, begin,
    )  # fmt: skip
    used = [one for one in data.kept if one.id not in unused]
    seconds = sum(len(one.plain[0]) for one in used) * data.speech.frame_shift
    return TrainingReport(len(used), seconds, unused, (graph.states, graph.edges), summary)


def nothing_left(count: int, unused: Mapping[str, str]) -> DataError:
    """The error where all of ``count`` utterances had to be left out."""
    return DataError(
        f"none of the {count} utterances can be trained on"
        f" ({next(iter(unused.values()), 'there are none')})"
    )
