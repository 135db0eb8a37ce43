"""What docs/serve.md tells to type works as it stands, on another port."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest
import soundfile
from serving import Running, real_model, running

from asr.data_files import shipped
from asr.server.config import MEGABYTE, ServerConfig

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "serve.md").read_text(encoding="utf-8")
SAMPLE = "synthetic-espeak-1.flac"


@pytest.fixture(scope="module")
def service(korean_model: Path) -> Iterator[Running]:
    with running(real_model(korean_model)) as service:
        yield service


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("desk")
    shutil.copy(shipped("samples") / SAMPLE, folder / "talk.flac")
    samples, rate = soundfile.read(shipped("samples") / SAMPLE)
    soundfile.write(folder / "talk.wav", samples, rate, subtype="PCM_16")
    return folder


@pytest.mark.parametrize("number", [0, 1])
def test_python_runs(number: int, service: Running, desk: Path) -> None:
    code = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)[number]
    run = subprocess.run(
        [sys.executable, "-c", code.replace("127.0.0.1:8000", f"127.0.0.1:{service.port}")],
        cwd=desk, capture_output=True, text=True,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert "안녕하세요" in run.stdout


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_curl_runs(service: Running, desk: Path) -> None:
    command = re.search(r"^curl .*$", PAGE, re.MULTILINE)
    assert command is not None
    line = command[0].replace("127.0.0.1:8000", f"127.0.0.1:{service.port}")
    run = subprocess.run(line, shell=True, cwd=desk, capture_output=True, text=True)
    assert run.stdout.startswith("1\n00:00:0")


@pytest.mark.parametrize("page", ["docs/serve.md", "docs/ko/serve.md"])
def test_defaults_are_told_as_they_are(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    told = dict(re.findall(r"^\| `--([\w-]+)` \| (?:소리 )?(\d+)", text, re.MULTILINE))
    config = ServerConfig()
    names = {"max-upload-mb": config.upload_bytes // MEGABYTE, "max-seconds": config.sound_seconds,
             "max-streams": config.streams}
    known = {field.name for field in fields(config)}
    assert len(told) >= 8
    for option, value in told.items():
        name = option.replace("-", "_")
        expected = names[option] if option in names else getattr(config, name)
        assert option in names or name in known
        assert float(value) == expected, option
