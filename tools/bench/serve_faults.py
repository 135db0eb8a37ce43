"""Clients that misbehave, many of them: the long form of tests/server/test_server_faults.py.

After each trial the service must still answer, and its resident memory is printed.
"""

from __future__ import annotations

import json
import logging
import random
import socket
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from served import Served
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

ARGUMENTS = ["--max-upload-mb", "10", "--queue", "20", "--client-requests", "200",
             "--idle-seconds", "5", "--grace-seconds", "400"]
FRAMES = 10_000
SLOW_CLIENTS = 100
AT_ONCE = 100
LEAVERS = 100
BAD_MESSAGES = ("no JSON", "{", "[[", '{"config": 1}', '{"config": {"sample_rate": []}}', "\0",
                '{"config": {"phrase_list": [1]}}', "9" * 5000, '{"eof": 0}')


def run(served: Served, sample: Path) -> int:
    """Every trial; the exit code."""
    logging.getLogger("websockets").setLevel(logging.CRITICAL)  # of the clients' own misdeeds
    content = sample.read_bytes()
    trials: list[tuple[str, Callable[[], str]]] = [
        (f"{FRAMES} garbage frames", lambda: _garbage(served)),
        ("invalid JSON", lambda: _bad_messages(served)),
        (f"{LEAVERS} clients gone mid-stream", lambda: _leavers(served)),
        (f"{SLOW_CLIENTS} slow headers and bodies", lambda: _slow(served)),
        ("uploads of 100 MB where 10 are taken", lambda: _oversized(served)),
        (f"{AT_ONCE} connections at once", lambda: _at_once(served, content)),
        ("SIGTERM under load", lambda: _terminated(served, content)),
    ]
    failed = 0
    print(f"{'at the start':<42} {served.resident_mb():7.0f} MB")
    for name, trial in trials:
        try:
            said = trial()
        except Exception as error:
            failed += 1
            said = f"FAILED: {type(error).__name__}: {error}"
        memory = f"{served.resident_mb():7.0f} MB" if served.alive() else "  ended   "
        print(f"{name:<42} {memory}  {said}", flush=True)
    traces = sum("Traceback" in line for line in served.errors)
    print(f"tracebacks on standard error: {traces}")
    return 1 if failed or traces else 0


def _check_alive(served: Served) -> None:
    with urllib.request.urlopen(f"{served.url}/healthz", timeout=20) as answer:
        assert json.load(answer)["status"] == "ok"


def _garbage(served: Served) -> str:
    chance = random.Random(7)
    kinds: Counter[str] = Counter()
    with connect(served.live, compression=None) as client:
        for _ in range(FRAMES):
            client.send(chance.randbytes(chance.randrange(64)))
            kinds[next(iter(json.loads(client.recv(60))))] += 1
        client.send('{"eof" : 1}')
        assert "text" in json.loads(client.recv(60))
    _check_alive(served)
    return f"answers: {dict(kinds)}"


def _bad_messages(served: Served) -> str:
    for message in BAD_MESSAGES:
        with connect(served.live) as client:
            client.send(message)
            assert "error" in json.loads(client.recv(20)), message
            try:
                client.recv(20)
                raise AssertionError(f"{message!r} did not end its stream")
            except ConnectionClosed:
                pass
    _check_alive(served)
    return f"{len(BAD_MESSAGES)} messages, each refused"


def _leavers(served: Served) -> str:
    def leave(number: int) -> None:
        with connect(served.live, compression=None, open_timeout=60) as client:
            client.send(bytes(32_000))
            if number % 2:
                client.recv(60)
            client.socket.shutdown(socket.SHUT_RDWR)

    with ThreadPoolExecutor(20) as pool:
        list(pool.map(leave, range(LEAVERS)))
    _until(lambda: _metric(served, "malsori_streams") == 0)
    return "no stream left behind"


def _slow(served: Served) -> str:
    head = (b"POST /v1/audio/transcriptions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type:"
            b" multipart/form-data; boundary=x\r\nContent-Length: 1000000\r\n\r\n--x\r\n")
    cut: list[float] = []

    def drip(number: int) -> None:
        began = time.monotonic()
        with socket.create_connection(("127.0.0.1", served.port), timeout=30) as client:
            try:
                if number % 2:
                    client.sendall(head)
                    client.recv(4096)
                else:
                    for letter in head[:60] * 10:
                        client.send(bytes([letter]))
                        time.sleep(0.25)
            except OSError:
                pass
        cut.append(time.monotonic() - began)

    with ThreadPoolExecutor(SLOW_CLIENTS) as pool:
        dripping = [pool.submit(drip, number) for number in range(SLOW_CLIENTS)]
        time.sleep(1.0)
        began = time.monotonic()
        _check_alive(served)
        answered = time.monotonic() - began
        for one in dripping:
            one.result()
    assert max(cut) < 25
    return f"cut off after {min(cut):.1f} to {max(cut):.1f} s; health answered in {answered:.2f} s"


def _oversized(served: Served) -> str:
    statuses: Counter[str] = Counter()
    opening = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
    for declared in (True, False):
        with socket.create_connection(("127.0.0.1", served.port), timeout=30) as client:
            length = "Content-Length: 100000000" if declared else "Transfer-Encoding: chunked"
            client.sendall(
                f"POST /v1/audio/transcriptions HTTP/1.1\r\nHost: 127.0.0.1\r\n{length}\r\n"
                "Content-Type: multipart/form-data; boundary=x\r\n\r\n".encode()
            )
            piece = opening + bytes(1_000_000 - len(opening))
            try:
                for _ in range(100):
                    client.sendall(piece if declared else b"%x\r\n%s\r\n" % (len(piece), piece))
                if not declared:
                    client.sendall(b"0\r\n\r\n")
            except OSError:
                pass
            statuses[client.recv(4096).split()[1].decode()] += 1
    assert statuses == {"413": 2}, statuses
    _check_alive(served)
    return f"answers: {dict(statuses)}"


def _at_once(served: Served, content: bytes) -> str:
    start = threading.Barrier(AT_ONCE)
    outcomes: Counter[str] = Counter()

    def one(number: int) -> None:
        start.wait()
        if number % 2:
            outcomes[_upload(served, content)] += 1
            return
        try:
            with connect(served.live, open_timeout=60, compression=None) as client:
                client.send(bytes(32_000))
                client.recv(60)
                client.send('{"eof" : 1}')
                client.recv(60)
            outcomes["stream"] += 1
        except InvalidStatus as error:
            outcomes[f"stream {error.response.status_code}"] += 1

    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(one, range(AT_ONCE)))
    assert outcomes.total() == AT_ONCE and set(outcomes) <= {"200", "503", "stream"}, outcomes
    return f"answers: {dict(outcomes)}"


def _terminated(served: Served, content: bytes) -> str:
    outcomes: Counter[str] = Counter()
    with ThreadPoolExecutor(40) as pool, connect(served.live, compression=None) as live:
        live.send(bytes(32_000))
        live.recv(60)
        uploads = [pool.submit(_upload, served, content) for _ in range(20)]
        _until(lambda: _metric(served, "malsori_uploads_waiting") >= 10)
        accepted = _metric(served, "malsori_uploads_waiting")
        served.terminate()
        time.sleep(0.3)
        late = [pool.submit(_upload, served, content) for _ in range(10)]
        assert "text" in json.loads(live.recv(400))
        for upload in uploads:
            outcomes[upload.result()] += 1
        refused = Counter(one.result() for one in late)
    code = served.wait(420)
    assert code == 0 and outcomes["200"] >= accepted, (code, accepted, outcomes)
    assert set(outcomes) <= {"200", "503", "ConnectionRefusedError"}, outcomes
    return f"exit code {code}; before {dict(outcomes)}, afterwards {dict(refused)}"


def _upload(served: Served, content: bytes) -> str:
    """The status of an upload, or why there is none."""
    body = (b'--x\r\nContent-Disposition: form-data; name="model"\r\n\r\nany\r\n--x\r\n'
            b'Content-Disposition: form-data; name="file"; filename="a"\r\n\r\n' + content
            + b"\r\n--x--\r\n")
    request = urllib.request.Request(
        f"{served.url}/v1/audio/transcriptions", body,
        {"Content-Type": "multipart/form-data; boundary=x"},
    )
    try:
        with urllib.request.urlopen(request, timeout=300) as answer:
            return str(answer.status)
    except urllib.error.HTTPError as error:
        return str(error.code)
    except urllib.error.URLError as error:
        return type(error.reason).__name__


def _metric(served: Served, name: str) -> float:
    with urllib.request.urlopen(f"{served.url}/metrics", timeout=30) as answer:
        for line in answer.read().decode().splitlines():
            if line.startswith(f"{name} "):
                return float(line.split()[-1])
    return 0.0


def _until(true: Callable[[], bool], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not come true"
        time.sleep(0.05)
