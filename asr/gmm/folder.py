"""What a GMM training leaves on disk, and what it keeps while it runs.

    model/                      the model, a bundle (:class:`asr.gmm.model.GmmModel`)
    alignments.safetensors      the last alignment (:func:`asr.gmm.alignment.read_alignments`)
    transforms.safetensors      speakers' transforms, where there are any
    report.json                 iterations, failures and their reasons, alignment speed
    training/                   the same while training runs, written anew by each iteration
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asr.atomic import replaced_file, replaced_folder
from asr.errors import DataError, ModelError
from asr.gmm.alignment import Alignment, read_alignments, write_alignments
from asr.gmm.corpus import Corpus
from asr.gmm.features import Spoken
from asr.gmm.model import GmmModel
from asr.gmm.training import TrainingState
from asr.progress import Progress, silent
from asr.tensor_file import read_tensors, write_tensors

MODEL, ALIGNMENTS, TRANSFORMS = "model", "alignments.safetensors", "transforms.safetensors"
REPORT, TRAINING, STATE = "report.json", "training", "state.json"


def write_state(folder: Path, state: TrainingState) -> None:
    """Write all of a training's state to a folder, whole or not at all."""
    with replaced_folder(folder) as temporary:
        write_results(temporary, state)
        with replaced_file(temporary / STATE) as file:
            loglike = None if math.isnan(state.loglike) else state.loglike
            json.dump({"iteration": state.iteration, "loglike": loglike}, file)


def write_results(folder: Path, state: TrainingState) -> None:
    """Write a model, its alignments and transforms, each whole or not at all."""
    state.model.save(folder / MODEL)
    write_alignments(folder / ALIGNMENTS, state.alignments)
    if state.transforms is not None:
        write_transforms(folder / TRANSFORMS, state.transforms)


def read_state(folder: Path) -> TrainingState:
    """Inverse of :func:`write_state`, and of :func:`write_results` (iteration 0).

    Raises:
        ModelError, DataError: something is missing or damaged.
    """
    model = GmmModel.load(folder / MODEL)
    alignments = read_alignments(folder / ALIGNMENTS)
    transforms = None
    if (folder / TRANSFORMS).exists():
        transforms = read_transforms(folder / TRANSFORMS)
    iteration, loglike = 0, math.nan
    if (folder / STATE).exists():
        try:
            kept = json.loads((folder / STATE).read_text(encoding="utf-8"))
            iteration = int(kept["iteration"])
            loglike = math.nan if kept["loglike"] is None else float(kept["loglike"])
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(f"{folder / STATE} is damaged ({error}): delete {folder}") from error
    return TrainingState(iteration, model, alignments, transforms, loglike)


def read_aligned(
    folder: Path, speech: Sequence[Spoken], progress: Progress = silent
) -> tuple[TrainingState, Corpus, dict[str, Alignment]]:
    """A system with the speech that it was trained on, and its alignments of that.

    Raises:
        ModelError, DataError: something is missing or damaged, or nothing of it is aligned.
    """
    state = read_state(folder)
    corpus = Corpus.read(speech, state.model.front_end, progress)
    aligned = {name: a for name, a in state.alignments.items() if name in corpus.cepstra.frames}
    if not aligned:
        raise DataError(f"{folder} has aligned none of these utterances: train it on them")
    return state, corpus, aligned


def write_report(folder: Path, report: Mapping[str, Any]) -> None:
    """Write what happened, as JSON."""
    with replaced_file(folder / REPORT) as file:
        json.dump(report, file, ensure_ascii=False, indent=1)


def read_report(folder: Path) -> dict[str, Any]:
    """Inverse of :func:`write_report`; DataError where it is damaged."""
    try:
        report: dict[str, Any] = json.loads((folder / REPORT).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{folder / REPORT} is damaged ({error}): delete {folder}") from error
    return report


def write_transforms(path: Path, transforms: Mapping[str, NDArray[np.float64]]) -> None:
    """Write speakers' transforms, float64 [D, D + 1] each; the file appears whole or not at all."""
    matrices = {str(number): np.asarray(one, np.float64)
                for number, one in enumerate(transforms.values())}  # fmt: skip
    speakers = np.frombuffer(json.dumps(list(transforms)).encode(), np.uint8)
    write_tensors(path, {**matrices, "speakers": speakers}, checksum=True)


def read_transforms(path: Path) -> dict[str, NDArray[np.float64]]:
    """Inverse of :func:`write_transforms`; ModelError where the file is damaged."""
    try:
        tensors = read_tensors(path)
        speakers = json.loads(bytes(tensors["speakers"]))
        return {name: tensors[str(number)] for number, name in enumerate(speakers)}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{path} holds no speakers' transforms ({error}): make it anew") from error
