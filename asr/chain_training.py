"""A chain model from nothing but speech, texts and a GMM's alignments of them: LF-MMI.

Kaldi's steps/nnet3/chain: the GMM's alignments give the context tree (left context, one state a
phone, a third of the frames) and how the texts were said; the network begins from random weights.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from asr.acoustic.encoder_front_end import EncoderFrontEnd, SpeechEncoder
from asr.acoustic.encoder_top import TOP, EncoderTop
from asr.acoustic.front_end import FrontEnd, SpectralFrontEnd
from asr.acoustic.network import AcousticNetwork
from asr.acoustic.networks import build_network, load_network, network_section
from asr.bundle import (
    ACOUSTIC_FILE,
    ENCODER_FILE,
    GRAPH_FILE,
    IVECTOR_FILE,
    LM_FILE,
    TREE_FILE,
    Manifest,
    write_bundle,
)
from asr.chain.supervision import TextSupervision
from asr.data_files import DEFAULT_LM, shipped
from asr.decoder.confidence import ConfidenceConfig
from asr.decoder.config import DecoderConfig
from asr.decoder.rescoring import RescoringConfig
from asr.errors import UsageError
from asr.features.ivector import IvectorExtractor
from asr.gmm.chain_tree import chain_tree
from asr.gmm.features import Spoken
from asr.gmm.folder import read_aligned
from asr.graph.emissions import EmissionModel
from asr.graph.hcl import HclGraph
from asr.graph.lexicon import LexiconConfig
from asr.graph_building import attributions, graph_tensors, licences, tree_section
from asr.hmm.context import ContextTree
from asr.hmm.pdf_table import PdfTable
from asr.hmm.topology import SILENCE_ID, SURFACE_PHONES
from asr.hmm.tree import TreeConfig
from asr.ivector_model import HIRES_MFCC, read_extractor
from asr.lfmmi_training import (
    LfMmiTrainingConfig,
    TrainingReport,
    TrainingSpeech,
    nothing_left,
    train_lfmmi,
)
from asr.lm.automaton import LmAutomaton
from asr.lm.binary import load_model
from asr.pretraining import NETWORK_FOLDER
from asr.pretraining.masked import take_over
from asr.progress import Progress, silent
from asr.supervised_speech import Counter, SupervisedSpeech, SupervisedUtterance
from asr.training.config import TrainConfig
from asr.training.distributed import is_first_process
from asr.training.evaluation import DEV


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
    front_end = _front_end(config, ivectors, encoder)
    automaton = load_model(lm if lm is not None else shipped(DEFAULT_LM))
    progress(0.0, "growing the context tree")
    phones, table = _phones_and_tree(system, speech, config)
    tree = context_tree(table)
    emissions = EmissionModel.from_tree(tree, SURFACE_PHONES)
    graph = graph_tensors(emissions, automaton)
    network = _network(config, table.num_pdfs, front_end)
    hcl = HclGraph.from_tensors({k: v for k, v in graph.items() if k != "lookahead"})
    supervised = SupervisedSpeech(front_end, TextSupervision(hcl, automaton.vocabulary.ids))
    unused: dict[str, str] = {}
    counter = Counter(progress, max(1, len(speech) + len(dev)))
    kept = []
    for one in supervised.prepared(speech, config.speeds, unused, counter):
        if one.id in phones:
            kept.append(one)
        else:
            unused[one.id] = f"{system} has not aligned it"
    held_out = list(supervised.prepared(dev, (1.0,), unused, counter))
    if not kept:
        raise nothing_left(len(speech), unused)
    _normalise(network, kept)
    if pretrained is not None:
        take_over(load_network(pretrained / NETWORK_FOLDER), network)
    data = TrainingSpeech(supervised, kept, phones, {DEV: held_out}, phone_text, unused)
    origin = {"system": system.name}
    report = train_lfmmi(network, data, emissions, config, work, origin, progress, device)
    if is_first_process():
        model = _Model(network.cpu(), front_end, tree, graph, automaton, ivectors)
        _write(out, model, report, config, name, (licence, attribution))
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


def _front_end(
    config: ChainConfig, ivectors: Path | None, encoder: SpeechEncoder | None
) -> FrontEnd:
    if encoder is not None:
        if ivectors is not None:
            raise UsageError("an encoder's states need no i-vectors: give one of the two")
        learning, mixed = (
            int(config.network.get(name, default)) if _is_top(config) else default
            for name, default in (("layers", 0), ("mixed", 1))
        )
        if learning > encoder.layers:
            raise UsageError(f"the encoder has {encoder.layers} layers, {learning} cannot learn")
        try:
            return EncoderFrontEnd(encoder, encoder.layers - learning, mixed)
        except ValueError as error:
            raise UsageError(f'"mixed" of the network: {error}') from None
    if _is_top(config):
        raise UsageError("an encoder-top network needs the encoder that it is the top of")
    extractor = None
    if ivectors is not None:
        params, options, _ = read_extractor(ivectors)
        extractor = IvectorExtractor(params, options)
    return SpectralFrontEnd(HIRES_MFCC, extractor)


def _network(config: ChainConfig, pdfs: int, front_end: FrontEnd) -> AcousticNetwork:
    widths = {
        "feature_dim": front_end.dim, "ivector_dim": front_end.ivector_dim, "num_pdfs": pdfs
    }  # fmt: skip
    network = build_network({**config.network, **widths})
    if isinstance(network, EncoderTop) and isinstance(front_end, EncoderFrontEnd):
        network.take_blocks(front_end.encoder.upper_blocks(network.config.layers))
    return network


def _is_top(config: ChainConfig) -> bool:
    return config.network.get("kind") == TOP


def _normalise(network: AcousticNetwork, utterances: Sequence[SupervisedUtterance]) -> None:
    feats = torch.cat([one.inputs[1.0][0] for one in utterances[:500]])
    network.normalise_input(feats.mean(0), feats.std(0))


@dataclass(frozen=True, slots=True, eq=False)
class _Model:
    network: AcousticNetwork
    front_end: FrontEnd
    tree: ContextTree
    graph: Mapping[str, np.ndarray]
    lm: LmAutomaton
    ivectors: Path | None


def _write(
    out: Path,
    model: _Model,
    report: TrainingReport,
    config: ChainConfig,
    name: str,
    terms: tuple[str, str],
) -> None:
    description, weights = network_section(model.network)
    tensors: dict[str, Mapping[str, np.ndarray]] = {
        ACOUSTIC_FILE: {key: weight.detach().numpy() for key, weight in weights.items()},
        GRAPH_FILE: model.graph,
        LM_FILE: model.lm.to_tensors(),
        TREE_FILE: model.tree.to_tensors(),
    }
    now = {
        "network": dict(config.network), "leaves": config.leaves, **report.history(config)
    }  # fmt: skip
    sections: dict[str, Any] = {
        "features": model.front_end.section(),
        "acoustic": {**description, "scale": config.scale},
        "graph": {"lexicon": asdict(LexiconConfig())},
        "tree": tree_section(SURFACE_PHONES),
        "lm": model.lm.metadata(),
        "decoder": asdict(DecoderConfig()),
        "confidence": asdict(ConfidenceConfig()),
        "rescoring": asdict(RescoringConfig()),
        "training": [now],
    }
    if model.ivectors is not None:
        params, options, _ = read_extractor(model.ivectors)
        tensors[IVECTOR_FILE] = {
            key: np.asarray(array) for key, array in params.to_tensors().items()
        }
        sections["ivector"] = asdict(options)
    if isinstance(model.front_end, EncoderFrontEnd):
        tensors |= _encoder_tensors(model.front_end)
    licence, attribution = terms
    manifest = Manifest(
        name=name,
        language="ko",
        sample_rate=model.front_end.sample_rate,
        licence=licences(licence or "that of the speech it was trained on", model.lm),
        attribution=attributions(attribution, model.lm.attribution),
        sections=sections,
    )
    write_bundle(out, manifest, tensors)


def _encoder_tensors(front_end: EncoderFrontEnd) -> dict[str, dict[str, np.ndarray]]:
    """An encoder that not every installation has goes with the model."""
    from asr.encoders.store import encoder_arrays, is_known

    encoder = front_end.encoder
    if is_known(encoder.reference()):
        return {}
    return {ENCODER_FILE: encoder_arrays(encoder)}
