"""A model trained by CTC: a baseline for LF-MMI, from nothing but speech and texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from asr.acoustic.encoder_front_end import SpeechEncoder
from asr.acoustic.encoder_top import TOP
from asr.chain.ctc import NUM_PDFS, CtcObjective, ctc_tree, said
from asr.chain.hmm_graph import from_text_graph
from asr.chain.supervision import TextSupervision
from asr.chain_training import ChainConfig
from asr.data.conditions import Conditions
from asr.data_files import DEFAULT_LM, shipped
from asr.gmm.features import Spoken
from asr.graph.emissions import EmissionModel
from asr.graph_building import graph_tensors
from asr.hmm.topology import SURFACE_PHONES
from asr.lfmmi_training import TrainingReport, nothing_left
from asr.lm.binary import load_model
from asr.new_model import NewModel, new_front_end, new_network, normalise, write_model
from asr.progress import Progress, silent
from asr.sound_variants import AS_RECORDED, SoundVariants
from asr.supervised_speech import (
    Counter,
    SupervisedSpeech,
    SupervisedUtterance,
    examples_of,
    fingerprint,
    state_store,
    told,
)
from asr.training.batch import Example
from asr.training.distributed import is_first_process
from asr.training.evaluation import DEV, DevSet, watching
from asr.training.source import MemoryBatches
from asr.training.trainer import train

EPOCHS = 12
"""Unless told otherwise."""
_BATCH_SECONDS = 20.0
_STATE, _MFCC = 0.02, 0.01
"""Seconds between an encoder's states, and between frames of MFCC."""


def for_ctc(config: ChainConfig) -> ChainConfig:
    """The options with more passes, in smaller batches.

    A network first learns that blank is the likeliest label everywhere, and hears nothing else
    until it has taken some hundred steps: on two hours of speech, one pass in batches of 20 s.
    """
    frame = _STATE if config.network.get("kind") == TOP else _MFCC
    frames = round(_BATCH_SECONDS / frame)
    return replace(config, training=replace(config.training, epochs=EPOCHS, max_frames=frames))


@dataclass(frozen=True, slots=True)
class CtcReport(TrainingReport):
    """How it went; there is no denominator."""

    def history(self, config: Any) -> dict[str, Any]:
        """What a model keeps of its training, as JSON."""
        kept = TrainingReport.history(self, config)
        return {**{k: v for k, v in kept.items() if k not in ("lfmmi", "phone_lm")},
                "objective": "CTC"}  # fmt: skip


def train_ctc(
    speech: Sequence[Spoken],
    out: Path,
    work: Path,
    *,
    lm: Path | None = None,
    ivectors: Path | None = None,
    encoder: SpeechEncoder | None = None,
    dev: Sequence[Spoken] = (),
    config: ChainConfig | None = None,
    name: str = "ko-ctc",
    licence: str = "",
    attribution: str = "",
    progress: Progress = silent,
    device: str = "cpu",
) -> TrainingReport:
    """Train a network from random weights by CTC, and write a model.

    Args as of :func:`asr.chain_training.train_chain`; of ``config`` nothing counts that concerns
    the context tree and LF-MMI.

    Raises:
        DataError: no utterance can be used.
        ModelError: the language model or extractor cannot be read.
    """
    config = config or ChainConfig()
    network_options = dict(config.network)
    if network_options.get("kind") != "mlp":  # which has one head anyway
        network_options["xent"] = False  # the outputs are posteriors themselves
    front_end = new_front_end(network_options, ivectors, encoder)
    automaton = load_model(lm if lm is not None else shipped(DEFAULT_LM))
    progress(0.0, "building the graph")
    tree = ctc_tree()
    graph = graph_tensors(EmissionModel.from_tree(tree, SURFACE_PHONES), automaton)
    network = new_network(network_options, NUM_PDFS, front_end)
    supervision = TextSupervision.of_tensors(graph, automaton.vocabulary.ids)
    supervised = SupervisedSpeech(front_end, supervision, state_store(front_end, work))
    unused: dict[str, str] = {}
    counter = Counter(progress, max(1, len(speech) + len(dev)))
    variants = SoundVariants(config.speeds, Conditions(config.augment, speech))
    kept = list(supervised.prepared(speech, variants, unused, counter))
    held_out = list(supervised.prepared(dev, AS_RECORDED, unused, counter))
    if not kept:
        raise nothing_left(len(speech), unused)
    normalise(network, kept)
    examples = _examples(kept, supervision, unused)
    if not examples:
        raise nothing_left(len(kept), unused)
    sets = {DEV: held_out} if held_out else {}
    training = watching(config.training, sets)
    objective = CtcObjective()
    evaluations = {
        label: DevSet(
            MemoryBatches(
                _examples(found, supervision, unused), training.max_frames, shuffle=False
            ),
            objective,
        )
        for label, found in sets.items()
    }
    told(unused)
    summary = train(
        network, objective, MemoryBatches(examples, training.max_frames, training.seed),
        evaluations, training, work,
        lambda done, what: progress(0.35 + 0.6 * done, what), device,
        _origin(examples, network.state_dict(), config),
    )  # fmt: skip
    used = [one for one in kept if one.id not in unused]
    seconds = sum(len(one.plain[0]) for one in used) * front_end.frame_shift
    report = CtcReport(len(used), seconds, unused, (0, 0), summary)
    if is_first_process():
        model = NewModel(network.cpu(), front_end, tree, graph, automaton, config.scale)
        history = {"network": network_options, **report.history(config)}
        write_model(out, model, history, name, (licence, attribution))
    supervised.forget()
    progress(1.0, "done")
    return report


def _examples(
    utterances: Sequence[SupervisedUtterance],
    supervision: TextSupervision,
    unused: dict[str, str],
) -> list[Example]:
    return examples_of(
        utterances, lambda graph: said(from_text_graph(graph), supervision.phones(graph)), unused
    )


def _origin(
    examples: Sequence[Example], weights: Mapping[str, Any], config: ChainConfig
) -> dict[str, str]:
    """What the run begins as: it goes on only with the same."""
    origin = {"objective": "CTC", "data": fingerprint(examples, (), weights)}
    return {**origin, "augment": str(config.augment)} if config.augment.copies else origin
