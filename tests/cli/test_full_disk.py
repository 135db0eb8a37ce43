"""Training commands on a full disk: one line says so, and the same command goes on later."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from asr.atomic import TEMPORARY_MARK
from asr.cli.main import main
from asr.cli.messages import describe
from asr.data import DataDir, DirUtterance
from asr.data_files import shipped

TOLD = re.compile("full: free some space and run the same command|No space left.*make room")
NETWORK = {"kind": "tdnnf", "dim": 32, "bottleneck": 8, "strides": [1, 0, 3], "prefinal": 16}


class Disk:
    """A file system of a size of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def resize(self, size: str) -> None:
        subprocess.run(["mount", "-o", f"remount,size={size}", str(self.folder)], check=True)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """One of 4 kB, where this user may mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4k", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no file system can be mounted here")
    yield Disk(folder)
    subprocess.run(["umount", str(folder)], check=True)


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Recorded digits as a data directory, monophones of them, a small language model."""
    desk = tmp_path_factory.mktemp("desk")
    samples = Path(str(shipped("samples")))
    rows = []
    for line in (samples / "transcripts.tsv").read_text(encoding="utf-8").splitlines():
        name, text = line.split("\t")
        if name.startswith("human"):
            rows.append(DirUtterance(Path(name).stem, Path(name).stem, "kim", text,
                                     source=samples / name))  # fmt: skip
    DataDir(tuple(rows)).write(desk / "data")
    sentences = [row.text or "" for row in rows]
    (desk / "texts").write_text("\n".join(sentences * 4), encoding="utf-8")
    (desk / "network.json").write_text(json.dumps(NETWORK))
    assert main(["train-lm", "--text", str(desk / "texts"), "--output", str(desk / "lm"),
                 "--order", "2", "--min-unit-count", "1"]) == 0  # fmt: skip
    assert main([*MONO.format(desk=desk).split(), "--output", str(desk / "mono")]) == 0
    return desk


MONO = "gmm mono {desk}/data --iterations 3 --gaussians 150 --retry-beam 1000"
COMMANDS = {
    "gmm mono": (MONO + " --output {disk}/out", "200k"),
    "train-ivector": (
        "train-ivector {desk}/data {disk}/out --gaussians 4 --dim 3 --iterations 2",
        "8k",
    ),
    "pretrain rbm": (
        "pretrain --kind rbm --layers 2 --dim 64 --epochs 1 {desk}/data {disk}/out",
        "160k",
    ),
    "pretrain masked": (
        "pretrain --kind masked --clusters 8 --epochs 2 {desk}/data {disk}/out"
        ' --network {{"kind":"tdnnf","dim":32,"bottleneck":8}}',
        "200k",
    ),
    "train-dnn": (
        "train-dnn {desk}/data {disk}/out --system {desk}/mono --layers 1 --dim 32 --epochs 2",
        "700k",
    ),
    "train": (
        "train {desk}/data {disk}/out --system {desk}/mono --lm {desk}/lm --leaves 60"
        " --network {desk}/network.json --speeds 1 --epochs 2",
        "700k",
    ),
    "data features": ("data features {desk}/data {disk}/out", "24k"),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_full_disk_is_told_and_the_same_command_goes_on(
    name: str, desk: Path, disk: Disk, capsys: pytest.CaptureFixture[str]
) -> None:
    text, enough_to_begin = COMMANDS[name]
    words = text.format(desk=desk, disk=disk.folder).split()
    capsys.readouterr()
    for size in ("4k", enough_to_begin):
        disk.resize(size)
        assert main(words) == 1
        errors = [line for line in capsys.readouterr().err.splitlines() if "error:" in line]
        assert len(errors) == 1 and TOLD.search(errors[0]), errors
        assert not [path for path in disk.folder.rglob("*") if TEMPORARY_MARK in path.name]
    disk.resize("64m")
    assert main(words) == 0, capsys.readouterr().err
    assert (disk.folder / "out").exists()


def test_a_full_disk_is_told_wherever_it_is_found() -> None:
    told = describe(OSError(28, "No space left on device", "out/model"))
    assert told == "out/model: the disk is full: free some space and run the same command again"
