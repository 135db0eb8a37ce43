"""What the documentation tells to type works as it stands, and both languages say the same."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from asr import load_audio
from asr.cli.main import main
from asr.data_files import shipped

ROOT = Path(__file__).parent.parent
GUIDES = tuple(
    f"docs/{name}.md"
    for name in ("own-words", "words", "grammar", "align", "scoring", "data", "recipes", "live",
                 "search", "subtitles", "written")
)
PAGES = ("README.md", "README.ko.md", "docs/quickstart.md")
WITH_PYTHON = tuple(
    f"docs/{name}.md"
    for name in (
        "own-words", "search", "grammar", "align", "data", "live", "subtitles", "written"
    )
)
RAW_RATE = 8000
SHELL = re.compile(r"[|<>*?;&$`~]|\s-\s|\s-$")
"""What a shell understands in a command, or standard input."""


def blocks(page: str, language: str) -> list[str]:
    text = (ROOT / page).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def commands(page: str) -> list[str]:
    """The `asr …` lines of a page's shell blocks, without comments."""
    lines = [line for block in blocks(page, "sh") for line in block.splitlines()]
    return [line.partition("  #")[0].strip() for line in lines if line.startswith("asr ")]


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory, korean_model: Path) -> Path:
    """A folder with the files that the pages speak of."""
    folder = tmp_path_factory.mktemp("desk")
    sample = shipped("samples") / "synthetic-espeak-1.flac"
    samples = load_audio(sample).samples
    for name in ("talk.flac", "talk.wav"):
        soundfile.write(folder / name, samples, 16_000)
    for name in ("talk.m4a", "interview.m4a"):  # read by content: m4a itself needs ffmpeg
        shutil.copy(sample, folder / name)
    (folder / "recordings").mkdir()
    shutil.copy(sample, folder / "recordings")
    (np.clip(samples[::2], -1, 1) * 127 + 128).astype(np.uint8).tofile(folder / "call.pcm")
    (folder / "reference.txt").write_text("a 안녕하세요\nb 반갑습니다\n", encoding="utf-8")
    (folder / "hypothesis.txt").write_text("a 안녕 하세요\nb 반갑니다\n", encoding="utf-8")
    (folder / "data").symlink_to(shipped("samples").parent)
    lines = ("오늘은 날씨가 맑습니다", "안녕하세요 만나서 반갑습니다", "내일 같이 산에 갑시다")
    (folder / "mine.txt").write_text("\n".join(lines * 20), encoding="utf-8")
    for name in ("names.txt", "words.txt"):
        (folder / name).write_text("가산디지털단지역\n5G\t파이브지/오지\n", encoding="utf-8")
    places = "서울역\t9000\n서울숲\t800\nN서울타워\t\t남산타워\tid=3\n"
    (folder / "places.tsv").write_text(places, encoding="utf-8")
    (folder / "hotwords.txt").write_text("날씨\t2.5\n", encoding="utf-8")
    (folder / "lights.txt").write_text(blocks("docs/grammar.md", "text")[0], encoding="utf-8")
    said = "안녕하세요 만나서 반갑습니다"
    (folder / "talk.txt").write_text(said + "\n", encoding="utf-8")
    (folder / "sounds.tsv").write_text(f"talk.flac\t{said}\n", encoding="utf-8")
    (folder / "other.txt").write_text("a 안녕 하세요\nb 반갑습니까\n", encoding="utf-8")
    shutil.copy(sample, folder / "meeting.wav")
    _speech_data(folder)
    return folder


def _speech_data(folder: Path) -> None:
    """What docs/data.md speaks of: a corpus in pansori's layout, and recordings of one's own."""
    sounds = sorted(shipped("samples").glob("*.flac"))
    for speaker in range(6):
        talk = folder / "corpora" / "data" / f"s{speaker}" / "t"
        talk.mkdir(parents=True)
        name = f"s{speaker}-t-0001"
        shutil.copy(sounds[speaker], talk / f"{name}.flac")
        text = f"{speaker + 1}번째 사람이 말합니다\n"
        (talk / f"s{speaker}-t.trans.txt").write_text(f"{name} {text}", encoding="utf-8")
    own = folder / "my-data"
    own.mkdir()
    shutil.copy(sounds[0], own / "kim-0001.flac")
    for name, rest in (("wav.scp", "kim-0001.flac"), ("text", "하나 둘\r"), ("utt2spk", "kim")):
        (own / name).write_text(f"kim-0001 {rest}\n", encoding="utf-8")


def test_pages_show_the_same_commands_and_code() -> None:
    english, korean = "README.md", "README.ko.md"
    assert len(commands(english)) > 8
    assert commands(english) == commands(korean)
    code = [
        [re.sub(r"\s*#.*", "", block) for block in blocks(page, "python")]
        for page in (english, korean)
    ]
    assert code[0] and code[0] == code[1]


@pytest.mark.parametrize("name", sorted(path.stem for path in (ROOT / "docs/ko").glob("*.md")))
def test_korean_pages_show_what_the_english_ones_do(name: str) -> None:
    english, korean = f"docs/{name}.md", f"docs/ko/{name}.md"
    told = [
        [re.sub(r" *#.*", "", text) for text in (*commands(page), *blocks(page, "python"))]
        for page in (english, korean)
    ]
    assert told[0] and told[0] == told[1]


@pytest.mark.parametrize("page", ("README.md", "docs/quickstart.md", *GUIDES))
def test_commands_run(
    page: str, desk: Path, korean_model: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(desk)
    if page != "README.md" and not (desk / "my-model").exists():  # made by README.md's commands
        (desk / "my-model").symlink_to(korean_model)
    for command in commands(page):
        if not SHELL.search(command):  # in this process, which has everything loaded
            code = main(shlex.split(command, comments=True)[1:])
            assert code == 0, f"{command}\n{capsys.readouterr().err}"
            continue
        line = command.replace("asr ", f"{sys.executable} -m asr ", 1)
        run = subprocess.run(
            line, shell=True, cwd=desk, capture_output=True, text=True, env=_environment()
        )
        assert run.returncode == 0, f"{command}\n{run.stderr}"


@pytest.mark.parametrize("page", (*PAGES, *WITH_PYTHON))
def test_python_runs(page: str, desk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In this process, which has everything loaded, but with names of its own."""
    code = "\n".join(blocks(page, "python"))
    assert "import" in code
    monkeypatch.chdir(desk)
    exec(compile(code, page, "exec"), {"__name__": "__main__"})


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
