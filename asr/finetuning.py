"""Train an imported model on: LF-MMI on new speech, without forgetting the old.

The network, its features and i-vectors, its context tree and graph are those of a bundle; what
changes are the network's weights.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
import torch

from asr.acoustic.nnet import Nnet
from asr.acoustic.scorer import AcousticScorer
from asr.bundle import ACOUSTIC_FILE, GRAPH_FILE, IVECTOR_FILE, Bundle, write_bundle
from asr.chain.denominator import denominator
from asr.chain.objective import LfMmiConfig
from asr.chain.phone_lm import PhoneLmConfig, estimate_phone_lm
from asr.chain.supervision import TextSupervision
from asr.chain.training import LfMmiObjective
from asr.errors import DataError, UsageError
from asr.graph.hcl import HclGraph
from asr.graph_building import read_emissions
from asr.progress import Progress, silent
from asr.supervised_speech import (
    Counter,
    SpokenText,
    SupervisedSpeech,
    SupervisedUtterance,
    fingerprint,
    told,
)
from asr.training.config import TrainConfig
from asr.training.evaluation import DevSet, Evaluation
from asr.training.source import MemoryBatches
from asr.training.trainer import Summary, train

log = logging.getLogger(__name__)

DEV, GUARD = "dev", "guard"
UNSEEN = 1e-4
"""Probability of a phone in dev texts that training texts do not have after the phones before."""


@dataclass(frozen=True, slots=True)
class FinetuneConfig:
    """Options.

    Attributes:
        speeds: at which the training speech is played, each as speech of its own.
        training: of the trainer.
        lfmmi: of the objective; the network of a bundle has no second head for ``xent``.
        phone_lm: of the denominator.
    """

    speeds: tuple[float, ...] = (1.0, 0.9, 1.1)
    training: TrainConfig = field(
        default_factory=lambda: TrainConfig(
            epochs=3, learning_rate=3e-4, final_learning_rate=3e-5, max_frames=6000,
            weight_decay=0.0, keep_checkpoints=2, checkpoint_every=50, clip_norm=5.0,
        )
    )  # fmt: skip
    lfmmi: LfMmiConfig = field(default_factory=lambda: LfMmiConfig(xent=0.0))
    phone_lm: PhoneLmConfig = field(default_factory=PhoneLmConfig)

    def __post_init__(self) -> None:
        if 1.0 not in self.speeds or not all(0.5 <= speed <= 2.0 for speed in self.speeds):
            raise UsageError("speeds must lie between 0.5 and 2 and hold 1")


@dataclass(frozen=True, slots=True)
class FinetuneReport:
    """How it went.

    Attributes:
        utterances: trained on (each speed counted once).
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


def finetune(
    bundle: Bundle,
    speech: Sequence[SpokenText],
    out: Path,
    work: Path,
    *,
    dev: Sequence[SpokenText] = (),
    guard: Sequence[SpokenText] = (),
    phone_text: Sequence[str] = (),
    config: FinetuneConfig | None = None,
    name: str | None = None,
    licence: str = "",
    attribution: str = "",
    progress: Progress = silent,
    device: str = "cpu",
) -> FinetuneReport:
    """Train a bundle's network on speech, and write it as a bundle of its own.

    Args:
        bundle: an opened model with one HMM state a phone and left context.
        speech: what is trained on.
        out: the new bundle.
        work: folder of checkpoints; a run that was killed goes on from there.
        dev: the weights that do best on these are kept.
        guard: of another kind, that the model must not forget: weights that do worse on these than
            before (by more than ``guard_tolerance`` of the training options) are not kept.
        phone_text: further sentences for the denominator's phone n-gram: what people might have
            said. Some thousands of any kind help much where there are few hours of speech.
        config: options.
        name: of the new model; None for the old one's with ``-tuned``.
        licence, attribution: of the speech, added to the old model's.
        device: "cpu", "cuda" or "cuda:N".

    Raises:
        DataError: no utterance can be used.
        ModelError: a model of another kind.
    """
    config = config or FinetuneConfig()
    parts = Parts(bundle, device)
    unused: dict[str, str] = {}
    steps = (len(speech) * len(config.speeds)) + len(dev) + len(guard)
    counter = Counter(progress, max(1, steps))
    kept = list(parts.prepared(speech, config.speeds, unused, counter))
    sets = {
        DEV: list(parts.prepared(dev, (1.0,), unused, counter)),
        GUARD: list(parts.prepared(guard, (1.0,), unused, counter)),
    }
    if not kept:
        raise DataError(
            f"none of the {len(speech)} utterances can be trained on"
            f" ({next(iter(unused.values()), 'there are none')})"
        )
    progress(0.3, "aligning")
    phones = parts.spoken(kept, unused)
    if not phones:
        raise DataError(f"no text fits its sound ({next(iter(unused.values()))})")
    progress(0.32, "phone n-gram")
    others = parts.pronounced(phone_text, config.training.seed)
    others += parts.ways(kept, config.training.seed)
    lm = estimate_phone_lm([*phones.values(), *others], config.phone_lm)
    den = denominator(lm, read_emissions(bundle))
    objective = LfMmiObjective(den, config.lfmmi)
    examples = parts.examples([u for u in kept if u.id in phones], lm, 0.0, unused)
    training = watching(config.training, {name for name, found in sets.items() if found})
    evaluations: dict[str, Evaluation] = {
        name: DevSet(
            MemoryBatches(
                parts.examples(found, lm, UNSEEN, unused), training.max_frames, shuffle=False
            ),
            objective,
        )
        for name, found in sets.items()
        if found
    }
    told(unused)
    network = parts.nnet.requires_grad_(True)
    batches = MemoryBatches(examples, training.max_frames, training.seed)
    summary = train(
        network, objective, batches, evaluations, training, work,
        lambda done, what: progress(0.35 + 0.6 * done, what), device,
        {"from": bundle.manifest.name, "data": fingerprint(examples, den, network.state_dict())},
    )  # fmt: skip
    used = [u for u in kept if u.id not in unused]
    report = FinetuneReport(
        utterances=len(used),
        seconds=sum(len(u.inputs[1.0][0]) for u in used) * parts.frame_shift,
        unused=unused,
        denominator=(den.states, den.edges),
        summary=summary,
    )
    progress(0.97, "writing the model")
    if os.environ.get("RANK", "0") == "0":  # of the processes of torchrun, the first
        _write(bundle, network.cpu(), out, report, config, name, (licence, attribution))
    progress(1.0, "done")
    return report


def watching(training: TrainConfig, sets: set[str]) -> TrainConfig:
    """The options, with the dev set's loss watched and the guard's guarded, where there are any."""
    watch = training.watch or (f"{DEV}/loss" if DEV in sets else "")
    guard = training.guard or (f"{GUARD}/loss" if GUARD in sets else "")
    return replace(training, watch=watch, guard=guard)


class Parts(SupervisedSpeech):
    """What is needed of a bundle."""

    def __init__(self, bundle: Bundle, device: str) -> None:
        sections = bundle.manifest.sections
        ivector = bundle.tensors(IVECTOR_FILE) if IVECTOR_FILE in bundle.files else None
        scorer = AcousticScorer.from_sections(
            sections, bundle.tensors(ACOUSTIC_FILE), ivector, device
        )
        arrays = bundle.tensors(ACOUSTIC_FILE)
        tensors = {name: torch.from_numpy(np.array(array)) for name, array in arrays.items()}
        self.nnet = Nnet.from_spec(sections["acoustic"]["nnet"], tensors)
        self._scale = float(sections["acoustic"]["scale"])
        hcl = HclGraph.from_tensors(
            {k: v for k, v in bundle.tensors(GRAPH_FILE).items() if k != "lookahead"}
        )
        units = {unit: number for number, unit in enumerate(sections["lm"]["units"])}
        super().__init__(scorer, TextSupervision(hcl, units))
        self.frame_shift = scorer.frame_seconds / self.nnet.subsampling

    @torch.inference_mode()
    def spoken(
        self, utterances: Sequence[SupervisedUtterance], unused: dict[str, str]
    ) -> dict[str, list[str]]:
        """The phones of each utterance, as the model that we begin with hears them."""
        phones = {}
        for utterance in utterances:
            feats, ivector = utterance.inputs[1.0]
            outputs, _ = self.nnet(feats[None], None if ivector is None else ivector[None])
            scores = np.ascontiguousarray(outputs[0].numpy() * self._scale)
            try:
                phones[utterance.id] = self._supervision.spoken_phones(utterance.graph, scores)
            except DataError as error:
                unused[utterance.id] = str(error)
        return phones


def _write(
    bundle: Bundle,
    network: Nnet,
    out: Path,
    report: FinetuneReport,
    config: FinetuneConfig,
    name: str | None,
    terms: tuple[str, str],
) -> None:
    """The old bundle with the new weights."""
    description, weights = network.to_spec()
    sections = bundle.manifest.sections
    tensors: dict[str, Mapping[str, np.ndarray]] = {
        part: {key: np.array(array) for key, array in bundle.tensors(part).items()}
        for part in bundle.files
        if part != ACOUSTIC_FILE
    }
    tensors[ACOUSTIC_FILE] = {key: weight.detach().numpy() for key, weight in weights.items()}
    history = [*sections.get("training", ()), _history(bundle, report, config)]
    licence, attribution = terms
    manifest = replace(
        bundle.manifest,
        name=name or f"{bundle.manifest.name}-tuned",
        licence="; trained on: ".join(filter(None, (bundle.manifest.licence, licence))),
        attribution="; ".join(filter(None, (bundle.manifest.attribution, attribution))),
        sections={
            **sections,
            "acoustic": {**sections["acoustic"], "nnet": description},
            "training": history,
        },
    )
    write_bundle(out, manifest, tensors)


def _history(bundle: Bundle, report: FinetuneReport, config: FinetuneConfig) -> dict[str, object]:
    return {
        "objective": "LF-MMI",
        "from": bundle.manifest.name,
        "utterances": report.utterances,
        "seconds": round(report.seconds, 1),
        "left_out": len(report.unused),
        "speeds": list(config.speeds),
        "training": config.training.to_json(),
        "lfmmi": asdict(config.lfmmi),
        "phone_lm": asdict(config.phone_lm),
        "metrics": report.summary.metrics,
        "chosen_step": report.summary.chosen_step,
    }


__all__ = ["FinetuneConfig", "FinetuneReport", "SpokenText", "finetune"]
