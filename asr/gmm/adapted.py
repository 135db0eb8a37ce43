"""Speaker-adaptive training: a model of features that each speaker's transform has made alike."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from asr.gmm.alignment import Alignment
from asr.gmm.corpus import Corpus
from asr.gmm.estimation import Statistics, UpdateConfig, updated
from asr.gmm.fmllr import first_transforms, speaker_transforms
from asr.gmm.model import GmmModel
from asr.gmm.training import TrainingState
from asr.gmm.triphone import start
from asr.gmm.viterbi import AlignConfig
from asr.hmm.tree import Tree, TreeConfig


def start_adapted(
    model: GmmModel, corpus: Corpus, alignments: Mapping[str, Alignment], config: TreeConfig
) -> tuple[TrainingState, Tree]:
    """Transforms of all speakers by a model, and a tree grown on what they make of features."""
    transforms = speaker_transforms(model, corpus, alignments)
    state, tree = start(model, corpus, alignments, config, transforms)
    return replace(state, model=replace(state.model, kind="sat")), tree


def with_independent(state: TrainingState, corpus: Corpus) -> TrainingState:
    """With Gaussians for features of unknown speakers (Kaldi's final.alimdl).

    Each is fitted to the features without a transform of the frames that are its own with one.
    """
    model = state.model
    stats = Statistics.empty(model.gmms)
    for name, alignment in state.alignments.items():
        plain = corpus.features(name, model)
        adapted = corpus.features(name, model, state.transforms)
        stats.add(model.gmms, adapted, alignment.pdf, summed=plain)
    independent = updated(model.gmms, stats, UpdateConfig(remove=False))
    return replace(state, model=replace(model, independent=independent))


def align_adapted(
    model: GmmModel, corpus: Corpus, config: AlignConfig | None = None
) -> TrainingState:
    """Alignments of a corpus by a model with speakers' transforms, which are found on the way."""
    graphs = corpus.graphs(model.table, model.transitions)
    alone = replace(model, gmms=model.independent or model.gmms)
    alignments = corpus.align(alone, graphs, config)
    transforms = None
    if model.independent is not None:
        first = first_transforms(model, corpus.cepstra, alignments)
        alignments = corpus.align(model, graphs, config, first)
        transforms = speaker_transforms(model, corpus, alignments, first)
        alignments = corpus.align(model, graphs, config, transforms)
    return TrainingState(0, model, alignments, transforms)
