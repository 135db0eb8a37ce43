"""Training a hybrid DNN-HMM: frame cross-entropy on a Gaussian mixture system's alignments.

G. Dahl et al., "Context-dependent pre-trained deep neural networks for large-vocabulary speech
recognition", 2012; Kaldi's steps/nnet/train.sh. The network takes what the system's Gaussians take
(so with fMLLR where the system has speakers' transforms), spliced.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor

from asr.acoustic.mlp import Mlp, MlpConfig, log_priors
from asr.errors import DataError, UsageError
from asr.gmm.adapted import align_adapted
from asr.gmm.alignment import Alignment
from asr.gmm.corpus import Corpus, Transforms
from asr.gmm.features import Spoken
from asr.gmm.folder import read_aligned
from asr.gmm.model import GmmModel
from asr.hybrid.model import HybridModel
from asr.hybrid.pretrained import pretrained_layers
from asr.pretraining.greedy import GreedyConfig
from asr.progress import Progress, silent
from asr.training.batch import Example
from asr.training.config import TrainConfig
from asr.training.cross_entropy import CrossEntropy
from asr.training.distributed import is_first_process
from asr.training.evaluation import DEV, DevSet, Evaluation, watching
from asr.training.source import MemoryBatches
from asr.training.trainer import Summary, train

Pretraining = Literal["none", "rbm", "autoencoder"]
Nonlinearity = Literal["sigmoid", "relu"]


@dataclass(frozen=True, slots=True)
class HybridConfig:
    """Options.

    Attributes:
        layers, dim: hidden layers of the network and their width.
        context: frames to either side that it reads.
        pretrain: how its layers are trained before, on speech without texts.
        pretrain_epochs: times through that speech, each layer.
        training: of the trainer.
        nonlinearity: of the hidden layers: sigmoid, the historical one, or relu, with batch norm.
            None: sigmoid where they are pre-trained, else relu, which learns well without.
    """

    layers: int = 4
    dim: int = 512
    context: int = 7
    pretrain: Pretraining = "none"
    pretrain_epochs: int = 4
    training: TrainConfig = field(
        default_factory=lambda: TrainConfig(
            epochs=6, learning_rate=1e-3, final_learning_rate=2e-5, max_frames=2000,
            weight_decay=1e-3, checkpoint_every=200, dropout="0.1,0.1",
        )
    )  # fmt: skip
    nonlinearity: Nonlinearity | None = None

    def __post_init__(self) -> None:
        if self.pretrain not in get_args(Pretraining):
            raise UsageError(
                f"pretrain is {self.pretrain!r}; choose {', '.join(get_args(Pretraining))}"
            )
        if self.pretrain_epochs < 1:
            raise UsageError("pre-training takes one epoch at least")
        if self.nonlinearity not in (None, *get_args(Nonlinearity)):
            raise UsageError(f"nonlinearity is {self.nonlinearity!r}; choose sigmoid or relu")
        if self.pretrain != "none" and self.nonlinearity == "relu":
            raise UsageError("layers are pre-trained as sigmoids: leave out the nonlinearity relu")

    def network(self, model: GmmModel) -> MlpConfig:
        """What is built."""
        default: Nonlinearity = "relu" if self.pretrain == "none" else "sigmoid"
        nonlinearity = self.nonlinearity or default
        return MlpConfig(
            feature_dim=model.dim, num_pdfs=model.num_pdfs, context=self.context,
            layers=self.layers, dim=self.dim, batch_norm=nonlinearity == "relu",
            nonlinearity=nonlinearity, seed=self.training.seed,
        )  # fmt: skip

    def greedy(self) -> GreedyConfig:
        """Of the pre-training."""
        kind: Any = self.pretrain
        return GreedyConfig(kind=kind, layers=self.layers, dim=self.dim,
                            epochs=self.pretrain_epochs, seed=self.training.seed)  # fmt: skip


@dataclass(frozen=True, slots=True)
class HybridReport:
    """How it went.

    Attributes:
        utterances: trained on.
        frames: of them.
        unused: id → why it was left out.
        pretrained: frames that layers were pre-trained on.
        summary: of the trainer.
    """

    utterances: int
    frames: int
    unused: dict[str, str]
    pretrained: int
    summary: Summary


def train_hybrid(
    system: Path,
    speech: Sequence[Spoken],
    out: Path,
    work: Path,
    *,
    dev: Sequence[Spoken] = (),
    untranscribed: Sequence[Spoken] = (),
    config: HybridConfig | None = None,
    licence: str = "",
    attribution: str = "",
    progress: Progress = silent,
    device: str = "cpu",
) -> HybridReport:
    """Train a network on a system's alignments, and write a hybrid.

    Args:
        system: folder of a system of ``asr gmm``, trained on the same speech.
        speech: what is trained on.
        out: the hybrid's folder.
        work: folder of checkpoints; a run that was killed goes on from there.
        dev: the weights that do best on these are kept.
        untranscribed: further speech for pre-training; texts are not looked at.
        config: options.
        licence, attribution: of the speech.

    Raises:
        DataError: no utterance can be used.
        ModelError: the system cannot be read.
        UsageError: options that do not fit each other.
    """
    config = config or HybridConfig()
    if untranscribed and config.pretrain == "none":
        raise UsageError("untranscribed speech is for pre-training: choose rbm or autoencoder")
    state, corpus, aligned = read_aligned(system, speech, lambda d, w: progress(0.1 * d, w))
    model = state.model
    unused = {name: f"{system} has not aligned it" for name in corpus.ids if name not in aligned}
    unused |= corpus.failures
    examples = _examples(corpus, model, aligned, state.transforms)
    network = Mlp(config.network(model))
    pretrained = 0
    if config.pretrain == "none":
        _normalise(network, [example.feats for example in examples])
    else:
        stack, pretrained = pretrained_layers(
            model, {one.id: one.feats for one in examples}, untranscribed, config.context,
            config.greedy(), work, lambda d, w: progress(0.1 + 0.3 * d, w), device,
        )  # fmt: skip
        stack.initialise(network.hidden_layers())
        network.normalise_input(stack.mean, stack.deviation)
    evaluations: dict[str, Evaluation] = {}
    if dev:
        evaluations[DEV] = _dev_set(config.training, model, dev)
    training = watching(config.training, evaluations)
    begin = {"system": system.name, "data": _fingerprint(examples)}
    summary = train(
        network, CrossEntropy(), MemoryBatches(examples, training.max_frames, training.seed),
        evaluations, training, work, lambda d, w: progress(0.4 + 0.58 * d, w), device, begin,
    )  # fmt: skip
    report = HybridReport(
        len(examples), sum(one.frames for one in examples), unused, pretrained, summary
    )
    if is_first_process():
        priors = log_priors(_counts(aligned, model.num_pdfs))
        hybrid = HybridModel(model, network.cpu().to_hybrid(priors))
        hybrid.save(out, _history(report, config), licence, attribution)
    progress(1.0, "done")
    return report


def _examples(
    corpus: Corpus,
    model: GmmModel,
    alignments: Mapping[str, Alignment],
    transforms: Transforms | None,
) -> list[Example]:
    found = []
    for name, alignment in alignments.items():
        feats = torch.from_numpy(np.array(corpus.features(name, model, transforms), np.float32))
        if len(feats) != len(alignment.pdf):
            raise DataError(f"{name} is {len(feats)} frames long and its alignment"
                            f" {len(alignment.pdf)}: align it anew")  # fmt: skip
        found.append(Example(name, feats, None, torch.from_numpy(alignment.pdf.astype(np.int64))))
    return found


def _dev_set(training: TrainConfig, model: GmmModel, dev: Sequence[Spoken]) -> DevSet:
    """As the system aligns it."""
    corpus = Corpus.read(dev, model.front_end)
    state = align_adapted(model, corpus)
    examples = _examples(corpus, model, state.alignments, state.transforms)
    return DevSet(MemoryBatches(examples, training.max_frames, shuffle=False), CrossEntropy())


def _normalise(network: Mlp, feats: Sequence[Tensor]) -> None:
    frames = torch.cat(list(feats))
    network.normalise_input(frames.mean(0), frames.std(0))


def _counts(alignments: Mapping[str, Alignment], pdfs: int) -> np.ndarray:
    counts = np.zeros(pdfs, np.int64)
    for alignment in alignments.values():
        counts += np.bincount(alignment.pdf, minlength=pdfs)
    return counts


def _fingerprint(examples: Sequence[Example]) -> str:
    """SHA-256 of what is trained on: a run goes on only with the same."""
    digest = hashlib.sha256()
    for example in examples:
        digest.update(f"{example.id}\0".encode())
        digest.update(example.feats.numpy().tobytes())
        digest.update(example.target.numpy().tobytes())
    return digest.hexdigest()


def _history(report: HybridReport, config: HybridConfig) -> dict[str, Any]:
    """What a model keeps of its training, as JSON."""
    options = asdict(config)
    options["training"] = config.training.to_json()
    return {
        "objective": "cross-entropy", "utterances": report.utterances, "frames": report.frames,
        "left_out": len(report.unused), **options, "metrics": report.summary.metrics,
        "chosen_step": report.summary.chosen_step,
    }  # fmt: skip
