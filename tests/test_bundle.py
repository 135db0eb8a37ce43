"""Bundles: written whole, read back exactly, and refused when newer, damaged or hostile."""

import hashlib
import json
import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from safetensors.numpy import load_file, save_file

from asr.bundle import MANIFEST_FILE, Bundle, Manifest, is_bundle, open_bundle, write_bundle
from asr.errors import ModelError
from asr.tensor_file import read_tensors

MANIFEST = Manifest(
    name="테스트",
    language="ko",
    sample_rate=16000,
    licence="Apache-2.0",
    attribution="nobody",
    sections={"features": {"type": "mfcc", "num_ceps": 40}, "graph": {"arcs": 3}},
)
TENSORS = {
    "acoustic.safetensors": {
        "weight": np.arange(12, dtype=np.float32).reshape(3, 4),
        "scalar": np.float64(2.5).reshape(()),
        "empty": np.zeros((0, 3), np.int32),
    },
    "graph.safetensors": {"arcs": np.arange(5, dtype=np.int64), "flag": np.array([True, False])},
}


@pytest.fixture
def path(tmp_path):
    write_bundle(tmp_path / "model", MANIFEST, TENSORS)
    return tmp_path / "model"


def rewrite(path, change, reseal=True):
    """Change the manifest's JSON; with `reseal` its checksum is made right again."""
    body = json.loads((path / MANIFEST_FILE).read_text(encoding="utf-8"))
    body.pop("checksum")
    change(body)
    text = json.dumps(body, sort_keys=True, separators=(",", ":"))
    if reseal:
        body["checksum"] = hashlib.sha256(text.encode()).hexdigest()
    (path / MANIFEST_FILE).write_text(json.dumps(body), encoding="utf-8")


def assert_same(bundle: Bundle) -> None:
    assert bundle.manifest == MANIFEST
    assert set(bundle.files) == set(TENSORS)
    for name, expected in TENSORS.items():
        found = bundle.tensors(name)
        assert set(found) == set(expected)
        for key, array in expected.items():
            assert found[key].dtype == array.dtype and found[key].shape == array.shape
            np.testing.assert_array_equal(found[key], array)


def test_round_trip(path):
    assert_same(open_bundle(path))
    assert_same(open_bundle(str(path), verify=False))
    assert is_bundle(path) and not is_bundle(path.parent)
    assert sorted(os.listdir(path)) == ["acoustic.safetensors", "graph.safetensors", "model.json"]


def test_arrays_are_mapped_and_private(path):
    before = (path / "acoustic.safetensors").read_bytes()
    weight = open_bundle(path).tensors("acoustic.safetensors")["weight"]
    assert weight.flags.writeable and weight.flags.aligned and not weight.flags.owndata
    weight[:] = 7
    assert (path / "acoustic.safetensors").read_bytes() == before


def test_overwriting_replaces_the_bundle(path):
    write_bundle(path, Manifest("b", "ko", 8000, "MIT"), {})
    assert open_bundle(path).manifest.sample_rate == 8000
    assert os.listdir(path) == [MANIFEST_FILE] and os.listdir(path.parent) == ["model"]


def test_other_folders_are_not_overwritten(tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(ModelError, match="is not a bundle"):
        write_bundle(tmp_path, MANIFEST, TENSORS)
    assert os.listdir(tmp_path) == ["thesis.txt"]


def test_failed_write_leaves_the_old_bundle(path):
    with pytest.raises(ValueError, match="plain"):
        write_bundle(path, MANIFEST, {"../escape.safetensors": {}})
    assert_same(open_bundle(path))
    assert os.listdir(path.parent) == ["model"]


@pytest.mark.parametrize("name", ["acoustic.safetensors", "graph.safetensors"])
@pytest.mark.parametrize("position", [0.0, 0.1, 0.5, 0.999])
def test_one_flipped_byte_in_a_part(path, name, position):
    content = bytearray((path / name).read_bytes())
    content[int(position * len(content))] ^= 0x10
    (path / name).write_bytes(content)
    with pytest.raises(ModelError, match=f"{name} is damaged .*delete the folder .* import"):
        open_bundle(path)


def test_one_flipped_byte_in_the_manifest(path):
    """Every byte: reading either fails clearly or, in white space alone, gives the same."""
    content = (path / MANIFEST_FILE).read_bytes()
    for position in range(len(content)):
        changed = bytearray(content)
        changed[position] ^= 0x01
        (path / MANIFEST_FILE).write_bytes(changed)
        try:
            bundle = open_bundle(path, verify=False)
        except ModelError as error:
            assert str(path) in str(error)
        else:
            assert content[position : position + 1].isspace() and bundle.manifest == MANIFEST


def test_missing_cut_and_unlisted_parts(path):
    with pytest.raises(ModelError, match=r"no part lm\.safetensors"):
        open_bundle(path).tensors("lm.safetensors")
    file = path / "graph.safetensors"
    content = file.read_bytes()
    file.write_bytes(content[:-1])
    with pytest.raises(ModelError, match=r"graph\.safetensors is damaged .*bytes instead of"):
        open_bundle(path, verify=False)
    file.unlink()
    with pytest.raises(ModelError, match=r"graph\.safetensors is missing: delete the folder"):
        open_bundle(path)


def test_every_file_has_the_mode_of_the_umask(tmp_path):
    before = os.umask(0o027)
    try:
        write_bundle(tmp_path / "model", MANIFEST, TENSORS)
    finally:
        os.umask(before)
    modes = {file.stat().st_mode & 0o777 for file in (tmp_path / "model").iterdir()}
    assert modes == {0o640}


def test_newer_version(path):
    rewrite(path, lambda body: body.update(version=2))
    with pytest.raises(ModelError, match=r"version 2 .* upgrade"):
        open_bundle(path)


@pytest.mark.parametrize("name", ["../other.safetensors", "/etc/passwd", "a/b.safetensors",
                                  "x.pt", ".hidden.safetensors", ""])
def test_names_outside_the_bundle(path, name):
    secret = {"bytes": 1, "sha256": ""}
    rewrite(path, lambda body: body["files"].update({name: secret}))
    with pytest.raises(ModelError, match="outside the bundle or of another kind"):
        open_bundle(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda body: body.update(format="zip"), "not a Malsori model"),
        (lambda body: body.update(version="1"), "version '1'"),
        (lambda body: body.update(version=0), "version 0"),
        (lambda body: body.pop("licence"), "licence"),
        (lambda body: body.update(files=[]), "malformed"),
        (lambda body: body["files"].update({"a.safetensors": {"size": 1}}), "malformed"),
    ],
)
def test_malformed_manifests(path, change, message):
    rewrite(path, change)
    with pytest.raises(ModelError, match=message):
        open_bundle(path)


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"null", b"\xff\xfe", b"[" * 100_000])
def test_manifests_that_are_not_json(path, content):
    (path / MANIFEST_FILE).write_bytes(content)
    with pytest.raises(ModelError):
        open_bundle(path)


def test_not_a_bundle(tmp_path):
    with pytest.raises(ModelError, match="no such model"):
        open_bundle(tmp_path / "none")
    with pytest.raises(ModelError, match="asr import-kaldi"):
        open_bundle(tmp_path)
    (tmp_path / "file").write_text("x")
    with pytest.raises(ModelError, match="is not a Malsori model"):
        open_bundle(tmp_path / "file")


# --- the mapped safetensors reader against the safetensors package --------------------------------

dtypes = st.one_of(arrays.integer_dtypes(endianness="<"), arrays.floating_dtypes(endianness="<"),
                   arrays.unsigned_integer_dtypes(endianness="<"), arrays.boolean_dtypes())


@settings(derandomize=True, deadline=None, max_examples=60)
@given(st.dictionaries(st.text("abc.가", min_size=1), arrays.arrays(
    dtypes, arrays.array_shapes(min_dims=0, min_side=0)), max_size=5))
def test_mapped_arrays_equal_those_of_safetensors(tmp_path_factory, tensors):
    path = tmp_path_factory.mktemp("tensors") / "a.safetensors"
    save_file(tensors, path)
    mapped, loaded = read_tensors(path), load_file(path)
    assert set(mapped) == set(loaded)
    for name, array in loaded.items():
        assert mapped[name].dtype == array.dtype and mapped[name].shape == array.shape
        np.testing.assert_array_equal(mapped[name], array)


def tensor_file(header: object, data: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"1234567",
        (1 << 40).to_bytes(8, "little"),
        tensor_file(b"{"),
        tensor_file([1]),
        tensor_file({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}, b"1234"),
        tensor_file({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}}, b"1234"),
        tensor_file({"a": {"dtype": "F32", "shape": [-1], "data_offsets": [8, 4]}}, b"12345678"),
        tensor_file({"a": {"dtype": "F32", "shape": [1], "data_offsets": [-4, 0]}}, b"1234"),
        tensor_file({"a": {"dtype": "F8_E4M3", "shape": [1], "data_offsets": [0, 2]}}, b"12"),
        tensor_file({"a": {"dtype": "F32", "shape": 1, "data_offsets": [0, 4]}}, b"1234"),
        tensor_file({"a": 1}, b"1234"),
    ],
)
def test_malformed_tensor_files(tmp_path, content):
    path = tmp_path / "a.safetensors"
    path.write_bytes(content)
    with pytest.raises(ValueError):
        read_tensors(path)
