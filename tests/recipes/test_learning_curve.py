"""The plan of tools/bench/learning_curve.py: what is run, on what, and how the table reads."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def curve() -> ModuleType:
    path = ROOT / "tools/bench/learning_curve.py"
    spec = importlib.util.spec_from_file_location("learning_curve", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look there
    spec.loader.exec_module(module)
    return module


def test_each_stage_stands_on_those_before_and_no_test_split_is_read(
    curve: ModuleType, tmp_path: Path
) -> None:
    plan = curve.Plan(tmp_path / "root", ("emotiontts", "pansori"), tmp_path / "w", None, 1, False)
    stages = list(curve.data_stages(plan))
    for minutes in (10.0, 30.0):
        stages += curve.size_stages(plan, minutes, curve.SYSTEMS)
    names = [stage.name for stage in stages]
    assert len(set(names)) == len(names)
    made = {plan.root / "splits.json"}
    for stage in stages:
        assert set(stage.inputs) <= made, stage.name
        assert "test" not in stage.command
        made |= set(stage.outputs)
    trained = {stage.name: stage.command for stage in stages if stage.command[3] == "train"}
    assert set(trained) == {f"{s}-{m}" for s in curve.SYSTEMS for m in (10, 30)}
    assert "--system" not in trained["adapted-10"] and "--encoder" in trained["encoder-10"]
    assert curve.epochs("encoder", 10) == 7 and curve.epochs("encoder", 240) == 2
    assert (curve.leaves(10), curve.leaves(240)) == (200, 1000)


def test_the_table_shows_what_is_there(curve: ModuleType, tmp_path: Path) -> None:
    plan = curve.Plan(tmp_path, ("emotiontts",), tmp_path, None, 1, False)
    score = plan.score("tdnnf", 30, "emotiontts")
    score.parent.mkdir()
    score.write_text(json.dumps({"cer": {"rate": 0.125}, "wer": {"rate": 0.5}}))
    lines = curve.table(plan, [10, 30], ["encoder", "tdnnf"]).splitlines()
    assert lines[2:] == ["| 10 | – | – |", "| 30 | – | 12.5% (50.0%) |"]
