"""From a bundle to a bundle with another language model or graph, or to a static graph.

The bundle keeps the context tree and the phones of its acoustic model (``tree.safetensors`` and the
section ``tree``), from which the lexicon graph is built for any units and options.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from asr.bundle import (
    GRAPH_FILE,
    LM_FILE,
    TREE_FILE,
    Bundle,
    Manifest,
    open_bundle,
    write_bundle,
)
from asr.decoder.config import DecoderConfig
from asr.decoder.rescoring import RescoringConfig
from asr.errors import ModelError, UsageError
from asr.graph.emissions import EmissionModel
from asr.graph.hcl import HclGraph, compile_hcl
from asr.graph.lexicon import Lexicon, LexiconConfig
from asr.graph.lookahead import lookahead_table, unit_nodes
from asr.graph.static_compile import compile_static
from asr.graph.static_graph import StaticGraph
from asr.hmm.context import ContextTree
from asr.hmm.phones import PhoneTable
from asr.lm.automaton import LmAutomaton
from asr.lm.binary import load_model
from asr.models import resolve
from asr.progress import Progress, silent

UNKNOWN_LICENCE = "not stated; ask whoever made the Kaldi model"
_LM_LICENCE = "; language model: "


def graph_tensors(
    emissions: EmissionModel, lm: LmAutomaton, config: LexiconConfig | None = None
) -> dict[str, np.ndarray]:
    """The lexicon graph for a language model's units, and its look-ahead table, for a bundle."""
    graph = compile_hcl(Lexicon(lm.vocabulary.units, config), emissions, lm.vocabulary.ids)
    table = lookahead_table(lm, unit_nodes(lm.vocabulary.units))
    return {**graph.to_tensors(), "lookahead": table}


def licences(acoustic: str, lm: LmAutomaton) -> str:
    """What a bundle says of the terms of its two parts."""
    return f"acoustic model: {acoustic}{_LM_LICENCE}{lm.licence or UNKNOWN_LICENCE}"


def trained_further(licence: str, speech: str) -> str:
    """The terms of a model whose acoustic part has learnt from speech under other ones, too."""
    acoustic, mark, lm = licence.partition(_LM_LICENCE)
    return "; trained on: ".join(filter(None, (acoustic, speech))) + mark + lm


def attributions(*parts: str) -> str:
    """Whom a bundle names for all its parts; some may name nobody."""
    return "; ".join(filter(None, parts))


def acoustic_terms(manifest: Manifest) -> tuple[str, str]:
    """Licence and attribution of a model without what concerns its language model."""
    licence = manifest.licence.partition(_LM_LICENCE)[0].removeprefix("acoustic model: ")
    lm = manifest.sections.get("lm", {}).get("attribution", "")
    kept = manifest.attribution.replace(lm, "", 1) if lm else manifest.attribution
    return licence, attributions(*kept.split("; "))


def tree_section(phones: PhoneTable) -> dict[str, Any]:
    """The phones for a bundle's section ``tree``."""
    return {"phones": {str(number): name for number, name in phones.to_symbols().items()}}


def read_emissions(bundle: Bundle) -> EmissionModel:
    """The pdfs of the bundle's acoustic model by phone.

    Raises:
        ModelError: the bundle is of an older version, which did not keep its context tree.
    """
    if TREE_FILE not in bundle.files:
        raise ModelError(
            f"{bundle.path} keeps no context tree, as models of older versions of Malsori: import"
            " the model again (asr import-kaldi)"
        )
    try:
        names = bundle.manifest.sections["tree"]["phones"]
        phones = PhoneTable.from_symbols({int(number): name for number, name in names.items()})
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ModelError(
            f"the phones of {bundle.path} cannot be understood ({error!r}): import the model again"
        ) from error
    return EmissionModel.from_tree(ContextTree.from_tensors(bundle.tensors(TREE_FILE)), phones)


def rebuild(
    model: str | Path,
    out: Path,
    *,
    lm: Path | None = None,
    lexicon: Mapping[str, Any] | None = None,
    decoder: Mapping[str, Any] | None = None,
    rescoring: Mapping[str, Any] | None = None,
    name: str | None = None,
    progress: Progress = silent,
) -> None:
    """Write to ``out`` the bundle ``model`` with a graph built anew.

    Args:
        model: a name or a bundle's folder.
        out: the new bundle's folder; appears whole or not at all.
        lm: a language model of ``asr train-lm`` over any units; None keeps the model's own.
        lexicon: options (of :class:`~asr.graph.lexicon.LexiconConfig`) that change.
        decoder: options (of :class:`~asr.decoder.config.DecoderConfig`) that change.
        rescoring: options (of :class:`~asr.decoder.rescoring.RescoringConfig`) that change.
        name: of the new model; None keeps the old one.
        progress: told how far it is.

    Raises:
        ModelError: the bundle or the language model cannot be used.
        UsageError: an option that makes no sense.
    """
    progress(0.0, "reading the model")
    bundle = open_bundle(resolve(model, progress))
    sections = bundle.manifest.sections
    config = lexicon_config(bundle, lexicon)
    search = DecoderConfig(**{**sections["decoder"], **(decoder or {})})
    chosen = sections["rescoring"]
    if rescoring:
        chosen = asdict(RescoringConfig(**{**(chosen or {}), **rescoring}))
    emissions = read_emissions(bundle)
    progress(0.2, "reading the language model")
    automaton = load_model(lm) if lm is not None else own_lm(bundle)
    progress(0.5, "building the decoding graph")
    # arrays of the old bundle are copied: it may lie where the new one is going to
    tensors: dict[str, Mapping[str, np.ndarray]] = {
        part: {key: np.array(array) for key, array in bundle.tensors(part).items()}
        for part in bundle.files
        if part not in (GRAPH_FILE, LM_FILE)
    }
    tensors[GRAPH_FILE] = graph_tensors(emissions, automaton, config)
    tensors[LM_FILE] = {key: np.array(array) for key, array in automaton.to_tensors().items()}
    manifest = replace(
        bundle.manifest,
        name=name or bundle.manifest.name,
        sections={
            **sections,
            "graph": {"lexicon": asdict(config)},
            "lm": automaton.metadata(),
            "decoder": asdict(search),
            "rescoring": chosen,
        },
    )
    if lm is not None:
        licence, attribution = acoustic_terms(bundle.manifest)
        manifest = replace(
            manifest,
            licence=licences(licence, automaton),
            attribution=attributions(attribution, automaton.attribution),
        )
    progress(0.9, "writing the bundle")
    write_bundle(out, manifest, tensors)
    progress(1.0, "done")


def static_graph(
    model: str | Path,
    lm: Path | None = None,
    *,
    lexicon: Mapping[str, Any] | None = None,
    decoder: Mapping[str, Any] | None = None,
    progress: Progress = silent,
) -> StaticGraph:
    """Compile a model's lexicon graph and a language model into one static graph.

    Args as of :func:`rebuild`. A model of more than some millions of n-grams makes a graph that
    does not fit into memory; prune it for this (``asr train-lm --prune``).

    Raises:
        ModelError: the bundle or the language model cannot be used, or the graph is too large.
    """
    progress(0.0, "reading the model")
    bundle = open_bundle(resolve(model, progress))
    config = lexicon_config(bundle, lexicon)
    weights = DecoderConfig(**{**bundle.manifest.sections["decoder"], **(decoder or {})})
    automaton = load_model(lm) if lm is not None else own_lm(bundle)
    progress(0.2, "building the lexicon graph")
    if lexicon or lm is not None:
        units = automaton.vocabulary
        emissions = read_emissions(bundle)
        hcl = compile_hcl(Lexicon(units.units, config), emissions, units.ids)
    else:
        hcl = HclGraph.from_tensors(bundle.tensors(GRAPH_FILE))
    progress(0.4, "composing it with the language model")
    graph = compile_static(hcl, automaton, weights)
    progress(1.0, "done")
    return graph


def own_lm(bundle: Bundle) -> LmAutomaton:
    """The language model in a bundle."""
    return LmAutomaton.from_tensors(bundle.tensors(LM_FILE), bundle.manifest.sections["lm"])


def lexicon_config(bundle: Bundle, changes: Mapping[str, Any] | None = None) -> LexiconConfig:
    """The bundle's options of the lexicon, with changes.

    Raises:
        UsageError: an option that makes no sense.
    """
    kept = bundle.manifest.sections.get("graph", {}).get("lexicon", {})
    try:
        return LexiconConfig(**{**kept, **(changes or {})})
    except TypeError as error:
        raise UsageError(f"the lexicon has no such option: {error}") from None
