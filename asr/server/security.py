"""Who may use the service: API keys, the names and origins it answers to."""

from __future__ import annotations

import base64
import binascii
import hmac
import ipaddress
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from asr.errors import DataError
from asr.server.config import ServerConfig
from asr.server.errors import ApiError

KEYS_VARIABLE = "MALSORI_API_KEYS"
"""Environment variable: API keys, parted by commas or white space."""
PROTOCOL = "malsori"
"""The WebSocket subprotocol of the page, which carries a key as browsers cannot otherwise."""
KEY_PREFIX = "malsori-key."
SHORTEST_KEY = 8
_LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})


def read_api_keys(path: Path | None, environment: Mapping[str, str] = os.environ
                  ) -> tuple[str, ...]:
    """Keys of a file (one a line; ``#`` begins a comment) and of the environment.

    Raises:
        DataError: the file cannot be read or holds no key, or a key is too short or not ASCII.
    """
    keys = environment.get(KEYS_VARIABLE, "").replace(",", " ").split()
    if path is not None:
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"the API keys in {path} cannot be read: {error}") from error
        listed = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
        if not listed:
            raise DataError(f"{path} holds no API key: write one a line")
        keys += listed
    for key in keys:
        if len(key) < SHORTEST_KEY or not key.isascii() or not key.isprintable() or " " in key:
            raise DataError(
                f"an API key must be {SHORTEST_KEY} or more printable ASCII characters without"
                " spaces; `openssl rand -hex 24` makes one"
            )
    return tuple(dict.fromkeys(keys))


def is_loopback(host: str) -> bool:
    """Whether an address to listen on can be reached from this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


class Gate:
    """Decides whether a request may come in, by its header alone.

    Args:
        config: keys, hosts and origins.
        local: the service listens on a loopback address.
    """

    def __init__(self, config: ServerConfig, local: bool) -> None:
        self._keys = [key.encode("ascii") for key in config.api_keys]
        self._origins = frozenset(origin.rstrip("/").lower() for origin in config.origins)
        hosts = frozenset(host.lower() for host in config.hosts)
        self._hosts = hosts | _LOCAL_NAMES if hosts or local else None

    def check_host(self, headers: Mapping[str, str]) -> None:
        """Refuse a name that is not ours, such as another site's that was pointed at loopback.

        Raises:
            ApiError: 421.
        """
        if self._hosts is not None and _host_name(headers.get("host", "")) not in self._hosts:
            raise ApiError(421, "this service does not go by that name: see --allow-host",
                           code="wrong_host")

    def check_origin(self, headers: Mapping[str, str]) -> None:
        """Refuse what another site's page has sent; programs send no Origin.

        Raises:
            ApiError: 403.
        """
        origin = headers.get("origin")
        if origin is None or origin.rstrip("/").lower() in self._origins:
            return
        if urlsplit(origin).netloc.lower() != headers.get("host", "").lower():
            raise ApiError(403, f"pages of {origin} may not use this service: see --allow-origin",
                           code="wrong_origin")

    def headers_for(self, headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
        """What tells a browser that a page of another site, which is allowed, may see an answer."""
        origin = headers.get("origin", "")
        if origin.rstrip("/").lower() not in self._origins:
            return []
        return [
            (b"access-control-allow-origin", origin.encode("latin-1")),
            (b"access-control-allow-headers", b"authorization, content-type"),
            (b"access-control-allow-methods", b"GET, POST"),
            (b"vary", b"Origin"),
        ]

    def client(self, headers: Mapping[str, str], address: str, protocols: Iterable[str] = ()
               ) -> str:
        """Who it is that limits count for: a key's number, or an address.

        Args:
            headers: with lower-case names.
            address: the IP address that it comes from.
            protocols: WebSocket subprotocols that were offered.

        Raises:
            ApiError: 401, no key or a wrong one.
        """
        if not self._keys:
            return _network(address)
        offered = _offered_key(headers, protocols)
        if offered is None:
            raise ApiError(401, "an API key is needed: Authorization: Bearer KEY",
                           code="missing_api_key")
        found = -1
        for number, key in enumerate(self._keys):  # every key is compared, found or not
            if hmac.compare_digest(key, offered):
                found = number
        if found < 0:
            raise ApiError(401, "this API key is not known", code="invalid_api_key")
        return f"key {found}"


def _offered_key(headers: Mapping[str, str], protocols: Iterable[str]) -> bytes | None:
    kind, _, value = headers.get("authorization", "").partition(" ")
    if kind.lower() == "bearer" and value.strip():
        return value.strip().encode("utf-8", "replace")
    for protocol in protocols:
        if protocol.startswith(KEY_PREFIX):
            text = protocol.removeprefix(KEY_PREFIX)
            try:
                return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
            except (binascii.Error, ValueError):
                return b""
    return None


def _host_name(host: str) -> str:
    """The name in a Host header, without its port."""
    host = host.lower()
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.partition(":")[0]


def _network(address: str) -> str:
    """An address as one client: of IPv6 the /64, which one household has."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if parsed.version == 6:
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return str(parsed)
