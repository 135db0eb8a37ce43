"""What a stopped training of a GMM system kept is used, or refused where it is damaged."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from asr.audio import load_audio
from asr.data_files import shipped
from asr.errors import DataError
from asr.gmm.folder import read_state
from asr.gmm.systems import SystemConfig, build, schedule


@dataclass(frozen=True)
class Sample:
    id: str
    text: str
    path: Path
    speaker: str = "someone"

    def samples(self, sample_rate: int) -> np.ndarray:
        return load_audio(self.path, sample_rate).samples


def speech() -> list[Sample]:
    folder = Path(str(shipped("samples")))
    with open(folder / "transcripts.tsv", encoding="utf-8") as file:
        rows = [row for row in csv.reader(file, delimiter="\t") if row[0].startswith("human")]
    return [Sample(name, text, folder / name) for name, text in rows]


class Killed(Exception):
    pass


def test_damaged_work_is_refused_and_whole_work_is_used(tmp_path: Path) -> None:
    config = SystemConfig("mono", loop=schedule("mono", 4, 160))
    out = tmp_path / "mono"

    def killer(done: float, what: str) -> None:
        if what.startswith("iteration 3"):
            raise Killed

    def killer_at_once(done: float, what: str) -> None:
        if what.endswith("pdfs"):
            raise Killed

    with pytest.raises(Killed):
        build(config, speech(), out, progress=killer)
    running = out / "training"
    (out / ".training.tmp-1-0").mkdir()  # killed amid writing, and amid a replacement
    running.rename(out / ".training.tmp-old-1-0")
    with pytest.raises(Killed):
        build(config, speech(), out, progress=killer_at_once)
    assert {path.name for path in out.iterdir()} == {"run.json", "training"}
    assert read_state(running).iteration == 3
    files = [path for path in sorted(running.rglob("*")) if path.is_file()]
    assert {"alignments.safetensors", "gmm.safetensors", "state.json"} <= {f.name for f in files}
    for path in files:
        content = path.read_bytes()
        path.write_bytes(b"{" if path.name == "state.json" else content[:-2] + b"\0\1")
        with pytest.raises(DataError, match=r"training is damaged .* delete it, and the same"):
            build(config, speech(), out)
        path.write_bytes(content)
    told: list[str] = []
    build(config, speech(), out, progress=lambda done, what: told.append(what))
    assert not [what for what in told if what.startswith("iteration 3")]
    assert [what for what in told if what.startswith("iteration 4")]
    whole = tmp_path / "whole"
    build(config, speech(), whole)
    mine, theirs = read_state(out).model.gmms, read_state(whole).model.gmms
    assert np.array_equal(mine.mean, theirs.mean)
