"""A chain model from nothing but speech, texts and a GMM's alignments of them: LF-MMI.

Kaldi's steps/nnet3/chain: the GMM's alignments give the context tree (left context, one state a
phone, a third of the frames) and how the texts were said; the network begins from random weights.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from asr.acoustic.encoder_front_end import SpeechEncoder
from asr.acoustic.encoder_top import TOP
from asr.acoustic.networks import load_network
from asr.chain.supervision import TextSupervision
from asr.data.conditions import Conditions
from asr.data_files import DEFAULT_LM, shipped
from asr.errors import UsageError
from asr.gmm.chain_tree import chain_tree
from asr.gmm.features import Spoken
from asr.gmm.folder import read_aligned
from asr.graph.emissions import EmissionModel
from asr.graph_building import graph_tensors
from asr.hmm.context import ContextTree
from asr.hmm.pdf_table import PdfTable
from asr.hmm.topology import SILENCE_ID, SURFACE_PHONES
from asr.hmm.tree import TreeConfig
from asr.lfmmi_training import (
    LfMmiTrainingConfig,
    TrainingReport,
    TrainingSpeech,
    nothing_left,
    train_lfmmi,
)
from asr.lm.binary import load_model
from asr.new_model import NewModel, new_front_end, new_network, normalise, write_model
from asr.pretraining import NETWORK_FOLDER
from asr.pretraining.masked import take_over
from asr.progress import Progress, silent
from asr.sound_variants import AS_RECORDED, SoundVariants
from asr.supervised_speech import Counter, SupervisedSpeech, state_store
from asr.training.config import TrainConfig
from asr.training.distributed import is_first_process
from asr.training.evaluation import DEV, NOISY


@dataclass(frozen=True, slots=True)
class ChainConfig(LfMmiTrainingConfig):
    """Options.

    Attributes:
        leaves: pdfs of the context tree at most.
        network: kind and size (:func:`asr.acoustic.networks.build_network`); widths of input and
            output are added.
        scale: weight of the new model's scores in the search.
    """

    training: TrainConfig = field(
        default_factory=lambda: TrainConfig(
            epochs=6, learning_rate=1e-3, final_learning_rate=1e-4, max_frames=6000,
            weight_decay=1e-4, checkpoint_every=50, dropout="0,0@0.2,0.3@0.5,0",
        )
    )  # fmt: skip
    leaves: int = 1000
    network: Mapping[str, Any] = field(default_factory=lambda: {"kind": "tdnnf"})
    scale: float = 1.0

    @classmethod
    def for_encoder(cls, layers: int = 3, mixed: int = 1) -> ChainConfig:
        """Of a network on a pre-trained encoder's states, whose upper ``layers`` learn on.

        They learn ten times slower than the new ones, and the weights of ``mixed`` states ten times
        faster (a few numbers that begin far from where they go). The scale was chosen on
        development sets with 20 ms frames.
        """
        if not isinstance(layers, int) or layers < 0:
            raise UsageError(f"an encoder's upper layers are a number of them, not {layers!r}")
        if not isinstance(mixed, int) or mixed < 1:
            raise UsageError(f"an encoder's mixed states are a number of them, not {mixed!r}")
        rates: tuple[tuple[str, float], ...] = ()
        if layers:
            rates += ("network.blocks", 0.1), ("network.norm", 0.1)
        if mixed > 1:
            rates += (("network.mix", 10.0),)
        training = TrainConfig(
            epochs=2, learning_rate=1e-3, final_learning_rate=5e-5, schedule="cosine",
            warmup_steps=50, max_frames=2000, weight_decay=1e-2, checkpoint_every=100, rates=rates,
        )  # fmt: skip
        network = {"kind": TOP, "layers": layers, "mixed": mixed}
        return cls(training=training, network=network, scale=1.4)


def train_chain(
    system: Path,
    speech: Sequence[Spoken],
    out: Path,
    work: Path,
    *,
    lm: Path | None = None,
    ivectors: Path | None = None,
    encoder: SpeechEncoder | None = None,
    pretrained: Path | None = None,
    dev: Sequence[Spoken] = (),
    phone_text: Sequence[str] = (),
    config: ChainConfig | None = None,
    name: str = "ko-chain",
    licence: str = "",
    attribution: str = "",
    progress: Progress = silent,
    device: str = "cpu",
) -> TrainingReport:
    """Train a network from random weights, and write a model.

    Args:
        system: folder of a GMM system (``asr gmm``) trained on the same speech.
        speech: what is trained on.
        out: the model's bundle.
        work: folder of checkpoints; a run that was killed goes on from there.
        lm: language model of ``asr train-lm``; None for the shipped one.
        ivectors: a bundle with an i-vector extractor (``asr train-ivector``); None for a network
            without i-vectors.
        encoder: a pre-trained encoder whose states the network takes in place of MFCC. A network of
            kind ``encoder-top`` begins with the encoder's upper ``layers``, which learn on.
        pretrained: a network of ``asr pretrain --kind masked`` of the same kind and size to begin
            with.
        dev: the weights that do best on these are kept.
        phone_text: see :func:`asr.finetuning.finetune`.
        config: options.
        licence, attribution: of the speech.

    Raises:
        DataError: no utterance can be used.
        ModelError: the system, language model or extractor cannot be read.
    """
    config = config or ChainConfig()
    front_end = new_front_end(config.network, ivectors, encoder)
    automaton = load_model(lm if lm is not None else shipped(DEFAULT_LM))
    progress(0.0, "growing the context tree")
    phones, table = _phones_and_tree(system, speech, config)
    tree = context_tree(table)
    emissions = EmissionModel.from_tree(tree, SURFACE_PHONES)
    graph = graph_tensors(emissions, automaton)
    network = new_network(config.network, table.num_pdfs, front_end)
    supervision = TextSupervision.of_tensors(graph, automaton.vocabulary.ids)
    supervised = SupervisedSpeech(front_end, supervision, state_store(front_end, work))
    unused: dict[str, str] = {}
    heard_twice = len(dev) if config.augment.copies else 0
    counter = Counter(progress, max(1, len(speech) + len(dev) + heard_twice))
    conditions = Conditions(config.augment, speech)
    variants = SoundVariants(config.speeds, conditions)
    kept = []
    for one in supervised.prepared(speech, variants, unused, counter):
        if one.id in phones:
            kept.append(one)
        else:
            unused[one.id] = f"{system} has not aligned it"
    sets = {DEV: list(supervised.prepared(dev, AS_RECORDED, unused, counter))}
    if config.augment.copies:
        noisy = SoundVariants((1.0,), conditions, plain=False)
        sets[NOISY] = list(supervised.prepared(dev, noisy, unused, counter))
    if not kept:
        raise nothing_left(len(speech), unused)
    normalise(network, kept)
    if pretrained is not None:
        take_over(load_network(pretrained / NETWORK_FOLDER), network)
    data = TrainingSpeech(supervised, kept, phones, sets, phone_text, unused)
    origin = {"system": system.name}
    report = train_lfmmi(network, data, emissions, config, work, origin, progress, device)
    if is_first_process():
        model = NewModel(
            network.cpu(), front_end, tree, graph, automaton, config.scale
        )
        history = {
            "network": dict(config.network), "leaves": config.leaves, **report.history(config)
        }  # fmt: skip
        write_model(out, model, history, name, (licence, attribution))
    supervised.forget()
    progress(1.0, "done")
    return report


def _phones_and_tree(
    system: Path, speech: Sequence[Spoken], config: ChainConfig
) -> tuple[dict[str, list[str]], PdfTable]:
    """How each text was said, by the system's alignments; and the chain model's tree."""
    state, corpus, aligned = read_aligned(system, speech)
    tree = chain_tree(
        state.model, corpus, aligned, TreeConfig(leaves=config.leaves, right=False),
        state.transforms,
    )  # fmt: skip
    phones = {
        name: [segment.name for segment in alignment.segments()][
            alignment.segments()[0].phone == SILENCE_ID :
        ]  # the silence before the first phone is the start's own
        for name, alignment in aligned.items()
    }
    return phones, tree.table


def context_tree(table: PdfTable) -> ContextTree:
    """A chain model's table of pdfs as a bundle keeps it.

    Raises:
        UsageError: a table of triphones, or of more states a phone.
    """
    if table.right or table.pdf.shape[3] != 1:
        raise UsageError("the tree of a chain model has left context and one state a phone")
    pdf = np.ascontiguousarray(table.pdf[:, :, SILENCE_ID, 0], np.int32)
    pdf[0] = pdf[SILENCE_ID]  # before the first phone is silence
    return ContextTree(pdf, pdf[:, :, 0] >= 0)
