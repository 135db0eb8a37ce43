"""Whisper's encoder weights as others store them, by the names of our module.

Three layouts: Hugging Face's (``model.encoder.layers.0.self_attn.q_proj.weight``), OpenAI's
(``encoder.blocks.0.attn.query.weight``) and CTranslate2's (``encoder/layer_0/self_attention/…``,
whose first linear holds query, key and value in one).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from asr.encoders.whisper import WhisperConfig, WhisperEncoder
from asr.errors import ModelError

Arrays = Mapping[str, NDArray[np.generic]]

_HUGGING_FACE = {
    "attn_norm": "self_attn_layer_norm", "query": "self_attn.q_proj", "key": "self_attn.k_proj",
    "value": "self_attn.v_proj", "out": "self_attn.out_proj", "mlp_norm": "final_layer_norm",
    "up": "fc1", "down": "fc2",
}  # fmt: skip
_OPENAI = {
    "attn_norm": "attn_ln", "query": "attn.query", "key": "attn.key", "value": "attn.value",
    "out": "attn.out", "mlp_norm": "mlp_ln", "up": "mlp.0", "down": "mlp.2",
}  # fmt: skip
HEAD_WIDTH = 64
"""Of all Whisper models: the number of heads is the width over this."""


def encoder_of(arrays: Arrays) -> tuple[dict[str, Tensor], WhisperConfig]:
    """Weights by our names, and the size that their shapes tell.

    Raises:
        ModelError: another kind of model, or weights that are missing, of shapes that do not fit
            together, or not finite in float16, as bundles hold them.
    """
    try:
        if any(name.startswith("encoder/") for name in arrays):
            weights = _ctranslate2(arrays)
        else:
            weights = _torch_names(arrays)
        heads, rest = divmod(weights["conv1.weight"].shape[0], HEAD_WIDTH)
        if rest or not heads:
            raise ValueError(f"its width is no multiple of {HEAD_WIDTH}")
        config = WhisperConfig.of_weights(weights, heads)
    except (KeyError, IndexError, ValueError) as error:
        raise ModelError(
            f"this is no Whisper model whose encoder can be read ({error}): give the safetensors of"
            " Hugging Face or OpenAI, or a model.bin of CTranslate2"
        ) from None
    for name, weight in weights.items():
        if not bool(torch.isfinite(weight.half()).all()):
            raise ModelError(f"the weights {name} are not finite: fetch the model again")
    WhisperEncoder.of_weights(weights, config, {})
    return weights, config


def _torch_names(arrays: Arrays) -> dict[str, Tensor]:
    """Of Hugging Face's or OpenAI's names, with any prefix."""
    ending = "encoder.conv1.weight"
    found = [name for name in arrays if name.endswith(ending)]
    prefix = found[0][: -len("conv1.weight")] if found else ""
    if not found and "conv1.weight" not in arrays:
        raise KeyError(ending)
    inner = {n.removeprefix(prefix): a for n, a in arrays.items() if n.startswith(prefix)}
    facing = "embed_positions.weight" in inner
    layers, names = ("layers", _HUGGING_FACE) if facing else ("blocks", _OPENAI)
    norm = "layer_norm" if facing else "ln_post"
    positions = inner["embed_positions.weight" if facing else "positional_embedding"]
    weights = {"positions": tensor_of(positions)}
    for ours, theirs in (("conv1", "conv1"), ("conv2", "conv2"), ("norm", norm)):
        for part in ("weight", "bias"):
            weights[f"{ours}.{part}"] = tensor_of(inner[f"{theirs}.{part}"])
    count = 1 + max(int(n.split(".")[1]) for n in inner if n.startswith(f"{layers}."))
    for number in range(count):
        for ours, theirs in names.items():
            for part in ("weight", "bias"):
                if (ours, part) != ("key", "bias"):
                    name = f"{layers}.{number}.{theirs}.{part}"
                    weights[f"blocks.{number}.{ours}.{part}"] = tensor_of(inner[name])
    return weights


def _ctranslate2(arrays: Arrays) -> dict[str, Tensor]:
    inner = {n.removeprefix("encoder/"): a for n, a in arrays.items() if n.startswith("encoder/")}
    weights = {
        "positions": tensor_of(inner["position_encodings/encodings"]),
        "norm.weight": tensor_of(inner["layer_norm/gamma"]),
        "norm.bias": tensor_of(inner["layer_norm/beta"]),
    }
    for name in ("conv1", "conv2"):
        for part in ("weight", "bias"):
            weights[f"{name}.{part}"] = tensor_of(inner[f"{name}/{part}"])
    for number in range(ctranslate2_layers(inner)):
        weights |= {
            f"blocks.{number}.{name}": weight
            for name, weight in _ctranslate2_block(inner, f"layer_{number}").items()
        }
    return weights


def ctranslate2_layers(inner: Arrays) -> int:
    """How many blocks names like ``layer_0/…`` tell of; raises ValueError where there is none."""
    numbers = {name[6:].split("/")[0] for name in inner if name.startswith("layer_")}
    return 1 + max(int(number) for number in numbers if number.isdigit())  # not layer_norm


def _ctranslate2_block(inner: Arrays, layer: str) -> dict[str, Tensor]:
    attention, mlp = f"{layer}/self_attention", f"{layer}/ffn"
    query, key, value = tensor_of(inner[f"{attention}/linear_0/weight"]).chunk(3)
    # the key has no bias
    query_bias, _, value_bias = tensor_of(inner[f"{attention}/linear_0/bias"]).chunk(3)
    weights = {
        "query.weight": query, "query.bias": query_bias, "key.weight": key,
        "value.weight": value, "value.bias": value_bias,
    }  # fmt: skip
    for ours, theirs in (("attn_norm", attention), ("mlp_norm", mlp)):
        weights[f"{ours}.weight"] = tensor_of(inner[f"{theirs}/layer_norm/gamma"])
        weights[f"{ours}.bias"] = tensor_of(inner[f"{theirs}/layer_norm/beta"])
    for ours, theirs in (("out", f"{attention}/linear_1"), ("up", f"{mlp}/linear_0"),
                         ("down", f"{mlp}/linear_1")):  # fmt: skip
        for part in ("weight", "bias"):
            weights[f"{ours}.{part}"] = tensor_of(inner[f"{theirs}/{part}"])
    return weights


def tensor_of(array: NDArray[np.generic]) -> Tensor:
    """float32 of an array of floating point; raises ValueError for another."""
    if array.dtype.kind != "f":
        raise ValueError(f"weights of type {array.dtype}, not of floating point")
    return torch.from_numpy(np.array(array, np.float32))
