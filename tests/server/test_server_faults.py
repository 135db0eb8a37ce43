"""Limits and faults: what is too much is refused, what breaks off leaves nothing behind."""

from __future__ import annotations

import io
import json
import socket
import struct
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import soundfile
from serving import ObedientModel, Running, form, running, until
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

SECOND = b"\0\0" * 16_000


@pytest.fixture(scope="module")
def sound() -> bytes:
    """Three seconds."""
    file = io.BytesIO()
    soundfile.write(file, np.zeros(48_000), 16_000, format="WAV")
    return file.getvalue()


@pytest.fixture
def model() -> Iterator[ObedientModel]:
    model = ObedientModel()
    yield model
    model.gate.set()


def refusal(live: str, **arguments: Any) -> tuple[int, dict[str, Any]]:
    """How a handshake is refused."""
    with pytest.raises(InvalidStatus) as caught:
        connect(live, **arguments)
    response = caught.value.response
    return response.status_code, json.loads(response.body)["error"]


def test_a_full_queue_refuses_and_the_rest_is_answered(model: ObedientModel, sound: bytes) -> None:
    model.gate.clear()
    with running(model, jobs=1, queue=2) as service, ThreadPoolExecutor(3) as pool:
        accepted = [pool.submit(service.post, sound) for _ in range(3)]
        until(lambda: service.service.pool.admitted == 3)
        status, answer, header = service.post(sound)
        assert (status, answer["error"]["code"]) == (503, "overloaded")
        assert int(header["retry-after"]) > 0
        assert service.metric("malsori_uploads_running") == 1
        assert service.metric("malsori_uploads_waiting") == 2
        model.gate.set()
        for one in accepted:
            assert one.result()[:2][1]["text"] == "말 말 말"
        assert service.post(sound)[0] == 200
        assert service.metric('malsori_refused_total{status="503"}') == 1


def test_live_sound_goes_before_uploads(model: ObedientModel, sound: bytes) -> None:
    """With two workers, uploads that hang leave one to live streams."""
    with running(model, jobs=2) as service, ThreadPoolExecutor(2) as pool:
        with connect(service.live) as client:
            client.send(SECOND)
            assert json.loads(client.recv(10))["text"] == "말"
            model.gate.clear()
            waiting = [pool.submit(service.post, sound) for _ in range(2)]
            until(lambda: model.entered >= 2)
            client.send(b"")  # no sound, so no step that hangs
            assert json.loads(client.recv(10)) == {"partial": ""}
            model.gate.set()
        assert [one.result()[0] for one in waiting] == [200, 200]


def test_one_client_has_its_share_only(model: ObedientModel, sound: bytes) -> None:
    model.gate.clear()
    limits = {"client_requests": 1, "client_streams": 1, "streams": 2}
    with running(model, **limits) as service, ThreadPoolExecutor(1) as pool:
        accepted = pool.submit(service.post, sound)
        until(lambda: service.service.pool.admitted == 1)
        status, answer, header = service.post(sound)
        assert (status, answer["error"]["code"]) == (429, "too_many_requests")
        assert "retry-after" in header
        with connect(service.live):
            assert refusal(service.live)[1]["code"] == "too_many_streams"
        model.gate.set()
        assert accepted.result()[0] == 200
        until(lambda: service.service.limits.streams == 0)
        with connect(service.live):
            pass


def test_streams_of_all_are_limited(model: ObedientModel) -> None:
    with running(model, streams=2) as service, connect(service.live), connect(service.live):
        assert refusal(service.live)[0] == 503
        assert service.metric("malsori_streams") == 2


def test_a_hasty_client_waits(model: ObedientModel, sound: bytes) -> None:
    with running(model, client_rate=3) as service:
        statuses = [service.post(sound)[0] for _ in range(4)]
        assert statuses == [200, 200, 200, 429]
        assert refusal(service.live)[1]["code"] == "rate_limit_exceeded"
        assert json.loads(service.get("/healthz"))["status"] == "ok"


@pytest.mark.parametrize("said", [True, False])
def test_a_large_upload_is_refused(model: ObedientModel, said: bool) -> None:
    """Whether its header says its length, or it comes in pieces."""
    with running(model, upload_bytes=100_000) as service, service.socket() as client:
        body, content_type = form(bytes(3_000_000), {"model": "any"})
        length = f"Content-Length: {len(body)}" if said else "Transfer-Encoding: chunked"
        client.sendall(
            f"POST /v1/audio/transcriptions HTTP/1.1\r\nHost: 127.0.0.1\r\n{length}\r\n"
            f"Content-Type: {content_type}\r\n\r\n".encode()
        )
        for begin in range(0, len(body), 65536):
            piece = body[begin : begin + 65536]
            client.sendall(piece if said else b"%x\r\n%s\r\n" % (len(piece), piece))
        if not said:
            client.sendall(b"0\r\n\r\n")
        assert b" 413 " in client.recv(4096).partition(b"\r\n")[0]
        until(lambda: service.service.pool.admitted == 0)


def test_a_large_upload_without_a_key_sees_why(model: ObedientModel) -> None:
    """A client that only writes until it is done comes to read that it may not."""
    with running(model, api_keys=("correct-key",)) as service:
        status, answer, _ = service.post(bytes(20_000_000))
        assert (status, answer["error"]["code"]) == (401, "missing_api_key")


def test_a_client_that_takes_no_answers_is_given_up(
    model: ObedientModel,
) -> None:
    """Its answers fill what the system holds for it; then nothing more is kept for it."""
    model.partial = "말" * 100_000
    with running(model, idle_seconds=0.5) as service, service.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.sendall(
            b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        )
        assert b" 101 " in client.recv(1000)
        client.sendall(struct.pack("!BB4s", 0x82, 0x80, b"\0\0\0\0") * 1000)
        until(lambda: service.metric("malsori_live_step_seconds_count") > 3)
        until(lambda: service.service.active == 0)
        assert service.metric('malsori_streams_ended_total{how="gone"}') == 1
        until(lambda: not service.server.server_state.connections)


def test_long_sound_is_refused(model: ObedientModel, sound: bytes) -> None:
    with running(model, sound_seconds=2.0, stream_seconds=1.5) as service:
        status, answer, _ = service.post(sound)
        assert status == 400 and "longer than 2 s" in answer["error"]["message"]
        with connect(service.live) as client:
            client.send(SECOND * 2)
            assert json.loads(client.recv(10))["text"] == "말 말"
            assert "text" in json.loads(client.recv(10))
            with pytest.raises(ConnectionClosed) as closed:
                client.recv(10)
            assert closed.value.rcvd.code == 4413


def test_slow_headers_are_cut_off(model: ObedientModel) -> None:
    with running(model, header_seconds=0.5) as service, service.socket() as client:
        began = time.monotonic()
        with pytest.raises(OSError):
            for letter in b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: " + b"a" * 200:
                client.send(bytes([letter]))
                time.sleep(0.02)
        assert time.monotonic() - began < 3.0


def test_slow_headers_of_a_second_request_are_cut_off(model: ObedientModel) -> None:
    with running(model, header_seconds=0.5) as service, service.socket() as client:
        client.sendall(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        assert client.recv(4096).startswith(b"HTTP/1.1 200")
        with pytest.raises(OSError):
            for _ in range(200):
                client.send(b"G")
                time.sleep(0.02)


def test_a_slow_body_is_answered_with_408(model: ObedientModel, sound: bytes) -> None:
    with running(model, idle_seconds=0.3) as service, service.socket() as client:
        body, content_type = form(sound, {"model": "any"})
        client.sendall(
            f"POST /v1/audio/transcriptions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length:"
            f" {len(body)}\r\nContent-Type: {content_type}\r\n\r\n".encode() + body[:500]
        )
        assert b" 408 " in client.recv(4096).partition(b"\r\n")[0]
        until(lambda: service.service.active == 0)


def test_an_idle_stream_is_finished(model: ObedientModel) -> None:
    with running(model, idle_seconds=0.3) as service, connect(service.live) as client:
        client.send(SECOND)
        client.recv(10)
        assert json.loads(client.recv(10)) == {"text": ""}
        with pytest.raises(ConnectionClosed) as closed:
            client.recv(10)
        assert closed.value.rcvd.code == 4408


def test_clients_that_leave_free_their_places(model: ObedientModel, sound: bytes) -> None:
    """In the midst of a body, while waiting for a turn, while recognised, in a live stream."""
    model.gate.clear()
    with running(model, jobs=1, queue=5) as service:
        body, content_type = form(sound, {"model": "any"})
        request = (f"POST /v1/audio/transcriptions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length:"
                   f" {len(body)}\r\nContent-Type: {content_type}\r\n\r\n").encode() + body
        clients = [service.socket() for _ in range(3)]
        for client, part in zip(clients, (request, request, request[:-100]), strict=True):
            client.sendall(part)
        until(lambda: service.service.pool.admitted == 3 and model.entered == 1)
        with connect(service.live) as live:
            live.send(SECOND)
            until(lambda: service.service.limits.streams == 1)
            for client in clients:
                client.close()
            live.socket.close()
        until(lambda: service.service.pool.admitted == 1)  # the one whose step hangs
        model.gate.set()
        until(lambda: service.service.active == 0)
        assert service.service.limits.streams == 0 and service.service.pool.running == 0
        assert service.post(sound)[0] == 200


def test_a_hundred_at_once(model: ObedientModel, sound: bytes) -> None:
    """Each is answered: with its text, or with when to come again."""
    statuses: list[int] = []
    texts: list[str] = []
    start = threading.Barrier(100)

    def upload(service: Running) -> None:
        start.wait()
        statuses.append(service.post(sound)[0])

    def stream(service: Running) -> None:
        start.wait()
        with connect(service.live, open_timeout=30) as client:
            client.send(SECOND)
            texts.append(json.loads(client.recv(30))["text"])

    with running(model, queue=10, client_requests=100, client_streams=100) as service:
        with ThreadPoolExecutor(100) as pool:
            jobs = [pool.submit(job, service) for job in (upload, stream) for _ in range(50)]
            for job in jobs:
                job.result()
        assert texts == ["말"] * 50
        assert len(statuses) == 50 and set(statuses) <= {200, 503} and 200 in statuses
        until(lambda: service.service.active == 0)


@pytest.mark.parametrize(
    "bytes_sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(100),
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST /v1/audio/transcriptions HTTP/1.1\r\nContent-Length: -5\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"A" * 100_000,
        b"POST /v1/audio/transcriptions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type:"
        b" multipart/form-data; boundary=x\r\nContent-Length: 9\r\n\r\nnot\r\nform",
        b"POST /v1/audio/transcriptions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type:"
        b" multipart/form-data\r\nContent-Length: 3\r\n\r\nabc",
    ],
)
def test_what_is_no_request_gets_a_refusal(model: ObedientModel, bytes_sent: bytes) -> None:
    with running(model) as service, service.socket() as client:
        client.sendall(bytes_sent)
        status = client.recv(4096).partition(b"\r\n")[0].split()[1]
        assert status.startswith(b"4")
        assert json.loads(service.get("/healthz"))["status"] == "ok"


def test_frames_that_break_the_protocol_end_their_stream(model: ObedientModel) -> None:
    with running(model, frame_bytes=10_000) as service:
        with connect(service.live, compression=None) as client:
            client.send(bytes(20_000))
            with pytest.raises(ConnectionClosed) as closed:
                client.recv(10)
            assert closed.value.rcvd.code == 1009
        with connect(service.live, compression=None) as client:
            client.socket.sendall(struct.pack("!BB4s", 0xF3, 0x84, b"\0\0\0\0") + b"\xff" * 4)
            with pytest.raises(ConnectionClosed):
                client.recv(10)
        until(lambda: service.service.limits.streams == 0)
