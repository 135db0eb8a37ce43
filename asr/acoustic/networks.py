"""Networks by their description: ``{"kind": "tdnnf", "feature_dim": 40, …}`` and back; on disk.

A saved network is a folder with ``network.json`` and ``network.safetensors``. Bundles are for
recognising; this is for training further, and for networks that are no graphs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from asr.acoustic.conformer import Conformer, ConformerConfig
from asr.acoustic.encoder_top import TOP, EncoderTop, EncoderTopConfig
from asr.acoustic.mlp import Mlp, MlpConfig
from asr.acoustic.network import AcousticNetwork
from asr.acoustic.nnet import Nnet
from asr.acoustic.spec import NnetSpec
from asr.acoustic.tdnnf import Tdnnf, TdnnfConfig
from asr.acoustic.trainable import TrainableNnet
from asr.atomic import replaced_folder
from asr.errors import ModelError, UsageError
from asr.tensor_file import read_tensors, write_tensors

FORMAT, VERSION = "malsori-network", 1
DESCRIPTION_FILE, TENSORS_FILE = "network.json", "network.safetensors"
GRAPH = "graph"
_SECOND_HEAD = "outputs.1."
_KINDS: dict[str, tuple[type[AcousticNetwork], Any]] = {
    "mlp": (Mlp, MlpConfig),
    "tdnnf": (Tdnnf, TdnnfConfig),
    "conformer": (Conformer, ConformerConfig),
    TOP: (EncoderTop, EncoderTopConfig),
}


def build_network(description: Mapping[str, Any]) -> AcousticNetwork:
    """A network with random weights.

    Args:
        description: "kind" (mlp, tdnnf, conformer or encoder-top) and the options of its config.

    Raises:
        UsageError: an unknown kind or option, or an impossible size.

    >>> build_network({"kind": "mlp", "feature_dim": 13, "num_pdfs": 40, "dim": 8}).num_pdfs
    40
    """
    options = dict(description)
    kind = options.pop("kind", None)
    if kind not in _KINDS:
        raise UsageError(f"there is no network {kind!r}; there are {', '.join(sorted(_KINDS))}")
    make, configure = _KINDS[kind]
    try:
        return make(configure(**options))
    except TypeError as error:
        raise UsageError(f"a network of kind {kind} cannot be made so: {error}") from None


def describe_network(network: nn.Module) -> dict[str, Any]:
    """Inverse of :func:`build_network`; JSON-able.

    Raises:
        UsageError: a network of no known kind.
    """
    for kind, (make, _) in _KINDS.items():
        if isinstance(network, make):
            config: Any = network.config
            return {"kind": kind, **json.loads(json.dumps(asdict(config)))}
    raise UsageError(f"a {type(network).__name__} cannot be described")


def network_section(network: AcousticNetwork) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """What a bundle keeps of a network: entries of its section "acoustic", and the weights.

    Raises:
        UsageError: a network of no known kind.
    """
    if isinstance(network, TrainableNnet):
        network = network.fused()
    if isinstance(network, Nnet):
        description, weights = network.to_spec()
        return {"nnet": description}, weights
    network = _first_head_alone(network)
    return {"network": describe_network(network)}, dict(network.state_dict())


def _first_head_alone(network: AcousticNetwork) -> AcousticNetwork:
    """Without the head for cross-entropy, which only training needs."""
    config: Any = network.config
    if not getattr(config, "xent", False):
        return network
    smaller = build_network({**describe_network(network), "xent": False})
    weights = network.state_dict()
    smaller.load_state_dict({k: w for k, w in weights.items() if not k.startswith(_SECOND_HEAD)})
    return smaller


def network_of_section(
    section: Mapping[str, Any], weights: Mapping[str, Tensor]
) -> AcousticNetwork:
    """Inverse of :func:`network_section`.

    Raises:
        ModelError, UsageError, KeyError, TypeError, ValueError: it cannot be understood.
    """
    if "nnet" in section:
        return Nnet.from_spec(section["nnet"], weights)
    network = build_network(section["network"])
    try:
        network.load_state_dict(dict(weights))
    except RuntimeError as error:
        raise ModelError(f"the network's weights do not fit it ({error}): train it again") from None
    return network


def save_network(path: str | Path, network: nn.Module) -> None:
    """Write a network of a known kind, or any :class:`TrainableNnet`, to a folder.

    Raises:
        UsageError: a network of no known kind.
    """
    tensors: Mapping[str, Tensor] = network.state_dict()
    if type(network) is TrainableNnet:
        graph, weights = network.to_graph().to_json()
        description: dict[str, Any] = {
            "kind": GRAPH,
            "graph": graph,
            "subsampling": network.subsampling,
            "heads": list(network.head_names),
        }
        tensors = {name: torch.from_numpy(array) for name, array in weights.items()}
    else:
        description = describe_network(network)
    body = {"format": FORMAT, "version": VERSION, "network": description}
    with replaced_folder(path) as folder:
        arrays = {name: tensor.detach().cpu().numpy() for name, tensor in tensors.items()}
        write_tensors(folder / TENSORS_FILE, arrays)
        text = json.dumps(body, ensure_ascii=False, indent=1) + "\n"
        (folder / DESCRIPTION_FILE).write_text(text, encoding="utf-8")


def load_network(path: str | Path) -> nn.Module:
    """Inverse of :func:`save_network`; in evaluation mode.

    Raises:
        ModelError: none there, damaged, or of a newer version.
    """
    path = Path(path)
    try:
        body = json.loads((path / DESCRIPTION_FILE).read_text(encoding="utf-8"))
        if body["format"] != FORMAT:
            raise ModelError(f"{path} is not a network")
        if body["version"] > VERSION:
            raise ModelError(f"{path} was written by a newer version: update Malsori")
        arrays = {k: a.copy() for k, a in read_tensors(path / TENSORS_FILE).items()}
        description = body["network"]
        if description["kind"] == GRAPH:
            spec = NnetSpec.from_json(description["graph"], arrays)
            return TrainableNnet(spec, description["subsampling"], description["heads"]).eval()
        network = build_network(description)
        network.load_state_dict({name: torch.from_numpy(a) for name, a in arrays.items()})
        return network.eval()
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, UsageError) as error:
        raise ModelError(
            f"the network in {path} cannot be read ({error}): save or train it again"
        ) from error
