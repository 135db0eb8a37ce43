"""The four systems, each built on the one before: mono, tri, lda (with MLLT), sat."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from asr.atomic import recover_folder
from asr.errors import DataError, ModelError, UsageError
from asr.gmm import folder as folders
from asr.gmm.adapted import align_adapted, start_adapted, with_independent
from asr.gmm.corpus import Corpus
from asr.gmm.features import FrontEndConfig, Spoken
from asr.gmm.lda import LdaConfig, lda_model
from asr.gmm.mono import flat_start
from asr.gmm.training import LoopConfig, TrainingState, monophone_schedule, train, triphone_schedule
from asr.gmm.triphone import start
from asr.gmm.viterbi import AlignConfig
from asr.hmm.topology import CLASSICAL, Topology
from asr.hmm.tree import TreeConfig
from asr.progress import Progress, silent
from asr.work_folder import claim

KINDS = ("mono", "tri", "lda", "sat")
_MOST_WITHOUT_ALIGNMENT = 0.1


@dataclass(frozen=True, slots=True)
class SystemConfig:
    """Options of a system; those that its kind does not use are passed over.

    Attributes:
        kind: one of KINDS.
        loop: the schedule.
        tree: of triphones.
        lda: of lda.
        front_end, topology: of mono; the others have those of the system before.
    """

    kind: str
    loop: LoopConfig
    tree: TreeConfig = field(default_factory=TreeConfig)
    lda: LdaConfig = field(default_factory=LdaConfig)
    front_end: FrontEndConfig = field(default_factory=FrontEndConfig)
    topology: Topology = CLASSICAL

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise UsageError(f"there is no kind {self.kind!r}: choose one of {', '.join(KINDS)}")


def schedule(kind: str, iterations: int | None, gaussians: int | None) -> LoopConfig:
    """The schedule of a kind, of Kaldi's length and size where none is given."""
    usual = (40, 1000) if kind == "mono" else (35, 10_000)
    rounds = usual[0] if iterations is None else iterations
    most = usual[1] if gaussians is None else gaussians
    if rounds < 1 or most < 1:
        raise UsageError("iterations and gaussians must be at least 1")
    if kind == "mono":
        return monophone_schedule(rounds, most)
    return triphone_schedule(rounds, most, {"lda": "mllt", "sat": "fmllr"}.get(kind, ""))


def build(
    config: SystemConfig,
    utterances: Iterable[Spoken],
    out: Path,
    previous: Path | None = None,
    progress: Progress = silent,
) -> dict[str, Any]:
    """Train a system into a folder (see :mod:`asr.gmm.folder`), going on where it was stopped.

    Args:
        config: options.
        utterances: with texts.
        out: the folder; holds nothing else.
        previous: the folder of the system before; None for mono.
        progress: told how far it is.

    Returns:
        What ``report.json`` holds.

    Raises:
        UsageError: ``previous`` is missing, or given to mono.
        DataError: the folder holds another training, or no utterance can be used.
        ModelError: the system before cannot be read.
    """
    if (config.kind == "mono") == (previous is not None):
        raise UsageError(f"{config.kind} " + ("begins from nothing" if previous else
                         "begins from another system: name its folder"))  # fmt: skip
    rows = list(utterances)
    options = {**asdict(config), "previous": str(previous) if previous else None}
    claim(out, options, [row.id for row in rows])
    if (out / folders.REPORT).exists():
        progress(1.0, "done before")
        return folders.read_report(out)
    before = None if previous is None else folders.read_state(previous)
    front_end = config.front_end if before is None else before.model.front_end
    # what is subtracted and computed of sounds is the same in all systems: the context differs
    corpus = Corpus.read(rows, front_end, lambda part, what: progress(0.1 * part, what))
    running = out / folders.TRAINING
    recover_folder(running)
    if running.exists():
        state = _gone_on(running)
    else:
        state = _begun(config, corpus, before)
        folders.write_state(running, state)
    progress(0.1, f"{state.model.num_pdfs} pdfs")
    graphs = corpus.graphs(state.model.table, state.model.transitions)
    state = train(
        state, corpus, graphs, config.loop,
        lambda part, what: progress(0.1 + 0.9 * part, what),
        lambda done: folders.write_state(running, done),
    )  # fmt: skip
    if config.kind == "sat":
        state = with_independent(state, corpus)
    report = {
        "kind": config.kind, "utterances": len(rows), "aligned": len(state.alignments),
        "failures": corpus.failures, "iterations": config.loop.iterations,
        "loglike": state.loglike, "pdfs": state.model.num_pdfs,
        "gaussians": state.model.gmms.num_gaussians,
        "seconds": corpus.cepstra.seconds(front_end),
    }  # fmt: skip
    folders.write_results(out, state)
    folders.write_report(out, report)
    shutil.rmtree(running, ignore_errors=True)
    progress(1.0, "done")
    return report


def _gone_on(running: Path) -> TrainingState:
    """Where a training was stopped.

    Raises:
        DataError: what it kept is damaged.
    """
    try:
        return folders.read_state(running)
    except (DataError, ModelError) as error:
        raise DataError(
            f"{running} is damaged ({error}): delete it, and the same command begins anew"
        ) from error


def _begun(config: SystemConfig, corpus: Corpus, before: TrainingState | None) -> TrainingState:
    if before is None:
        return flat_start(corpus, config.front_end, config.topology)
    here = set(corpus.ids)
    known = {name: one for name, one in before.alignments.items() if name in here}
    before = replace(before, alignments=known)
    if len(known) < (1.0 - _MOST_WITHOUT_ALIGNMENT) * len(here):
        before = align_adapted(before.model, corpus, config.loop.align)
    model, alignments = before.model, before.alignments
    if config.kind == "tri":
        if model.transform is not None:
            raise UsageError("tri begins from mono or tri; from lda and sat, lda or sat begin")
        return start(model, corpus, alignments, config.tree)[0]
    if config.kind == "lda":
        model = lda_model(model, corpus, alignments, config.lda)
        return start(model, corpus, alignments, config.tree)[0]
    return start_adapted(model, corpus, alignments, config.tree)[0]


def align_with(
    system: Path,
    utterances: Iterable[Spoken],
    out: Path,
    config: AlignConfig | None = None,
    progress: Progress = silent,
) -> dict[str, Any]:
    """Align utterances with a trained system; writes alignments, transforms and a report.

    Raises:
        DataError: no utterance can be aligned.
        ModelError: the system cannot be read.
    """
    from asr.gmm.model import GmmModel

    model = GmmModel.load(system / folders.MODEL)
    rows = list(utterances)
    corpus = Corpus.read(rows, model.front_end, lambda part, what: progress(0.3 * part, what))
    progress(0.3, "aligning")
    began = time.perf_counter()
    state = align_adapted(model, corpus, config)
    taken = time.perf_counter() - began
    if not state.alignments:
        raise DataError("no utterance could be aligned: check texts and sounds")
    folders.write_alignments(out / folders.ALIGNMENTS, state.alignments)
    if state.transforms is not None:
        folders.write_transforms(out / folders.TRANSFORMS, state.transforms)
    seconds = corpus.cepstra.seconds(model.front_end)
    report = {
        "utterances": len(rows), "aligned": len(state.alignments), "failures": corpus.failures,
        "seconds": seconds, "times_real_time": seconds / taken,
    }  # fmt: skip
    folders.write_report(out, report)
    progress(1.0, "done")
    return report
