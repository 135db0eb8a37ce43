"""Import a Kaldi nnet3 chain model, laid out as Vosk does, into Malsori's own data structures."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from asr.acoustic.nnet import Nnet
from asr.errors import ModelError, UsageError
from asr.features.config import FbankConfig, MfccConfig, from_options
from asr.features.ivector import IvectorConfig, IvectorParams
from asr.hmm.context import ContextTree
from asr.hmm.phones import PhoneTable
from asr.hmm.transition import TransitionModel
from asr.kaldi.fst import read_fst
from asr.kaldi.io import read_bytes
from asr.kaldi.ivector import CMVN_CONF, IVECTOR_FILES, read_conf, read_ivector_extractor
from asr.kaldi.known import ACOUSTIC_MODEL, KnownModel, differing_files, identify, sha256_of
from asr.kaldi.nnet3 import read_acoustic_model
from asr.kaldi.tree import read_context_tree, recover_context_tree
from asr.progress import Progress, silent

_T = TypeVar("_T")

log = logging.getLogger(__name__)

MFCC_CONF, FBANK_CONF, MODEL_CONF = "conf/mfcc.conf", "conf/fbank.conf", "conf/model.conf"
TREES = ("am/tree", "tree")
GRAPHS = ("graph/HCLr.fst", "graph/HCLG.fst")
PHONES = ("graph/phones.txt", "phones.txt")
_CHAIN_SUBSAMPLING = 3
#: options of Kaldi's online feature pipeline that say nothing about the features
_NOT_FEATURES = ("allow-upsample", "allow-downsample", "max-feature-vectors", "debug-mel")


@dataclass(frozen=True, slots=True, eq=False)
class ImportedModel:
    """What a Kaldi model's folder holds.

    Attributes:
        name: of a known model, else of the folder.
        licence: of a known model, else "".
        features: what to compute from sound.
        nnet: the network, trainable (``nnet.fused()`` is faster).
        ivector: extractor and its configuration, None if the network takes no i-vector.
        transitions: the transition model.
        tree: pdfs by left phone and phone.
        phones: phone-ids.
        acoustic_scale: by which the scores were multiplied in the model's own decoding.
        checksums: file within the folder → SHA-256, of all that was read.
    """

    name: str
    licence: str
    features: MfccConfig | FbankConfig
    nnet: Nnet
    ivector: tuple[IvectorParams, IvectorConfig] | None
    transitions: TransitionModel
    tree: ContextTree
    phones: PhoneTable
    acoustic_scale: float
    checksums: dict[str, str]


def import_acoustic(
    model_dir: Path, expected: KnownModel | None = None, progress: Progress = silent
) -> ImportedModel:
    """Read everything but the words and the grammar of a Kaldi chain model.

    Args:
        model_dir: holds ``am/final.mdl``, ``conf/mfcc.conf`` (or ``fbank.conf``), ``am/tree`` or
            ``graph/HCLr.fst``, maybe ``conf/model.conf``, and ``ivector/`` if the network needs it.
        expected: the model that this must be; any difference is refused.
        progress: told how far it is.

    Raises:
        ModelError: files are missing (all are named), malformed, do not fit each other, or are not
            those of ``expected``.
    """
    model_dir = Path(model_dir)
    files = _list_files(model_dir)
    progress(0.0, "checking files")
    checksums = {name: sha256_of(model_dir / name) for name in files}
    known = _identify(checksums, expected)
    progress(0.2, "reading the network")
    acoustic = read_acoustic_model(model_dir / ACOUSTIC_MODEL)
    if acoustic.transitions is None or acoustic.priors.size:
        raise ModelError(f"{model_dir / ACOUSTIC_MODEL}: is not a chain model; import one")
    options = read_conf(model_dir / MODEL_CONF) if MODEL_CONF in files else {}
    subsampling = _option(options, "frame-subsampling-factor", _CHAIN_SUBSAMPLING, int)
    nnet = Nnet(acoustic.nnet, subsampling)
    features = _read_features(model_dir, files)
    ivector = read_ivector_extractor(model_dir / "ivector") if nnet.ivector_dim else None
    _check_fit(model_dir, nnet, features, ivector, acoustic.transitions)
    progress(0.4, "recovering the context tree")
    tree = _read_tree(model_dir, files, acoustic.transitions)
    phones = known.phone_table() if known else _read_phones(model_dir)
    _check_phones(model_dir, phones, acoustic.transitions)
    progress(1.0, "read")
    return ImportedModel(
        name=known.name if known else model_dir.resolve().name,
        licence=known.licence if known else "",
        features=features,
        nnet=nnet,
        ivector=ivector,
        transitions=acoustic.transitions,
        tree=tree,
        phones=phones,
        acoustic_scale=_option(options, "acoustic-scale", 1.0, float),
        checksums=checksums,
    )


def _list_files(model_dir: Path) -> list[str]:
    """The files to read, relative to the folder; ModelError naming all that are missing."""
    if not model_dir.is_dir():
        raise ModelError(f"{model_dir}: no such folder; give the folder of a Kaldi model")
    missing: list[str] = []
    found: list[str] = []

    def need(*names: str) -> None:
        present = [name for name in names if (model_dir / name).is_file()]
        found.extend(present[:1])
        if not present:
            missing.append(" or ".join(names))

    need(ACOUSTIC_MODEL)
    need(MFCC_CONF, FBANK_CONF)
    need(*TREES, *GRAPHS)
    # whether i-vectors are needed is known once the network is read; a folder for them says so
    if (model_dir / "ivector").is_dir():
        for name in IVECTOR_FILES:
            need(f"ivector/{name}")
    if missing:
        raise ModelError(
            f"{model_dir}: is not a complete Kaldi chain model, it lacks {', '.join(missing)}"
        )
    optional = (MODEL_CONF, f"ivector/{CMVN_CONF}")
    return found + [name for name in optional if (model_dir / name).is_file()]


def _identify(checksums: dict[str, str], expected: KnownModel | None) -> KnownModel | None:
    if expected is not None:
        differing = differing_files(expected, checksums)
        if differing:
            raise ModelError(
                f"the installed {expected.name} is damaged or altered ({', '.join(differing)}); "
                f"run: pip install --force-reinstall {expected.requirement}"
            )
        return expected
    known = identify(checksums)
    if known and (differing := differing_files(known, checksums)):
        log.warning("this model is %s, but differs from it in %s", known.name, ", ".join(differing))
    return known


def _option(options: dict[str, str], name: str, default: _T, kind: Callable[[str], _T]) -> _T:
    try:
        return kind(options[name]) if name in options else default
    except ValueError:
        raise ModelError(f"{MODEL_CONF}: --{name}={options[name]} is not a number") from None


def _read_features(model_dir: Path, files: list[str]) -> MfccConfig | FbankConfig:
    name = MFCC_CONF if MFCC_CONF in files else FBANK_CONF
    options = read_conf(model_dir / name)
    wanted = {key: value for key, value in options.items() if key not in _NOT_FEATURES}
    # a model is run as it was trained, but without noise added to the sound
    wanted["dither"] = "0"
    try:
        if name == MFCC_CONF:
            return from_options(MfccConfig, wanted)
        return from_options(FbankConfig, wanted)
    except UsageError as error:
        raise ModelError(f"{model_dir / name}: {error}") from None


def _check_fit(
    model_dir: Path,
    nnet: Nnet,
    features: MfccConfig | FbankConfig,
    ivector: tuple[IvectorParams, IvectorConfig] | None,
    transitions: TransitionModel,
) -> None:
    pairs = [
        ("features", features.dim, nnet.feature_dim),
        ("pdfs", transitions.num_pdfs, nnet.num_pdfs),
    ]
    if ivector is not None:
        pairs.append(("i-vector dimensions", ivector[0].ivector_dim, nnet.ivector_dim))
        pairs.append(("features of the i-vector extractor", ivector[0].feature_dim, features.dim))
    for what, found, wanted in pairs:
        if found != wanted:
            raise ModelError(
                f"{model_dir}: its files do not belong together: {found} {what}, but the network "
                f"is made for {wanted}"
            )


def _read_tree(model_dir: Path, files: list[str], transitions: TransitionModel) -> ContextTree:
    name = next(name for name in files if name in (*TREES, *GRAPHS))
    if name in TREES:
        return read_context_tree(model_dir / name, transitions)
    try:
        return recover_context_tree(read_fst(model_dir / name), transitions)
    except ModelError as error:
        if str(model_dir) in str(error):
            raise
        raise ModelError(f"{model_dir / name}: {error}") from None


def _read_phones(model_dir: Path) -> PhoneTable:
    path = next((model_dir / name for name in PHONES if (model_dir / name).is_file()), None)
    if path is None:
        raise ModelError(f"{model_dir}: it lacks {' or '.join(PHONES)}, the names of its phones")
    symbols = {}
    for number, line in enumerate(read_bytes(path).decode(errors="replace").splitlines(), start=1):
        try:
            symbol, phone = line.split()
            symbols[int(phone)] = symbol
        except ValueError:
            raise ModelError(f"{path}: line {number}: expected a phone and its number") from None
    return PhoneTable.from_symbols(symbols)


def _check_phones(model_dir: Path, phones: PhoneTable, transitions: TransitionModel) -> None:
    unnamed = set(transitions.phones.tolist()) - set(phones.symbols)
    surplus = len(phones.symbols) - int(transitions.phones.max())
    if unnamed or surplus > 0:
        raise ModelError(
            f"{model_dir}: its phones.txt names {len(phones.symbols)} phones, but the acoustic "
            f"model has {int(transitions.phones.max())}; get the phones.txt it was trained with"
        )
