"""A model that does not exist yet: what hears, the network, and the bundle that both go into."""

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
from asr.acoustic.networks import build_network, network_section
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
from asr.decoder.confidence import LISTENED, ConfidenceConfig
from asr.decoder.config import DecoderConfig
from asr.decoder.rescoring import ATTENTION_SCALE, RescoringConfig
from asr.errors import UsageError
from asr.features.ivector import IvectorExtractor
from asr.graph.lexicon import LexiconConfig
from asr.graph_building import attributions, licences, tree_section
from asr.hmm.context import ContextTree
from asr.hmm.topology import SURFACE_PHONES
from asr.ivector_model import HIRES_MFCC, read_extractor
from asr.lm.automaton import LmAutomaton
from asr.supervised_speech import SupervisedUtterance


def new_front_end(
    network: Mapping[str, Any], ivectors: Path | None, encoder: SpeechEncoder | None
) -> FrontEnd:
    """What a network of this description takes.

    Args:
        network: kind and size.
        ivectors: a bundle with an i-vector extractor; None for none.
        encoder: whose states are taken in place of MFCC; None for MFCC.

    Raises:
        UsageError: parts that do not go together.
        ModelError: the extractor cannot be read.
    """
    if encoder is not None:
        if ivectors is not None:
            raise UsageError("an encoder's states need no i-vectors: give one of the two")
        learning, mixed = (
            int(network.get(name, default)) if _is_top(network) else default
            for name, default in (("layers", 0), ("mixed", 1))
        )
        if learning > encoder.layers:
            raise UsageError(f"the encoder has {encoder.layers} layers, {learning} cannot learn")
        try:
            return EncoderFrontEnd(encoder, encoder.layers - learning, mixed)
        except ValueError as error:
            raise UsageError(f'"mixed" of the network: {error}') from None
    if _is_top(network):
        raise UsageError("an encoder-top network needs the encoder that it is the top of")
    extractor = None
    if ivectors is not None:
        params, options, _ = read_extractor(ivectors)
        extractor = IvectorExtractor(params, options)
    return SpectralFrontEnd(HIRES_MFCC, extractor)


def new_network(
    description: Mapping[str, Any], pdfs: int, front_end: FrontEnd
) -> AcousticNetwork:
    """A network with random weights, or those of the upper blocks of the front end's encoder.

    Raises:
        UsageError: an impossible description.
        ModelError: an encoder of another shape.
    """
    widths = {
        "feature_dim": front_end.dim, "ivector_dim": front_end.ivector_dim, "num_pdfs": pdfs
    }  # fmt: skip
    network = build_network({**description, **widths})
    if isinstance(network, EncoderTop) and isinstance(front_end, EncoderFrontEnd):
        network.take_blocks(front_end.encoder.upper_blocks(network.config.layers))
    return network


def _is_top(network: Mapping[str, Any]) -> bool:
    return network.get("kind") == TOP


def normalise(network: AcousticNetwork, utterances: Sequence[SupervisedUtterance]) -> None:
    """Tell a network the mean and deviation of its features."""
    feats = torch.cat([one.plain[0] for one in utterances[:500]]).float()
    network.normalise_input(feats.mean(0), feats.std(0))


@dataclass(frozen=True, slots=True, eq=False)
class NewModel:
    """All parts of a model.

    Attributes:
        network: on the CPU.
        front_end: what it takes.
        tree: pdfs of own phones in context.
        graph: tensors of the lexicon graph.
        lm: language model.
        scale: weight of the network's scores in the search.
        sections: of the bundle, that are another model's: that of its tree, graph and lm.
    """

    network: AcousticNetwork
    front_end: FrontEnd
    tree: ContextTree
    graph: Mapping[str, np.ndarray]
    lm: LmAutomaton
    scale: float
    sections: Mapping[str, Any] = field(default_factory=dict)


def write_model(
    out: Path, model: NewModel, history: Mapping[str, Any], name: str, terms: tuple[str, str]
) -> None:
    """Write it as a bundle.

    Args:
        history: how it was trained, as JSON.
        terms: licence and attribution of the speech.
    """
    description, weights = network_section(model.network)
    tensors: dict[str, Mapping[str, np.ndarray]] = {
        ACOUSTIC_FILE: {key: weight.detach().numpy() for key, weight in weights.items()},
        GRAPH_FILE: model.graph,
        LM_FILE: model.lm.to_tensors(),
        TREE_FILE: model.tree.to_tensors(),
    }
    rescoring = _rescoring(model.front_end)
    sections: dict[str, Any] = {
        "features": model.front_end.section(),
        "acoustic": {**description, "scale": model.scale},
        "graph": {"lexicon": asdict(LexiconConfig())},
        "tree": tree_section(SURFACE_PHONES),
        "lm": model.lm.metadata(),
        "decoder": asdict(DecoderConfig()),
        "confidence": asdict(LISTENED if rescoring.attention_scale else ConfidenceConfig()),
        "rescoring": asdict(rescoring),
        "training": [dict(history)],
        **model.sections,
    }
    if isinstance(model.front_end, SpectralFrontEnd) and model.front_end.ivectors is not None:
        extractor = model.front_end.ivectors
        tensors[IVECTOR_FILE] = extractor.params.to_tensors()
        sections["ivector"] = asdict(extractor.config)
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


def _rescoring(front_end: FrontEnd) -> RescoringConfig:
    """The decoder of the encoder is asked, too, where every installation has it."""
    from asr.encoders.store import is_known

    known = isinstance(front_end, EncoderFrontEnd) and is_known(front_end.encoder.reference())
    return RescoringConfig(attention_scale=ATTENTION_SCALE if known else 0.0)


def _encoder_tensors(front_end: EncoderFrontEnd) -> dict[str, dict[str, np.ndarray]]:
    """An encoder that not every installation has goes with the model."""
    from asr.encoders.store import encoder_arrays, is_known

    encoder = front_end.encoder
    if is_known(encoder.reference()):
        return {}
    return {ENCODER_FILE: encoder_arrays(encoder)}
