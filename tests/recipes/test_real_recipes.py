"""The recipes on published corpora: their data stages on real speech, and the download."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SPEECH = ROOT.parent / "shared" / "speech"


def bash(*words: str) -> subprocess.CompletedProcess[str]:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    env = {**os.environ, "PATH": path, "VIRTUAL_ENV": sys.prefix, "OMP_NUM_THREADS": "1"}
    return subprocess.run(["bash", *words], cwd=ROOT, capture_output=True, text=True, env=env)


@pytest.mark.skipif(not (SPEECH / "splits.json").exists(), reason="needs ../shared/speech")
@pytest.mark.parametrize("corpus", ("emotiontts", "pansori"))
def test_splits_are_those_that_results_are_told_on(corpus: str) -> None:
    own = json.loads((ROOT / "recipes" / corpus / "splits.json").read_text(encoding="utf-8"))
    shared = json.loads((SPEECH / "splits.json").read_text(encoding="utf-8"))
    (folder,) = own
    assert own[folder] == shared[folder]


@pytest.mark.skipif(not (SPEECH / "splits.json").exists(), reason="needs ../shared/speech")
def test_data_stage_on_real_speech(tmp_path: Path) -> None:
    options = ("--corpus", str(SPEECH), "--work", str(tmp_path), "--limit-utterances", "3")
    made = bash("recipes/pansori/run.sh", *options, "--stop-stage", "1")
    assert made.returncode == 0, made.stderr
    for part in ("train", "dev", "test"):
        assert len((tmp_path / "data/pansori" / part / "text").read_text().splitlines()) == 3
    plain = (tmp_path / "data/pansori/test.plain").read_text().splitlines()
    assert len(plain) == 203  # of 229, as ../shared/README.md counts them
    assert (tmp_path / "marks/leaks-pansori-train.done").exists()


@pytest.mark.skipif(not (SPEECH / "splits.json").exists(), reason="needs ../shared/speech")
def test_half_an_hour_with_texts_and_the_rest_without(tmp_path: Path) -> None:
    options = ("--corpus", str(SPEECH), "--work", str(tmp_path), "--minutes", "2")
    made = bash("recipes/pretraining/run.sh", *options, "--stop-stage", "1")
    assert made.returncode == 0, made.stderr
    for corpus in ("emotiontts", "pansori"):
        folder = tmp_path / "data" / corpus
        ids = {
            part: {line.split()[0] for line in (folder / part / "text").read_text().splitlines()}
            for part in ("all", "train", "rest")
        }
        assert 5 < len(ids["train"]) < 40 and not ids["train"] & ids["rest"]
        assert ids["train"] | ids["rest"] == ids["all"]
    refused = bash("recipes/pretraining/run.sh", "--sets", "test")
    assert refused.returncode == 2 and "there is no option --sets" in refused.stderr


DECODING = """
set -euo pipefail
. recipes/common/recipe.sh
. recipes/common/systems.sh
once() { :; }
configured() { config=(); echo "$1"; }
conf=recipes/pretraining/conf exp=exp data=data work=work lm='' decode_cmd=''
for system in lda dnn dnn-sigmoid dnn-rbm; do decode "$system" pansori dev; done
"""


def test_systems_of_a_kind_are_decoded_alike() -> None:
    """Those that are compared: a perceptron with and without pre-training."""
    made = bash("-c", DECODING)
    files = [Path(line).name for line in made.stdout.splitlines()]
    assert files == ["decode.conf", *3 * ["decode-dnn.conf"]], made.stderr


WIDE = """
set -euo pipefail
. recipes/common/recipe.sh
. recipes/common/systems.sh
once() { echo "$@"; }
conf=recipes/korean/conf exp=exp data=data work=work lm='' decode_cmd='' nj=1
sounds_of() { sounds=(a.flac); }
wide encoder
decode encoder-wide pansori dev
"""


def test_a_wider_search_is_a_system_of_its_own() -> None:
    made = bash("-c", WIDE)
    graph, decode = made.stdout.splitlines()
    assert graph.startswith("encoder-wide --input exp/encoder --output exp/encoder-wide -- python")
    assert "asr graph exp/encoder exp/encoder-wide --decoder beam=13" in graph, made.stderr
    assert "asr transcribe a.flac --model exp/encoder-wide" in decode, made.stderr


def test_a_corpus_that_is_not_there_is_named(tmp_path: Path) -> None:
    missing = bash("recipes/pansori/run.sh", "--corpus", str(tmp_path / "none"), "--work",
                   str(tmp_path / "work"))  # fmt: skip
    assert missing.returncode == 1 and "none: no such folder" in missing.stderr
    assert "none/corpus" not in missing.stderr and not (tmp_path / "work" / "data").exists()


def test_a_folder_that_is_not_the_corpus_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    refused = bash("recipes/emotiontts/run.sh", "--corpus", str(tmp_path / "empty"), "--work",
                   str(tmp_path / "work"), "--stop-stage", "1")  # fmt: skip
    assert refused.returncode == 1
    assert "data-emotiontts-train failed" in refused.stderr and "fetch" in refused.stderr


@pytest.fixture
def repository(tmp_path: Path) -> str:
    """A git repository with a corpus' folder and something large beside it."""
    folder = tmp_path / "upstream"
    (folder / "data" / "s1").mkdir(parents=True)
    (folder / "data" / "s1" / "a.txt").write_text("말")
    (folder / "songs").mkdir()
    (folder / "songs" / "large.bin").write_bytes(b"0" * 1000)
    git = ("git", "-C", str(folder), "-c", "user.name=a", "-c", "user.email=a@example.org")
    for words in (("init", "-q"), ("add", "."), ("commit", "-q", "-m", "all")):
        subprocess.run([*git, *words], check=True)
    subprocess.run([*git, "config", "uploadpack.allowFilter", "true"], check=True)
    return f"file://{folder}"


def test_download_takes_one_folder(repository: str, tmp_path: Path) -> None:
    out = tmp_path / "corpus" / "pansori"
    fetched = bash("recipes/common/download.sh", repository, "data", str(out))
    assert fetched.returncode == 0, fetched.stderr
    assert (out / "data/s1/a.txt").read_text() == "말"
    assert not (out / "songs").exists() and not (out / ".git").exists()


def test_download_that_fails_leaves_nothing(repository: str, tmp_path: Path) -> None:
    out = tmp_path / "corpus"
    gone = bash("recipes/common/download.sh", repository + "-moved", "data", str(out))
    assert gone.returncode == 1 and "give --corpus DIR with a copy" in gone.stderr
    other = bash("recipes/common/download.sh", repository, "speech", str(out))
    assert other.returncode == 1 and "no folder speech any more" in other.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["upstream"]
