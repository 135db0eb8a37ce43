"""Byte-pair encoding: from text to the tokens of a model that was trained on them.

R. Sennrich et al., "Neural machine translation of rare words with subword units", 2016, on bytes as
in A. Radford et al., "Language models are unsupervised multitask learners", 2019 (GPT-2's
encoder.py; ``ByteLevel`` of Hugging Face's tokenizers). A syllable of Hangul is three bytes, which
are mostly one or two tokens.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from asr.errors import ModelError

_PIECES = re.compile(r" ?[^\W\d_]+| ?\d+| ?(?:[^\s\w]|_)+|\s+(?!\S)|\s+")
"""What no token reaches beyond: runs of letters, of digits and of signs, each with one space."""


NO_TOKEN = -1
"""Of a byte that no text may have."""


class BytePairs:
    """Tokens of text. Immutable.

    Args:
        byte_tokens: int32 [256], the token of each byte; ``NO_TOKEN`` where no text may have it.
        merges: int32 [N, 3], pairs of tokens and what they become, the first to be made first.

    Raises:
        ModelError: arrays of other shapes.
    """

    def __init__(self, byte_tokens: NDArray[np.int32], merges: NDArray[np.int32]) -> None:
        if byte_tokens.shape != (256,) or merges.ndim != 2 or merges.shape[1] != 3:
            raise ModelError("the tokens' arrays have other shapes: install the package anew")
        self._byte_tokens = byte_tokens.tolist()
        self._merges: dict[tuple[int, ...], tuple[int, int]] = {
            (first, second): (rank, made)
            for rank, (first, second, made) in enumerate(merges.tolist())
        }
        self._tokens_of = functools.lru_cache(maxsize=20_000)(self._merged)

    def tokens(self, text: str) -> list[int] | None:
        """The tokens of a text; one that begins a word holds the space before it.

        None of a text with bytes that none may have.
        """
        tokens = [token for piece in _PIECES.findall(text) for token in self._tokens_of(piece)]
        return None if NO_TOKEN in tokens else tokens

    def _merged(self, piece: str) -> tuple[int, ...]:
        tokens = [self._byte_tokens[byte] for byte in piece.encode()]
        while len(tokens) > 1:
            known = [self._merges[pair] for pair in pairwise(tokens) if pair in self._merges]
            if not known:
                break
            first = min(known)
            joined: list[int] = []
            place = 0
            while place < len(tokens):
                meets = self._merges.get(tuple(tokens[place : place + 2])) == first
                joined.append(first[1] if meets else tokens[place])
                place += 1 + meets
            tokens = joined
        return tuple(tokens)


@dataclass(frozen=True)
class TokenTable:
    """What a ``tokenizer.json`` says of its tokens.

    Attributes:
        byte_tokens: int32 [256]; merges: int32 [N, 3]: see :class:`BytePairs`.
        texts: the bytes of each token.
        special: tokens that stand for no text, by name.
    """

    byte_tokens: NDArray[np.int32]
    merges: NDArray[np.int32]
    texts: dict[int, bytes]
    special: dict[str, int]

    def only(self, kept: Sequence[int]) -> TokenTable:
        """The same with some tokens alone, which are numbered as they stand in ``kept``."""
        number = {token: place for place, token in enumerate(kept)}
        merges = [
            [number[token] for token in merge]
            for merge in self.merges.tolist()
            if all(token in number for token in merge)
        ]
        return TokenTable(
            np.array([number.get(t, NO_TOKEN) for t in self.byte_tokens.tolist()], np.int32),
            np.array(merges, np.int32).reshape(-1, 3),
            {number[token]: text for token, text in self.texts.items() if token in number},
            {name: number[token] for name, token in self.special.items() if token in number},
        )


def read_token_table(data: bytes) -> TokenTable:
    """Read the content of a ``tokenizer.json``.

    Raises:
        ModelError: malformed, or of another kind of tokens.
    """
    characters = _byte_characters()
    byte_of = {character: byte for byte, character in enumerate(characters)}
    try:
        content = json.loads(data)
        model, added = content["model"], content["added_tokens"]
        if model["type"] != "BPE" or content["pre_tokenizer"]["type"] != "ByteLevel":
            raise ValueError("other tokens than pairs of bytes")
        ids: dict[str, int] = model["vocab"]
        pairs = [m.split(" ") if isinstance(m, str) else m for m in model["merges"]]
        merges = [(ids[a], ids[b], ids[a + b]) for a, b in pairs]
        special = {str(one["content"]): int(one["id"]) for one in added}
        texts = {
            number: bytes(byte_of[character] for character in text)
            for text, number in ids.items() if text not in special
        }  # fmt: skip
        byte_tokens = [ids[character] for character in characters]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ModelError(f"tokenizer.json cannot be understood ({error!r}): fetch it again"
                         ) from None  # fmt: skip
    return TokenTable(
        np.array(byte_tokens, np.int32), np.array(merges, np.int32).reshape(-1, 3), texts, special
    )


def _byte_characters() -> list[str]:
    """The character that stands for each byte in such files: itself where it can be seen."""
    seen = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = iter(range(0x100, 0x200))
    return [chr(byte if byte in seen else next(others)) for byte in range(256)]
