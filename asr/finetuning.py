"""Train an imported model on: LF-MMI on new speech, without forgetting the old.

The network, its features and i-vectors, its context tree and graph are those of a bundle; what
changes are the network's weights.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch

from asr.acoustic.network import AcousticNetwork
from asr.acoustic.networks import network_section
from asr.acoustic.scorer import AcousticScorer
from asr.bundle import ACOUSTIC_FILE, GRAPH_FILE, Bundle, write_bundle
from asr.chain.objective import LfMmiConfig
from asr.chain.supervision import TextSupervision
from asr.data.conditions import Conditions
from asr.errors import DataError
from asr.graph_building import attributions, read_emissions, trained_further
from asr.lfmmi_training import (
    LfMmiTrainingConfig,
    TrainingReport,
    TrainingSpeech,
    nothing_left,
    train_lfmmi,
)
from asr.progress import Progress, silent
from asr.sound_variants import AS_RECORDED, SoundVariants
from asr.supervised_speech import (
    Counter,
    SpokenText,
    SupervisedSpeech,
    SupervisedUtterance,
    state_store,
)
from asr.training.batch import Example, collate
from asr.training.config import TrainConfig
from asr.training.distributed import is_first_process
from asr.training.evaluation import DEV, GUARD


@dataclass(frozen=True, slots=True)
class FinetuneConfig(LfMmiTrainingConfig):
    """Options; the network of a bundle has no second head for ``xent``."""

    training: TrainConfig = field(
        default_factory=lambda: TrainConfig(
            epochs=3, learning_rate=3e-4, final_learning_rate=3e-5, max_frames=6000,
            weight_decay=0.0, keep_checkpoints=2, checkpoint_every=50, clip_norm=5.0,
        )
    )  # fmt: skip
    lfmmi: LfMmiConfig = field(default_factory=lambda: LfMmiConfig(xent=0.0))


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
) -> TrainingReport:
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
    parts = Parts(bundle, device, work)
    unused: dict[str, str] = {}
    counter = Counter(progress, max(1, len(speech) + len(dev) + len(guard)))
    conditions = Conditions(config.augment, speech)
    kept = list(
        parts.prepared(speech, SoundVariants(config.speeds, conditions), unused, counter)
    )
    sets = {
        DEV: list(parts.prepared(dev, AS_RECORDED, unused, counter)),
        GUARD: list(parts.prepared(guard, AS_RECORDED, unused, counter)),
    }
    if not kept:
        raise nothing_left(len(speech), unused)
    # mapped now: a cached model may be deleted meanwhile, by a newer one's build
    others = {part: bundle.tensors(part) for part in bundle.files if part != ACOUSTIC_FILE}
    progress(0.3, "aligning")
    phones = parts.spoken(kept, unused)
    if not phones:
        raise DataError(f"no text fits its sound ({next(iter(unused.values()))})")
    progress(0.32, "phone n-gram")
    network = parts.network.requires_grad_(True)
    data = TrainingSpeech(parts, kept, phones, sets, phone_text, unused)
    origin = {"from": bundle.manifest.name}
    report = train_lfmmi(
        network, data, read_emissions(bundle), config, work, origin, progress, device
    )
    progress(0.97, "writing the model")
    if is_first_process():
        _write(bundle, others, network.cpu(), out, report, config, name, (licence, attribution))
    parts.forget()
    progress(1.0, "done")
    return report


class Parts(SupervisedSpeech):
    """What is needed of a bundle; ``work`` keeps what an encoder hears, as :func:`state_store`."""

    def __init__(self, bundle: Bundle, device: str, work: Path | None = None) -> None:
        sections = bundle.manifest.sections
        scorer = AcousticScorer.from_bundle(bundle, device)
        units = {unit: number for number, unit in enumerate(sections["lm"]["units"])}
        store = None if work is None else state_store(scorer.front_end, work)
        supervision = TextSupervision.of_tensors(bundle.tensors(GRAPH_FILE), units)
        super().__init__(scorer.front_end, supervision, store)
        self.network, self._scale, self._device = scorer.network, scorer.scale, device

    @torch.inference_mode()
    def spoken(
        self, utterances: Sequence[SupervisedUtterance], unused: dict[str, str]
    ) -> dict[str, list[str]]:
        """The phones of each utterance, as the model that we begin with hears them."""
        phones = {}
        for utterance in utterances:
            batch = collate([Example(utterance.id, *utterance.plain)]).to(self._device)
            outputs, _ = self.network(batch.feats, batch.ivectors)
            scores = np.ascontiguousarray(outputs[0].cpu().numpy() * self._scale)
            try:
                phones[utterance.id] = self._supervision.spoken_phones(utterance.graph, scores)
            except DataError as error:
                unused[utterance.id] = str(error)
        return phones


def _write(
    bundle: Bundle,
    others: Mapping[str, Mapping[str, np.ndarray]],
    network: AcousticNetwork,
    out: Path,
    report: TrainingReport,
    config: FinetuneConfig,
    name: str | None,
    terms: tuple[str, str],
) -> None:
    """The old bundle with the new weights."""
    description, weights = network_section(network)
    sections = bundle.manifest.sections
    tensors: dict[str, Mapping[str, np.ndarray]] = {
        part: {key: np.array(array) for key, array in arrays.items()}
        for part, arrays in others.items()
    }
    tensors[ACOUSTIC_FILE] = {key: weight.detach().numpy() for key, weight in weights.items()}
    now = {"from": bundle.manifest.name, **report.history(config)}
    licence, attribution = terms
    manifest = replace(
        bundle.manifest,
        name=name or f"{bundle.manifest.name}-tuned",
        licence=trained_further(bundle.manifest.licence, licence),
        attribution=attributions(bundle.manifest.attribution, attribution),
        sections={
            **sections,
            "acoustic": {**sections["acoustic"], **description},
            "training": [*sections.get("training", ()), now],
        },
    )
    write_bundle(out, manifest, tensors)
