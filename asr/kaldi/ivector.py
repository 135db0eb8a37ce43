"""Read Kaldi's i-vector extractor: UBM, extractor, LDA, CMVN statistics and configuration."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from asr.errors import ModelError, UsageError
from asr.features.ivector import IvectorConfig, IvectorParams
from asr.kaldi.io import BinaryReader, read_bytes, read_matrix_file

#: the files of a model's ``ivector`` directory
UBM, EXTRACTOR, LDA, CMVN = "final.dubm", "final.ie", "final.mat", "global_cmvn.stats"
SPLICE_CONF, CMVN_CONF = "splice.conf", "online_cmvn.conf"
IVECTOR_FILES = (UBM, EXTRACTOR, LDA, CMVN, SPLICE_CONF)

_SPLICE_DEFAULT = 4  # Kaldi's OnlineSpliceOptions
_LOG_2PI = float(np.log(2 * np.pi))


def read_ivector_extractor(directory: Path) -> tuple[IvectorParams, IvectorConfig]:
    """Everything in a model's ``ivector`` directory.

    Args:
        directory: holds ``final.dubm final.ie final.mat global_cmvn.stats splice.conf`` and maybe
            ``online_cmvn.conf``.

    Raises:
        ModelError: a file is missing or malformed, or they do not fit each other.
    """
    gconsts, means_invvars, inv_vars = read_diag_gmm(directory / UBM)
    projection, sigma_inv, prior_offset = read_extractor(directory / EXTRACTOR)
    params = IvectorParams(
        gconsts=gconsts,
        means_invvars=means_invvars,
        inv_vars=inv_vars,
        projection=projection,
        sigma_inv=sigma_inv,
        lda=read_matrix_file(directory / LDA).astype(np.float32),
        global_cmvn=read_matrix_file(directory / CMVN).astype(np.float64),
        prior_offset=np.array([prior_offset], np.float32),
    )
    config = read_ivector_config(directory)
    try:
        params.validate(config)
    except ModelError:
        raise ModelError(
            f"{directory}: its files are of different i-vector extractors; get the model again"
        ) from None
    return params, config


def read_ivector_config(directory: Path) -> IvectorConfig:
    """Splicing and CMVN options of an ``ivector`` directory; ModelError for an option unknown."""
    splice = read_conf(directory / SPLICE_CONF)
    cmvn_path = directory / CMVN_CONF
    cmvn = read_conf(cmvn_path) if cmvn_path.exists() else {}
    defaults = IvectorConfig()
    try:
        config = IvectorConfig(
            splice_left=int(splice.pop("left-context", _SPLICE_DEFAULT)),
            splice_right=int(splice.pop("right-context", _SPLICE_DEFAULT)),
            cmn_window=int(cmvn.pop("cmn-window", defaults.cmn_window)),
            global_frames=int(cmvn.pop("global-frames", defaults.global_frames)),
        )
    except ValueError:
        raise ModelError(f"{directory}: an option in its .conf files is not a number") from None
    except UsageError as error:
        raise ModelError(f"{directory}: {error}") from None
    _ignore_defaults(cmvn, {"speaker-frames": None, "norm-vars": "false", "norm-means": "true"})
    unknown = [*splice, *cmvn]
    if unknown:
        raise ModelError(f"{directory}: --{unknown[0]} in its .conf files is not supported")
    return config


def _ignore_defaults(options: dict[str, str], defaults: dict[str, str | None]) -> None:
    """Drop options that say what is done anyway (None: whatever they say)."""
    for name, value in defaults.items():
        if name in options and value in (None, options[name]):
            del options[name]


def read_conf(path: Path) -> dict[str, str]:
    """A Kaldi configuration file, ``--name=value`` a line → name (without dashes) to value.

    Raises:
        ModelError: missing or a line that is no option.
    """
    options = {}
    text = read_bytes(path).decode(errors="replace")
    for number, line in enumerate(text.splitlines(), start=1):
        line = line.split("#", 1)[0].strip()
        if not line:
            continue
        name, _, value = line.partition("=")
        if not name.startswith("--") or len(name) < 3:
            raise ModelError(f"{path}: line {number}: expected --option=value, found {line!r}")
        options[name[2:].strip().replace("_", "-")] = value.strip() or "true"
    return options


def read_diag_gmm(
    path: Path,
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """A diagonal GMM (Kaldi gmm/diag-gmm.cc) → constants [G], means / variances, 1 / variances.

    Raises:
        ModelError: malformed.
    """
    reader = BinaryReader.open(path)
    reader.expect("<DiagGMM>", "<DiagGMMBegin>")
    if reader.accept("<GCONSTS>"):
        reader.read_vector()  # computed afresh below, as Kaldi does
    reader.expect("<WEIGHTS>")
    weights = reader.read_vector().astype(np.float64)
    reader.expect("<MEANS_INVVARS>")
    means_invvars = reader.read_matrix()
    reader.expect("<INV_VARS>")
    inv_vars = reader.read_matrix()
    at = reader.position
    reader.expect("</DiagGMM>", "<DiagGMMEnd>")
    shapes = {means_invvars.shape, inv_vars.shape}
    if len(shapes) != 1 or weights.shape != inv_vars.shape[:1] or inv_vars.size == 0:
        reader.fail("weights, means and variances of one GMM", at)
    variances_sound = bool(np.all(inv_vars > 0)) and bool(np.all(weights >= 0))
    if not variances_sound:
        reader.fail("positive variances", at)
    wide, inverse = means_invvars.astype(np.float64), inv_vars.astype(np.float64)
    with np.errstate(divide="ignore"):
        gconsts = np.log(weights) - 0.5 * (
            inv_vars.shape[1] * _LOG_2PI - np.log(inverse).sum(1) + (wide**2 / inverse).sum(1)
        )
    # a Gaussian of no weight never wins; keep the numbers finite
    gconsts = np.maximum(gconsts, -1e30)
    single = np.float32
    return gconsts.astype(single), means_invvars.astype(single), inv_vars.astype(single)


def read_extractor(path: Path) -> tuple[NDArray[np.float32], NDArray[np.float32], float]:
    """``final.ie`` (Kaldi ivector-extractor.cc) → M [G, D, S], Σ⁻¹ [G, D, D], prior offset.

    Raises:
        ModelError: malformed, or with weights that depend on the i-vector (not used online).
    """
    reader = BinaryReader.open(path)
    reader.expect("<IvectorExtractor>")
    reader.expect("<w>")
    at = reader.position
    if reader.read_matrix().size:
        reader.fail("an extractor whose weights do not depend on the i-vector", at)
    reader.expect("<w_vec>")
    reader.read_vector()
    reader.expect("<M>")
    at = reader.position
    count = reader.read_count(16, "Gaussians")
    if count == 0:
        reader.fail("at least one Gaussian", at)
    projection = [reader.read_matrix().astype(np.float32) for _ in range(count)]
    reader.expect("<SigmaInv>")
    sigma_inv = [reader.read_symmetric().astype(np.float32) for _ in range(count)]
    reader.expect("<IvectorOffset>")
    prior_offset = reader.read_float()
    reader.expect("</IvectorExtractor>")
    shapes = {matrix.shape for matrix in projection} | {matrix.shape for matrix in sigma_inv}
    if len({matrix.shape for matrix in projection}) != 1 or len(shapes) > 2:
        reader.fail("Gaussians of the same dimensions", at)
    return np.stack(projection), np.stack(sigma_inv), prior_offset
