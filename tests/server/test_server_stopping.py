"""Told to stop, the service answers what it has accepted, takes nothing more, and ends well."""

from __future__ import annotations

import io
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from serving import ObedientModel, Running, form, running, until
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from asr.data_files import shipped
from asr.errors import AsrError
from asr.server.app import create_app
from asr.server.config import ServerConfig
from asr.server.run import Server, reserve, serve

ROOT = Path(__file__).parents[2]
SECOND = b"\0\0" * 16_000


@pytest.fixture(scope="module")
def sound() -> bytes:
    file = io.BytesIO()
    soundfile.write(file, np.zeros(16_000), 16_000, format="WAV")
    return file.getvalue()


def test_what_was_accepted_is_answered(sound: bytes) -> None:
    model = ObedientModel()
    with running(model, jobs=1) as service, ThreadPoolExecutor(3) as pool:
        with connect(service.live) as live:
            live.send(SECOND)
            assert json.loads(live.recv(10))["text"] == "말"
            model.gate.clear()
            uploads = [pool.submit(service.post, sound) for _ in range(3)]
            until(lambda: service.service.pool.admitted == 3)
            service.server.should_exit = True
            until(lambda: service.service.stopping.is_set())
            model.gate.set()
            assert json.loads(live.recv(10)) == {"text": ""}
            with pytest.raises(ConnectionClosed) as closed:
                live.recv(10)
            assert closed.value.rcvd.code == 1012
        answers = [upload.result() for upload in uploads]
        assert [answer[:2][1]["text"] for answer in answers] == ["말"] * 3
        service.thread.join(10)
        assert not service.thread.is_alive()
        with pytest.raises(OSError):
            service.post(sound)


def received(client: socket.socket, until: bytes) -> bytes:
    """What comes up to some bytes: header and body of an answer may come apart."""
    answer = b""
    while until not in answer:
        piece = client.recv(4096)
        assert piece, f"the connection ended after {answer!r}"
        answer += piece
    return answer


def test_a_kept_connection_is_told_that_nothing_more_is_taken(sound: bytes) -> None:
    model = ObedientModel()
    body, content_type = form(sound, {"model": "any"})
    request = (f"POST /v1/audio/transcriptions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length:"
               f" {len(body)}\r\nContent-Type: {content_type}\r\n\r\n").encode() + body
    with running(model) as service, service.socket() as client, ThreadPoolExecutor(1) as pool:
        client.sendall(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        assert b"200" in received(client, b"}")
        model.gate.clear()
        upload = pool.submit(service.post, sound)
        until(lambda: model.entered == 1)
        service.server.should_exit = True
        until(lambda: service.service.stopping.is_set())
        client.sendall(request)
        answer = received(client, b"\r\n\r\n")
        assert b" 503 " in answer.partition(b"\r\n")[0]
        assert b"connection: close" in answer
        model.gate.set()
        assert upload.result()[0] == 200


def test_grace_ends(sound: bytes) -> None:
    """A step that never ends holds the service no longer than it was told."""
    model = ObedientModel()
    model.gate.clear()
    service = Running(model, ServerConfig(grace_seconds=0.5))
    with ThreadPoolExecutor(1) as pool:
        upload = pool.submit(service.post, sound)
        until(lambda: model.entered == 1)
        began = time.monotonic()
        service.server.should_exit = True
        service.thread.join(10)
        assert not service.thread.is_alive() and time.monotonic() - began < 5
        model.gate.set()
        assert upload.result()[0] == 503


def test_the_command_stops_under_load(korean_model: Path) -> None:
    """`asr serve` as it is run: all that was accepted is answered, and it exits with 0."""
    command = [sys.executable, "-m", "asr", "serve", "--port", "0", "--jobs", "1",
               "--model", str(korean_model), "--client-requests", "50"]
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])},
    )
    try:
        assert process.stdout is not None
        url = process.stdout.readline().split()[-1]
        assert url.startswith("http://127.0.0.1:")
        content = (shipped("samples") / "synthetic-espeak-1.flac").read_bytes()
        body, content_type = form(content, {"model": "any"})

        def post() -> str | Exception:
            request = urllib.request.Request(
                f"{url}/v1/audio/transcriptions", body, {"Content-Type": content_type}
            )
            try:
                with urllib.request.urlopen(request, timeout=60) as response:
                    text: str = json.load(response)["text"]
                return text
            except urllib.error.URLError as error:
                return error

        def waiting() -> float:
            with urllib.request.urlopen(f"{url}/metrics") as response:
                lines = response.read().decode().splitlines()
            return next(float(line.split()[-1]) for line in lines
                        if line.startswith("malsori_uploads_waiting "))

        with ThreadPoolExecutor(8) as pool, connect(url.replace("http", "ws")) as live:
            live.send(bytes(3200))
            assert json.loads(live.recv(20))["partial"] == ""
            answers = [pool.submit(post) for _ in range(8)]
            until(lambda: waiting() >= 3)
            process.send_signal(signal.SIGTERM)
            texts = [answer.result() for answer in answers]
            assert json.loads(live.recv(20)) == {"text": ""}
        # one that came after the signal may find nobody listening; none is half answered
        heard = [text for text in texts if isinstance(text, str)]
        assert len(heard) >= 4 and all(text.startswith("안녕하세요") for text in heard)
        assert all(isinstance(text.reason, OSError) for text in texts
                   if isinstance(text, urllib.error.URLError))
        assert process.wait(30) == 0
        assert process.stderr is not None and "Traceback" not in process.stderr.read()
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--host", "203.0.113.1"], "cannot listen"),  # no address of this machine
        (["--certificate", "a.pem"], "need each other"),
        (["--certificate", "a.pem", "--private-key", "b.pem"], "no such file"),
        (["--api-keys", "nowhere"], "cannot be read"),
    ],
)
def test_what_cannot_be_served_is_said_in_a_line(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    from asr.cli.main import main

    assert main(["serve", *arguments]) in (1, 2)
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


@pytest.mark.parametrize("option", [
    ["--jobs", "-1"], ["--batch", "0"], ["--queue", "-1"], ["--max-upload-mb", "inf"],
    ["--idle-seconds", "nan"], ["--grace-seconds", "0"], ["--client-rate", "9" * 5000],
])  # fmt: skip
def test_a_limit_that_makes_no_sense_is_told_by_its_option(
    option: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    from asr.cli.main import main

    with pytest.raises(SystemExit) as exit:
        main(["serve", *option])
    assert exit.value.code == 2
    assert f"{option[0]}: {option[1]!r} is not a" in capsys.readouterr().err


def free_port() -> int:
    with reserve("127.0.0.1", 0) as address:
        port: int = address.getsockname()[1]
    return port


def test_nobody_is_let_in_before_it_is_warm(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A probe is refused at once, and does not wait for the model."""
    from asr.cli.main import main

    port, probed = free_port(), []

    def probe(service: Any) -> None:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), 5)
        probed.append(service.model.name)
        raise AsrError("it was probed")

    monkeypatch.setattr("asr.cli.serve.load_followed", lambda *arguments: ObedientModel())
    monkeypatch.setattr("asr.server.warming.warm_up", probe)
    assert main(["serve", "--port", str(port)]) == 1
    told = capsys.readouterr().err
    assert probed == ["obedient"] and "it was probed" in told
    assert told.startswith("asr: loading ko: connections are refused until it is ready\n")


def test_a_mistake_in_a_catalogue_is_told_before_the_model_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from asr.cli.main import main

    catalog = tmp_path / "places.tsv"
    catalog.write_text("서울역\t9000\n서울숲\t많이\n", encoding="utf-8")
    monkeypatch.setattr("asr.cli.serve.load_followed", lambda *_: pytest.fail("it was loaded"))
    assert main(["serve", "--port", "0", "--catalog", str(catalog)]) == 1
    assert "line 2" in capsys.readouterr().err


def test_a_port_that_is_taken_is_told_before_the_model_is_loaded(
    capsys: pytest.CaptureFixture[str]
) -> None:
    from asr.cli.main import main

    with reserve("127.0.0.1", 0) as taken:
        taken.listen()
        port = taken.getsockname()[1]
        assert main(["serve", "--port", str(port), "--model", "missing"]) == 1
        assert f"cannot listen on 127.0.0.1, port {port}" in capsys.readouterr().err


@pytest.mark.skipif(sys.platform != "linux", reason="two sockets share a port on Linux only")
def test_a_port_that_is_taken_meanwhile_is_told() -> None:
    with reserve("127.0.0.1", 0) as late:
        port = late.getsockname()[1]
        with reserve("127.0.0.1", port) as early:
            early.listen()
            server = Server(create_app(ObedientModel()))  # type: ignore[arg-type]
            with pytest.raises(AsrError, match=f"cannot listen on 127.0.0.1, port {port}"):
                serve(server, late, print)
            server.service.pool.close()


def test_without_the_extra_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import importlib.util

    from asr.cli.main import main

    find = importlib.util.find_spec

    def lacking(name: str, *rest: Any) -> Any:
        return None if name == "fastapi" else find(name, *rest)

    monkeypatch.setattr(importlib.util, "find_spec", lacking)
    assert main(["serve"]) == 2
    assert "pip install 'malsori[server]'" in capsys.readouterr().err
