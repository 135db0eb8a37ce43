"""Whisper's decoder weights as others store them, by the names of our module.

As :mod:`asr.encoders.layouts`, for the other half of the model.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from torch import Tensor

from asr.encoders.layouts import HEAD_WIDTH, Arrays, ctranslate2_layers, tensor_of
from asr.encoders.whisper_decoder import DecoderSize, WhisperDecoder
from asr.errors import ModelError

_HUGGING_FACE = {
    "attn_norm": "self_attn_layer_norm", "attn": "self_attn",
    "cross_norm": "encoder_attn_layer_norm", "cross": "encoder_attn",
    "mlp_norm": "final_layer_norm", "up": "fc1", "down": "fc2",
    "query": "q_proj", "key": "k_proj", "value": "v_proj", "out": "out_proj",
    "embedding": "embed_tokens.weight", "positions": "embed_positions.weight", "norm": "layer_norm",
}  # fmt: skip
_OPENAI = {
    "attn_norm": "attn_ln", "attn": "attn", "cross_norm": "cross_attn_ln", "cross": "cross_attn",
    "mlp_norm": "mlp_ln", "up": "mlp.0", "down": "mlp.2",
    "query": "query", "key": "key", "value": "value", "out": "out",
    "embedding": "token_embedding.weight", "positions": "positional_embedding", "norm": "ln",
}  # fmt: skip
_PLAIN, _ATTENTIONS = ("attn_norm", "cross_norm", "mlp_norm", "up", "down"), ("attn", "cross")
_PROJECTIONS = ("query", "key", "value", "out")


def decoder_of(arrays: Arrays) -> tuple[dict[str, Tensor], DecoderSize]:
    """Weights by our names, and the size that their shapes tell.

    Raises:
        ModelError: another kind of model, or weights that are missing or of shapes that do not fit
            together.
    """
    try:
        if any(name.startswith("decoder/") for name in arrays):
            weights = _ctranslate2(arrays)
        else:
            weights = _torch_names(arrays)
        tokens, dim = weights["embedding.weight"].shape
        size = DecoderSize(
            dim=dim, heads=dim // HEAD_WIDTH, inner=weights["blocks.0.up.weight"].shape[0],
            layers=1 + max(int(n.split(".")[1]) for n in weights if n.startswith("blocks.")),
            tokens=tokens, positions=weights["positions.weight"].shape[0],
        )  # fmt: skip
    except (KeyError, IndexError, ValueError) as error:
        raise ModelError(f"this is no Whisper model whose decoder can be read ({error})") from None
    WhisperDecoder.of_weights(weights, size)
    return weights, size


def _torch_names(arrays: Arrays) -> dict[str, Tensor]:
    """Of Hugging Face's or OpenAI's names, with any prefix."""
    facing = [name for name in arrays if name.endswith("decoder.embed_tokens.weight")]
    opened = [name for name in arrays if name.endswith("decoder.token_embedding.weight")]
    if not facing and not opened:
        raise KeyError("decoder.embed_tokens.weight")
    names, layers = (_HUGGING_FACE, "layers") if facing else (_OPENAI, "blocks")
    prefix = (facing or opened)[0].rpartition("decoder.")[0] + "decoder."
    inner = {n.removeprefix(prefix): a for n, a in arrays.items() if n.startswith(prefix)}
    weights = {
        f"{name}.weight": tensor_of(inner[names[name]]) for name in ("embedding", "positions")
    }
    count = 1 + max(int(n.split(".")[1]) for n in inner if n.startswith(f"{layers}."))
    for part in ("weight", "bias"):
        weights[f"norm.{part}"] = tensor_of(inner[f"{names['norm']}.{part}"])
        for ours, theirs in _block_names(names):
            for number in range(count if (ours[-4:], part) != (".key", "bias") else 0):
                source = f"{layers}.{number}.{theirs}.{part}"
                weights[f"blocks.{number}.{ours}.{part}"] = tensor_of(inner[source])
    return weights


def _block_names(names: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Layers of a block, as we and as others call them."""
    for name in _PLAIN:
        yield name, names[name]
    for attention in _ATTENTIONS:
        for name in _PROJECTIONS:
            yield f"{attention}.{name}", f"{names[attention]}.{names[name]}"


def _ctranslate2(arrays: Arrays) -> dict[str, Tensor]:
    inner = {n.removeprefix("decoder/"): a for n, a in arrays.items() if n.startswith("decoder/")}
    weights = {
        "embedding.weight": tensor_of(inner["embeddings/weight"]),
        "positions.weight": tensor_of(inner["position_encodings/encodings"]),
        "norm.weight": tensor_of(inner["layer_norm/gamma"]),
        "norm.bias": tensor_of(inner["layer_norm/beta"]),
    }
    for number in range(ctranslate2_layers(inner)):
        block = _ctranslate2_block(inner, f"layer_{number}")
        weights |= {f"blocks.{number}.{name}": weight for name, weight in block.items()}
    return weights


def _ctranslate2_block(inner: Arrays, layer: str) -> dict[str, Tensor]:
    own, cross, mlp = f"{layer}/self_attention", f"{layer}/attention", f"{layer}/ffn"
    weights: dict[str, Tensor] = {}
    for part in ("weight", "bias"):
        query, key, value = tensor_of(inner[f"{own}/linear_0/{part}"]).chunk(3)
        cross_key, cross_value = tensor_of(inner[f"{cross}/linear_1/{part}"]).chunk(2)
        weights |= {
            f"attn.query.{part}": query, f"attn.key.{part}": key, f"attn.value.{part}": value,
            f"attn.out.{part}": tensor_of(inner[f"{own}/linear_1/{part}"]),
            f"cross.query.{part}": tensor_of(inner[f"{cross}/linear_0/{part}"]),
            f"cross.key.{part}": cross_key, f"cross.value.{part}": cross_value,
            f"cross.out.{part}": tensor_of(inner[f"{cross}/linear_2/{part}"]),
            f"up.{part}": tensor_of(inner[f"{mlp}/linear_0/{part}"]),
            f"down.{part}": tensor_of(inner[f"{mlp}/linear_1/{part}"]),
        }  # fmt: skip
    for norm, source in (("attn_norm", own), ("cross_norm", cross), ("mlp_norm", mlp)):
        weights[f"{norm}.weight"] = tensor_of(inner[f"{source}/layer_norm/gamma"])
        weights[f"{norm}.bias"] = tensor_of(inner[f"{source}/layer_norm/beta"])
    del weights["attn.key.bias"], weights["cross.key.bias"]  # zero: the softmax does not see it
    return weights
