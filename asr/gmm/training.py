"""The loop that all GMM systems are trained by: align, sum up, estimate, grow (Kaldi's train_*.sh).

Every iteration's end is on disk, so that training goes on where it was stopped.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from asr.errors import UsageError
from asr.gmm.alignment import Alignment
from asr.gmm.corpus import Corpus, Transforms
from asr.gmm.diag_gmm import DiagGmms
from asr.gmm.estimation import SplitConfig, Statistics, UpdateConfig, split, updated
from asr.gmm.fmllr import speaker_transforms
from asr.gmm.mllt import mllt_step
from asr.gmm.model import GmmModel
from asr.gmm.text_graphs import TextGraphs
from asr.gmm.viterbi import AlignConfig
from asr.hmm.transition_training import TransitionConfig, trained, transition_counts
from asr.progress import Progress, silent


@dataclass(frozen=True, slots=True)
class LoopConfig:
    """The schedule of a training.

    Attributes:
        iterations: in all.
        grow_until: the iteration after which no Gaussians are added.
        gaussians: in the end.
        realign: iterations that begin with a new alignment.
        mllt: iterations that begin with a new MLLT transform.
        fmllr: iterations that begin with new transforms of speakers.
        update, split, transitions, align: of the steps.
        seed: of the directions in which Gaussians are split.
    """

    iterations: int
    grow_until: int
    gaussians: int
    realign: tuple[int, ...]
    mllt: tuple[int, ...] = ()
    fmllr: tuple[int, ...] = ()
    update: UpdateConfig = field(default_factory=UpdateConfig)
    split: SplitConfig = field(default_factory=SplitConfig)
    transitions: TransitionConfig = field(default_factory=TransitionConfig)
    align: AlignConfig = field(default_factory=AlignConfig)
    seed: int = 0

    def __post_init__(self) -> None:
        if not (1 <= self.grow_until <= self.iterations and self.gaussians >= 1):
            raise UsageError("a training has at least one iteration and one Gaussian, and grows no"
                             " longer than it lasts")  # fmt: skip


def monophone_schedule(iterations: int = 40, gaussians: int = 1000) -> LoopConfig:
    """Kaldi's train_mono.sh: realigned every iteration to the tenth, then every other one."""
    grow = max(1, iterations * 3 // 4)
    realign = (*range(1, 11), *range(12, iterations - 1, 2))
    # after the flat start a text's frames are few in each state
    return LoopConfig(iterations, grow, gaussians, realign, update=UpdateConfig(min_occupancy=3.0))


def triphone_schedule(
    iterations: int = 35, gaussians: int = 10_000, adapted: str = ""
) -> LoopConfig:
    """Kaldi's train_deltas.sh; with ``adapted`` mllt or fmllr, train_lda_mllt.sh or train_sat.sh.

    Of 35 iterations those after the tenth, twentieth and thirtieth begin with a new alignment;
    other lengths likewise.
    """
    grow = max(1, iterations * 5 // 7)
    realign = tuple(sorted({iterations * part // 7 for part in (2, 4, 6)} - {0}))
    early = tuple(i for i in (2, 4, 6, 12) if i <= iterations)
    return LoopConfig(
        iterations, grow, gaussians, realign,
        mllt=early if adapted == "mllt" else (), fmllr=early if adapted == "fmllr" else (),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class TrainingState:
    """Where a training is.

    Attributes:
        iteration: the last one done; 0 before the first.
        model, alignments: as it left them.
        transforms: of speakers; None where there are none.
        loglike: mean of a frame in the iteration (nats).
    """

    iteration: int
    model: GmmModel
    alignments: Mapping[str, Alignment]
    transforms: Transforms | None = None
    loglike: float = float("nan")


Save = Callable[[TrainingState], None]


def train(
    state: TrainingState,
    corpus: Corpus,
    graphs: TextGraphs,
    config: LoopConfig,
    progress: Progress = silent,
    save: Save = lambda state: None,
) -> TrainingState:
    """Train from a state to the end of the schedule; the last step is a last alignment.

    Args:
        state: a model and alignments by its tuples.
        corpus: of the same utterances.
        graphs: by the same tuples.
        config: the schedule.
        progress: told of each iteration.
        save: called after each iteration.
    """
    for iteration in range(state.iteration + 1, config.iterations + 1):
        state = _iterate(replace(state, iteration=iteration), corpus, graphs, config)
        save(state)
        progress(
            iteration / (config.iterations + 1),
            f"iteration {iteration} of {config.iterations}: {state.loglike:.2f} nats a frame, "
            f"{state.model.gmms.num_gaussians} Gaussians",
        )
    if state.iteration == config.iterations:
        aligned = corpus.align(state.model, graphs, config.align, state.transforms)
        state = replace(state, iteration=config.iterations + 1, alignments=aligned)
        save(state)
    return state


def _iterate(
    state: TrainingState, corpus: Corpus, graphs: TextGraphs, config: LoopConfig
) -> TrainingState:
    iteration = state.iteration
    if iteration in config.realign:
        aligned = corpus.align(state.model, graphs, config.align, state.transforms)
        state = replace(state, alignments=aligned)
    if iteration in config.mllt:
        state = replace(state, model=mllt_step(state.model, corpus, state.alignments))
    if iteration in config.fmllr:
        transforms = speaker_transforms(state.model, corpus, state.alignments, state.transforms)
        state = replace(state, transforms=transforms)
    stats = statistics(state.model, corpus, state.alignments, state.transforms)
    model = replace(
        state.model,
        gmms=_grown(updated(state.model.gmms, stats, config.update), state, stats, config),
        transitions=trained(
            state.model.transitions, _counts(state.model, state.alignments), config.transitions
        ),
    )
    return replace(state, model=model, loglike=stats.loglike / max(stats.frames, 1.0))


def statistics(
    model: GmmModel,
    corpus: Corpus,
    alignments: Mapping[str, Alignment],
    transforms: Transforms | None = None,
) -> Statistics:
    """Of all aligned utterances."""
    stats = Statistics.empty(model.gmms)
    for name, alignment in alignments.items():
        stats.add(model.gmms, corpus.features(name, model, transforms), alignment.pdf)
    return stats


def _counts(model: GmmModel, alignments: Mapping[str, Alignment]) -> NDArray[np.float64]:
    tuples = np.concatenate([one.tuple_id for one in alignments.values()])
    entered = np.concatenate([one.entered for one in alignments.values()])
    return transition_counts(tuples, entered, model.transitions)


def _grown(
    gmms: DiagGmms, state: TrainingState, stats: Statistics, config: LoopConfig
) -> DiagGmms:
    """With the Gaussians that the schedule has for the iteration, added evenly from one a pdf."""
    step = max(0, config.gaussians - gmms.num_pdfs) / config.grow_until
    goal = gmms.num_pdfs + int(step * min(state.iteration, config.grow_until))
    if state.iteration > config.grow_until or goal <= gmms.num_gaussians:
        return gmms
    occupancy = stats.pdf_occupancy(state.model.gmms)
    generator = np.random.default_rng((config.seed, state.iteration))
    return split(gmms, occupancy, goal, generator, config.split)
