"""recipes/mini_ko, small: it makes its speech, learns, recognises, and does nothing twice."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
from pathlib import Path

import jiwer
import pytest

from asr.data.sentences import SentenceIndex

pytest.importorskip("espeakng_loader", reason="needs malsori[recipes]")
ROOT = Path(__file__).parents[2]
RECIPE = ROOT / "recipes" / "mini_ko"
SMALL = ("--utterances", "40", "--sets", "dev", "--systems", "mono", "--nj", "1")


def run(*options: str, recipe: str = "mini_ko") -> subprocess.CompletedProcess[str]:
    """A recipe's run.sh with the interpreter that runs the tests."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return subprocess.run(
        ["bash", f"recipes/{recipe}/run.sh", *options], cwd=ROOT, capture_output=True, text=True,
        env={**os.environ, "PATH": path, "VIRTUAL_ENV": sys.prefix, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    """Options of a trial that has been run as far as monophones, decoded and scored."""
    folder = tmp_path_factory.mktemp("mini_ko")
    (folder / "conf").mkdir()
    (folder / "conf" / "lm.conf").write_text("--order 3  # as little as can be\n")
    (folder / "conf" / "mono.conf").write_text("\n--iterations 14\n\n--gaussians 200\n")
    (folder / "conf" / "decode.conf").write_text("# none\n")
    options = (*SMALL, "--work", str(folder), "--conf", str(folder / "conf"))
    for stages in (("--stop-stage", "10"), ("--stage", "30")):
        made = run(*options, *stages)
        assert made.returncode == 0, made.stdout + made.stderr
    return options


def work_of(options: tuple[str, ...]) -> Path:
    return Path(options[options.index("--work") + 1])


def test_results_say_what_was_recognised(small: tuple[str, ...]) -> None:
    work = work_of(small)
    page = (work / "RESULTS.md").read_text(encoding="utf-8")
    row = re.search(r"^\| mono \| mini_ko dev \| ([0-9.]+)% .* (\d+) / (\d+) \|$", page, re.M)
    assert row and "bash recipes/mini_ko/run.sh --utterances 40" in page
    read = [
        dict(line.split(maxsplit=1) for line in path.read_text(encoding="utf-8").splitlines())
        for path in (work / "data/mini_ko/dev/text", work / "decode/mono/mini_ko.dev.txt")
    ]
    told, heard = ([part[name].replace(" ", "") for name in read[0]] for part in read)
    oracle = jiwer.process_characters(told, heard)
    assert float(row[1]) == pytest.approx(100 * oracle.cer, abs=0.006)
    assert int(row[3]) == sum(map(len, told))
    assert oracle.cer < 0.9  # on two minutes of speech: it has begun to hear


def test_nothing_is_done_twice(small: tuple[str, ...]) -> None:
    again = run(*small, "--stop-stage", "10")
    assert again.returncode == 0
    lines = again.stdout.splitlines()
    assert len(lines) == 7 and all(": skipped, done already" in line for line in lines)


def test_logs_begin_with_their_commands(small: tuple[str, ...]) -> None:
    logs = sorted((work_of(small) / "marks").glob("*.log"))
    assert {"speech", "leaks", "lm", "mono", "decode-mono-mini_ko-dev"} <= {p.stem for p in logs}
    assert all(path.read_text(encoding="utf-8").startswith("# python ") for path in logs)
    marks = {path.stem for path in (work_of(small) / "marks").glob("*.done")}
    assert marks == {path.stem for path in logs}


def test_a_changed_option_redoes_what_it_touches(small: tuple[str, ...], tmp_path: Path) -> None:
    for name, text in (("lm", "--order 3"), ("mono", "--iterations 3 --gaussians 150")):
        (tmp_path / f"{name}.conf").write_text(text)
    changed = run(*small, "--conf", str(tmp_path), "--stop-stage", "10")
    assert changed.returncode == 0, changed.stderr
    done = [line.partition(":")[0] for line in changed.stdout.splitlines() if "done in" in line]
    assert done == ["mono"]


def test_a_failed_stage_stops_the_recipe_and_leaves_no_mark(
    small: tuple[str, ...], tmp_path: Path
) -> None:
    (tmp_path / "lm.conf").write_text("--order none")
    failed = run(*small, "--conf", str(tmp_path), "--stage", "2", "--stop-stage", "10")
    marks = work_of(small) / "marks"
    assert failed.returncode == 1 and "lm failed" in failed.stderr
    assert str(marks / "lm.log") in failed.stderr and not (marks / "lm.done").exists()
    assert "mono" not in failed.stdout


def test_drift_of_results_is_told(tmp_path: Path) -> None:
    score = tmp_path / "score.json"
    texts = [tmp_path / name for name in ("ref", "hyp")]
    for path, text in zip(texts, ("a 가나다라", "a 가나다마"), strict=True):
        path.write_text(text + "\n", encoding="utf-8")
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    python = [sys.executable, "-m", "asr", "score", *map(str, texts), "--json", "-o", str(score)]
    subprocess.run(python, check=True, env=env)

    def results(*options: str) -> subprocess.CompletedProcess[str]:
        words = ["RESULTS.md", "--title", "T", "--command", "C", "--rows", "mono=dev=score.json"]
        return subprocess.run(
            [sys.executable, str(ROOT / "recipes/common/results.py"), *words, *options],
            cwd=tmp_path, env=env, capture_output=True, text=True,
        )  # fmt: skip

    assert results("--check").returncode == 1  # there is none yet
    assert results().returncode == 0 and results("--check").returncode == 0
    page = tmp_path / "RESULTS.md"
    page.write_text(page.read_text(encoding="utf-8").replace("25.00%", "21.00%", 1))
    drifted = results("--check")
    assert drifted.returncode == 1 and "CER was 21.00%, is 25.00%" in drifted.stderr
    assert results("--check", "--tolerance", "5").returncode == 0
    page.write_text("| sat | dev | 3.00% |\n")
    told = results("--check").stderr
    assert "sat, dev: no longer measured" in told and "is not in the file" in told


@pytest.mark.parametrize("recipe", ("mini_ko", "emotiontts", "pansori", "korean"))
@pytest.mark.parametrize(
    ("options", "told"),
    (
        (("--stge", "3"), "no option --stge"),
        (("stage",), "no arguments"),
        (("--stage",), "--stage needs a value"),
        (("--stage", "--nj"), "--stage needs a value"),
        (("--stage", "3"), "no stage 3"),
        (("--stage", "2", "--stop-stage", "1"), "comes after"),
        (("--nj", "0"), "positive whole number"),
        (("--sets", "train"), "dev, test or both"),
        (("--systems", "sat best"), "no system best"),
        (("--path", "/"), "no option --path"),
    ),
)
def test_options_are_strict(recipe: str, options: tuple[str, ...], told: str) -> None:
    refused = run(*options, recipe=recipe)
    assert refused.returncode == 2 and told in refused.stderr and not refused.stdout


@pytest.mark.parametrize("recipe", ("mini_ko", "emotiontts", "pansori", "korean"))
def test_help_tells_every_option(recipe: str) -> None:
    told = run("--help", recipe=recipe)
    text = (ROOT / "recipes" / recipe / "run.sh").read_text(encoding="utf-8")
    if recipe != "mini_ko":
        text = (ROOT / "recipes/common/real_speech.sh").read_text(encoding="utf-8")
    names = re.search(r"^options=\((.*)\)$", text, re.M)[1].split()
    assert told.returncode == 0 and len(names) > 7
    assert [name for name in names if f"--{name}" not in told.stdout] == []


def test_speech_is_the_same_every_time_and_no_sentence_is_in_two_parts(
    small: tuple[str, ...], tmp_path: Path
) -> None:
    made = work_of(small) / "data" / "mini_ko"
    again = tmp_path / "again"
    command = [sys.executable, str(RECIPE / "local/synthesise.py"), str(again)]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run([*command, "--utterances", "40"], check=True, env=env)
    first, second = (
        {path.name: hashlib.sha256(path.read_bytes()).digest() for path in at.rglob("*.flac")}
        for at in (made, again)
    )
    assert len(first) == 40 and first == second
    parts = {
        part: (made / part / "text").read_text(encoding="utf-8").splitlines()
        for part in ("train", "dev", "test")
    }
    index = SentenceIndex()
    for line in parts["dev"] + parts["test"]:
        index.add(*line.split(maxsplit=1))
    for text in (made / "lm.txt").read_text(encoding="utf-8").splitlines():
        assert index.find(text) == ([], [])
    assert len({line for lines in parts.values() for line in lines}) == 40
    speakers = [{line.rsplit("-", 1)[0] for line in lines} for lines in parts.values()]
    assert len(set.union(*speakers)) == sum(map(len, speakers))


def test_particles_agree() -> None:
    sys.path.insert(0, str(RECIPE / "local"))
    try:
        from grammar import sentences, with_particle
    finally:
        sys.path.pop(0)
    assert with_particle("생선", "이/가") == "생선이" and with_particle("사과", "은/는") == "사과는"
    drawn = sentences(1)
    for _ in range(500):
        sentence = next(drawn)
        assert re.fullmatch(r"[가-힣]+( [가-힣]+)+", sentence)
        for word in re.findall(r"(?:^| )((?:책|점심|그림|꽃|생선|사진|연)[을를])(?: |$)", sentence):
            assert word.endswith("을")
        for word in re.findall(r"(?:^| )((?:노래|숙제|커피|편지)[을를])(?: |$)", sentence):
            assert word.endswith("를")
