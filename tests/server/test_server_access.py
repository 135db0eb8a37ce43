"""Who may come in: API keys, hosts, origins; what the page may load."""

from __future__ import annotations

import base64
import io
import json
import shutil
import ssl
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path

import numpy as np
import pytest
import soundfile
from serving import ObedientModel, Running, running
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from asr.errors import DataError
from asr.server.config import ServerConfig
from asr.server.security import KEYS_VARIABLE, is_loopback, read_api_keys

KEYS = ("first-key-1", "second-key-2")
BEARER = {"Authorization": f"Bearer {KEYS[1]}"}


@pytest.fixture(scope="module")
def sound() -> bytes:
    file = io.BytesIO()
    soundfile.write(file, np.zeros(16_000), 16_000, format="WAV")
    return file.getvalue()


@pytest.fixture(scope="module")
def service() -> Iterator[Running]:
    with running(ObedientModel(), api_keys=KEYS, client_rate=60) as service:
        yield service


def test_uploads_need_a_key(service: Running, sound: bytes) -> None:
    status, answer, header = service.post(sound)
    assert (status, answer["error"]["type"]) == (401, "authentication_error")
    assert header["www-authenticate"] == "Bearer"
    for wrong in ("first-key-", "first-key-11", "키", "", "second-key-2 first-key-1"):
        assert service.post(sound, Authorization=f"Bearer {wrong}".encode())[0] == 401
    assert service.post(sound, **BEARER)[0] == 200


def test_streams_need_a_key_in_a_header_or_a_subprotocol(service: Running) -> None:
    for protocols in (None, ["malsori"], ["malsori", "malsori-key.!"], ["malsori-key.AAAA"]):
        with pytest.raises(InvalidStatus) as caught:
            connect(service.live, subprotocols=protocols)
        assert caught.value.response.status_code == 401
    coded = base64.urlsafe_b64encode(KEYS[0].encode()).decode().rstrip("=")
    with connect(service.live, subprotocols=["malsori", f"malsori-key.{coded}"]) as client:
        assert client.subprotocol == "malsori"
    with connect(service.live, additional_headers=BEARER):
        pass


def test_metrics_need_a_key_and_health_none(service: Running) -> None:
    with pytest.raises(urllib.error.HTTPError, match="401"):
        service.get("/metrics")
    assert b"malsori_streams" in service.get("/metrics", **BEARER)
    assert json.loads(service.get("/healthz"))["keys"] is True
    assert "말소리".encode() in service.get("/")


def test_keys_have_rates_of_their_own(sound: bytes) -> None:
    with running(ObedientModel(), api_keys=KEYS, client_rate=1) as service:
        statuses = [
            service.post(sound, Authorization=f"Bearer {key}")[0] for key in (*KEYS, *KEYS)
        ]
        assert statuses == [200, 200, 429, 429]


def test_pages_of_other_sites_are_refused(sound: bytes) -> None:
    with running(ObedientModel(), origins=("https://friend.example",)) as service:
        assert service.post(sound, Origin="https://evil.example")[0] == 403
        assert service.post(sound, Origin="null")[0] == 403
        assert service.post(sound, Origin=service.url)[0] == 200
        assert service.post(sound, Origin="https://friend.example")[0] == 200
        with pytest.raises(InvalidStatus):
            connect(service.live, origin="https://evil.example")
        with connect(service.live, origin=service.url):
            pass


def test_a_page_that_may_ask_may_read(sound: bytes) -> None:
    """The preflight of a browser, which has no key yet, and the answer itself."""
    friend = "https://friend.example"
    with running(ObedientModel(), origins=(friend,), api_keys=KEYS) as service:
        for origin, allowed in ((friend, friend), ("https://evil.example", None)):
            connection = HTTPConnection(service.host, service.port)
            connection.request("OPTIONS", "/v1/audio/transcriptions", headers={
                "Origin": origin, "Access-Control-Request-Headers": "authorization"})
            response = connection.getresponse()
            assert response.getheader("Access-Control-Allow-Origin") == allowed
            assert response.status == (204 if allowed else 403)
            connection.close()
        _, _, header = service.post(sound, Origin=friend, **BEARER)
        assert header["access-control-allow-origin"] == friend


def test_other_names_are_refused_on_loopback(sound: bytes) -> None:
    """A site may point its own name at 127.0.0.1; its pages would then seem to be ours."""
    with running(ObedientModel(), hosts=("asr.example",)) as service:
        assert service.post(sound, Host="evil.example:80")[0] == 421
        assert service.post(sound, Host="asr.example")[0] == 200
        assert service.post(sound, Host="localhost:1234")[0] == 200
        with pytest.raises(urllib.error.HTTPError, match="421"):
            service.get("/", Host="evil.example")


def test_the_page_is_all_ours(service: Running) -> None:
    import re

    page = service.get("/").decode()
    for source in re.findall(r'(?:src|href)="([^"]*)"', page):
        assert source.startswith(("/page/", "data:")), source
    for name in ("app.js", "sound.js", "view.js", "texts.js", "worklet.js", "style.css"):
        assert not re.search(r"https?://", service.get(f"/page/{name}").decode())
    for name in ("../config.py", "..%2fconfig.py", "nothing.js"):
        with pytest.raises(urllib.error.HTTPError, match="404"):
            service.get(f"/page/{name}")


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl to make a certificate")
def test_https_and_wss(tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj",
         "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out",
         certificate], check=True, capture_output=True,
    )  # fmt: skip
    trust = ssl.create_default_context(cafile=str(certificate))
    service = Running(ObedientModel(), ServerConfig(), certificate, key)
    try:
        at = f"127.0.0.1:{service.port}"
        with urllib.request.urlopen(f"https://{at}/healthz", context=trust) as answer:
            assert json.load(answer)["status"] == "ok"
        with connect(f"wss://{at}", ssl=trust, origin=f"https://{at}") as client:
            client.send(bytes(32_000))
            assert json.loads(client.recv(10))["text"] == "말"
    finally:
        service.stop()


def test_keys_are_read_from_file_and_environment(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_text("# ours\nfirst-key-1\n\n  second-key-2 \n", encoding="utf-8")
    environment = {KEYS_VARIABLE: "third-key-3, first-key-1"}
    assert read_api_keys(path, environment) == ("third-key-3", "first-key-1", "second-key-2")
    assert read_api_keys(None, {}) == ()
    for content in ("", "# nothing", "short", "two words here"):
        path.write_text(content, encoding="utf-8")
        with pytest.raises(DataError):
            read_api_keys(path, {})
    with pytest.raises(DataError, match="cannot be read"):
        read_api_keys(tmp_path / "missing", {})


def test_loopback_is_known() -> None:
    assert all(map(is_loopback, ("localhost", "127.0.0.1", "127.3.2.1", "::1", "[::1]")))
    assert not any(map(is_loopback, ("0.0.0.0", "::", "10.0.0.1", "asr.example", "")))
