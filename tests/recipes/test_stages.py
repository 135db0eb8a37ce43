"""Stages run once for the same command and inputs, and leave no mark when they fail."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from asr.errors import DataError, UsageError
from asr.stages import Stage, run_stage

COUNT = ("import sys, pathlib; out = pathlib.Path(sys.argv[2]);"
         "out.write_text(pathlib.Path(sys.argv[1]).read_text().upper());"
         "log = out.with_name('runs'); log.open('a').write('x')")  # fmt: skip


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    """Turns in.txt to capitals in out.txt, and counts in runs how often."""
    source, out = tmp_path / "in.txt", tmp_path / "out.txt"
    source.write_text("abc")
    command = (sys.executable, "-c", COUNT, str(source), str(out))
    return Stage("capitals", command, inputs=(source,), outputs=(out,))


def runs(folder: Path) -> int:
    return len((folder / "runs").read_text())


def test_the_same_stage_runs_once(stage: Stage, tmp_path: Path) -> None:
    assert run_stage(stage, tmp_path / "marks")
    assert not run_stage(stage, tmp_path / "marks")
    assert runs(tmp_path) == 1
    assert run_stage(stage, tmp_path / "marks", force=True)
    assert runs(tmp_path) == 2


def test_a_changed_input_command_or_output_runs_it_again(stage: Stage, tmp_path: Path) -> None:
    marks = tmp_path / "marks"
    run_stage(stage, marks)
    stage.inputs[0].write_text("abd")  # of the same size
    assert run_stage(stage, marks) and stage.outputs[0].read_text() == "ABD"
    stage.outputs[0].unlink()
    assert run_stage(stage, marks)
    stage.outputs[0].write_text("truncat")
    assert run_stage(stage, marks) and stage.outputs[0].read_text() == "ABD"
    other = Stage(stage.name, (*stage.command, "more"), stage.inputs, outputs=stage.outputs)
    assert run_stage(other, marks) and not run_stage(other, marks)
    assert run_stage(stage, marks)


def test_folders_are_hashed_by_content_and_listed_ones_by_name(tmp_path: Path) -> None:
    small, large = tmp_path / "small" / "deep", tmp_path / "large"
    for folder in (small, large):
        folder.mkdir(parents=True)
        (folder / "file").write_text("1")
    stage = Stage("look", ("true",), inputs=(tmp_path / "small",), listed=(large,))
    assert run_stage(stage, tmp_path / "marks")
    (large / "file").write_text("2")  # of the same size: not seen, and that is the bargain
    (small / "__pycache__").mkdir()
    (small / "__pycache__" / "file.pyc").write_text("")  # decides nothing
    assert not run_stage(stage, tmp_path / "marks")
    (small / "file").write_text("2")
    assert run_stage(stage, tmp_path / "marks")
    (large / "another").write_text("")
    assert run_stage(stage, tmp_path / "marks")


def test_a_log_begins_with_its_command(stage: Stage, tmp_path: Path) -> None:
    run_stage(stage, tmp_path / "marks")
    first = (tmp_path / "marks" / "capitals.log").read_text().splitlines()[0]
    assert first.startswith(f"# {sys.executable} -c ") and first.endswith(str(stage.outputs[0]))


def test_a_failure_tells_its_last_words_and_leaves_no_mark(tmp_path: Path) -> None:
    marks, out = tmp_path / "marks", tmp_path / "out"
    failing = Stage("fails", ("sh", "-c", "echo half; echo alas >&2; exit 7"), stdout=out)
    with pytest.raises(DataError, match=r"fails failed \(exit code 7\).*ends: alas"):
        run_stage(failing, marks)
    assert not (marks / "fails.done").exists() and not out.exists()


def test_a_stage_that_was_done_and_then_fails_is_no_longer_done(tmp_path: Path) -> None:
    switch = tmp_path / "switch"
    switch.write_text("0")
    command = ("sh", "-c", f"exit $(cat {switch})")
    stage = Stage("turn", command, inputs=(switch,))
    assert run_stage(stage, tmp_path / "marks")
    switch.write_text("1")
    with pytest.raises(DataError):
        run_stage(stage, tmp_path / "marks")
    assert not (tmp_path / "marks" / "turn.done").exists()


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere.*run the stage before"):
        run_stage(Stage("a", ("true",), inputs=(tmp_path / "nowhere",)), tmp_path)
    with pytest.raises(DataError, match=r"without making .*never"):
        run_stage(Stage("a", ("true",), outputs=(tmp_path / "never",)), tmp_path)
    with pytest.raises(DataError, match="cannot be run"):
        run_stage(Stage("a", ("no-such-program-here",)), tmp_path)
    with pytest.raises(UsageError, match="names files"):
        Stage("../a", ("true",))
    with pytest.raises(UsageError, match="no command"):
        Stage("a", ())


def test_interrupted_work_stays_for_the_same_stage_and_goes_for_another(tmp_path: Path) -> None:
    work, marks = tmp_path / "work", tmp_path / "marks"
    script = f"mkdir -p {work}; ls {work}; touch {work}/step; exit ${{1:-1}}"
    stage = Stage("long", ("sh", "-c", script), scratch=(work,))
    for seen in ("", "step"):
        with pytest.raises(DataError):
            run_stage(stage, marks)
        told = (marks / "long.log").read_text().splitlines()[2:]
        assert "".join(told) == seen
    changed = Stage("long", ("sh", "-c", script, "sh", "0"), scratch=(work,))
    run_stage(changed, marks)
    assert "step" not in (marks / "long.log").read_text().splitlines()


def test_a_damaged_mark_is_none(stage: Stage, tmp_path: Path) -> None:
    marks = tmp_path / "marks"
    run_stage(stage, marks)
    for damage in ("", "{", "[]", "null", json.dumps({"key": 3})):
        (marks / "capitals.done").write_text(damage)
        assert run_stage(stage, marks)


@pytest.mark.parametrize("number", (signal.SIGTERM, signal.SIGINT, signal.SIGKILL))
def test_a_killed_stage_leaves_no_mark(number: int, tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    script = f"echo $$ > {pid_file}.part; mv {pid_file}.part {pid_file}; exec sleep 60"
    command = ("sh", "-c", script)
    process = subprocess.Popen(
        [sys.executable, "-m", "asr", "stage", "--name", "slow", "--marks", "marks", "--",
         *command],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        # tests in the background are begun with interrupts ignored, and children inherit that
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    deadline = time.monotonic() + 20
    while not pid_file.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    child = int(pid_file.read_text())
    if number == signal.SIGTERM:  # while it runs, nobody else runs it
        with pytest.raises(DataError, match="another process"):
            run_stage(Stage("slow", command), tmp_path / "marks")
    process.send_signal(number)
    assert process.wait(20) != 0
    assert not (tmp_path / "marks" / "slow.done").exists()
    if number == signal.SIGKILL:  # the command lives on: nobody runs it beside
        with pytest.raises(DataError, match="another process"):
            run_stage(Stage("slow", command), tmp_path / "marks")
        os.kill(child, signal.SIGKILL)
        deadline = time.monotonic() + 10
        while not (ran := _ran(tmp_path)) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert ran
    else:
        with pytest.raises(ProcessLookupError):
            os.kill(child, 0)


def _ran(folder: Path) -> bool:
    """Whether the stage can be run now that nothing else runs it."""
    try:
        return run_stage(Stage("slow", ("true",)), folder / "marks")
    except DataError:
        return False


def test_the_command_line(tmp_path: Path) -> None:
    def asr(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "asr", "stage", "--name", "say", "--marks", "marks", *words],
            cwd=tmp_path, capture_output=True, text=True,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        )  # fmt: skip

    said = ("--stdout", "said.txt", "--", "echo", "--name", "--", "가나다")
    first, second = asr(*said), asr(*said)
    assert first.returncode == second.returncode == 0
    assert (tmp_path / "said.txt").read_text(encoding="utf-8") == "--name -- 가나다\n"
    assert "say: done in" in first.stdout and "say: skipped, done already" in second.stdout
    assert asr("--stdout", "x").returncode == 2
    failed = asr("--", "false")
    assert failed.returncode == 1 and failed.stderr.startswith("asr: error: say failed")
