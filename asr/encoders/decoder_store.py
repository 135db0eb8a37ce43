"""The decoder of a known encoder on disk: its blocks, and the tokens that Korean is made of.

Built in the user's cache from the packages of the encoder. Of Whisper's 51,865 tokens a twentieth
are pieces of Hangul or of numbers; only their embeddings are kept, numbered behind those that every
text begins with.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from asr.bundle import Manifest, open_bundle, write_bundle
from asr.encoders.byte_pairs import BytePairs, TokenTable, read_token_table
from asr.encoders.decoder_layouts import decoder_of
from asr.encoders.known import WHISPER_BASE, KnownEncoder
from asr.encoders.listener import Listener
from asr.encoders.store import (
    build_inputs,
    floats,
    halves,
    joined_arrays,
    load_encoder,
    package_file,
)
from asr.encoders.whisper_decoder import DecoderSize, WhisperDecoder
from asr.errors import ModelError
from asr.features.log_mel import SAMPLE_RATE
from asr.models import KnownModel, cached
from asr.progress import Progress, silent

START = ("<|startoftranscript|>", "<|ko|>", "<|transcribe|>", "<|notimestamps|>")
SECTION = "decoder-of-encoder"
DECODER_FILE, TOKENS_FILE = "decoder.safetensors", "tokens.safetensors"
_SYLLABLES = range(0xAC00, 0xD7A4)
_LEADS = range(0xEA, 0xEE)
"""First bytes of Hangul syllables in UTF-8; the others are 0x80 to 0xBF, of any character."""
_NUMERIC = frozenset(b"0123456789-%")
_loading = threading.Lock()


def listener(device: str = "cpu") -> Listener:
    """The one that all recognisers of this process on a device share; the first call loads it.

    Raises:
        ModelError: the packages of the encoder are not installed, or damaged.
    """
    with _loading:
        return _listener(device)


@functools.cache
def _listener(device: str) -> Listener:
    encoder = load_encoder(WHISPER_BASE.name, device)
    decoder, pairs = load_decoder(WHISPER_BASE, device)
    return Listener(encoder, decoder, pairs, range(len(START)))


def load_decoder(
    known: KnownEncoder, device: torch.device | str = "cpu"
) -> tuple[WhisperDecoder, BytePairs]:
    """The decoder of a known encoder, and its tokens.

    Raises:
        ModelError: what it is made from is not installed, or damaged.
    """
    name = f"{known.name}-decoder"
    build = functools.partial(_build, known)
    bundle = open_bundle(cached(KnownModel(name, "", known.parts, build, build_inputs)))
    try:
        size = DecoderSize(**bundle.manifest.sections[SECTION]["size"])
        tokens: Mapping[str, Any] = bundle.tensors(TOKENS_FILE)
        pairs = BytePairs(np.array(tokens["bytes"]), np.array(tokens["merges"]))
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(f"{bundle.path} cannot be understood ({error!r}): delete it") from None
    weights = floats(bundle.tensors(DECODER_FILE))
    return WhisperDecoder.of_weights(weights, size, device), pairs


def _build(known: KnownEncoder, out: Path, progress: Progress = silent) -> None:
    progress(0.0, f"joining {known.name}")
    weights, size = decoder_of(joined_arrays(known))
    progress(0.5, f"converting {known.name}'s decoder")
    weights, size, table = for_korean(
        weights, size, read_token_table(package_file(known.parts[0], "tokenizer.json"))
    )
    manifest = Manifest(
        name=f"{known.name}-decoder", language="ko", sample_rate=SAMPLE_RATE,
        licence=known.licence, attribution=known.attribution,
        sections={SECTION: {"name": known.name, "sha256": known.sha256, "size": asdict(size)}},
    )  # fmt: skip
    tokens = {"bytes": table.byte_tokens, "merges": table.merges}
    write_bundle(out, manifest, {DECODER_FILE: halves(weights), TOKENS_FILE: tokens})
    progress(1.0, "done")


def for_korean(
    weights: Mapping[str, Tensor], size: DecoderSize, table: TokenTable
) -> tuple[dict[str, Tensor], DecoderSize, TokenTable]:
    """The same for texts in Hangul alone: ``START``, then the tokens that they are made of.

    Raises:
        ModelError: tokens of a model that does not know Korean.
    """
    if not all(name in table.special for name in START):
        raise ModelError("these are not the tokens of a multilingual Whisper model")
    start = [table.special[name] for name in START]
    kept = [*start, *sorted(token for token, text in table.texts.items() if is_korean(text))]
    embedding = weights["embedding.weight"][torch.tensor(kept)]
    return (
        {**weights, "embedding.weight": embedding},
        replace(size, tokens=len(kept)),
        table.only(kept),
    )


def is_korean(text: bytes) -> bool:
    """Whether a token's bytes can be a piece of Korean.

    That is Hangul, even part of a syllable, or digits and what stands between them; with a space
    before it, or a space alone.
    """
    piece = text.removeprefix(b" ")
    if not piece:
        return text == b" "
    if all(byte in _NUMERIC for byte in piece):
        return True
    if not all(0x80 <= byte < 0xC0 or byte in _LEADS for byte in piece):
        return False
    return all(ord(letter) in _SYLLABLES for letter in piece.decode(errors="ignore"))
