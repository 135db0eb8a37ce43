"""Every limit of the service in one place."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from asr.errors import UsageError

MEGABYTE = 1_000_000


@dataclass(frozen=True, slots=True)
class ServerConfig:
    """What the service accepts, and how much of it at once.

    A *client* is an API key where keys are asked for, else an address (of IPv6 its /64).

    Attributes:
        jobs: sounds recognised at once; also the threads that do it.
        batch: live streams whose network is run at once, at most; 1: each alone.
        queue: uploads that may wait for their turn beside those; more are refused with 503.
        upload_bytes: the largest body of a request.
        upload_seconds: the longest that a body may take to arrive.
        sound_seconds: the longest sound in an upload, in seconds.
        streams: live streams at once, of all clients.
        stream_seconds: the longest live stream, in seconds of sound.
        frame_bytes: the largest WebSocket message.
        client_requests: uploads and searches of one client at once.
        client_streams: live streams of one client at once.
        client_rate: requests and streams that one client may begin in a minute.
        idle_seconds: silence of a client, in the midst of what it sends or does not take, after
            which it is given up.
        header_seconds: the longest that a request's header may take to arrive.
        connections: open connections at once.
        grace_seconds: the longest that a stopping service works on what it has accepted.
        phrases: entries of a phrase list, of ``keywords`` or of a prompt.
        api_keys: who may use it; empty: everyone.
        origins: other web sites whose pages may use it (``https://example.org``).
        hosts: names by which it is called; empty: when it listens on a loopback address, that
            machine's own names only, else any.
        trusted_proxy: address of a proxy whose X-Forwarded-For is believed; empty: none.
        written: texts are told as they are written: 삼십 퍼센트 as 30%.
        punctuation: full stops, question marks and commas follow words.
    """

    jobs: int = 2
    batch: int = 1
    queue: int = 32
    upload_bytes: int = 100 * MEGABYTE
    upload_seconds: float = 600.0
    sound_seconds: float = 2 * 3600.0
    streams: int = 64
    stream_seconds: float = 8 * 3600.0
    frame_bytes: int = 1 << 20
    client_requests: int = 16
    client_streams: int = 32
    client_rate: int = 600
    idle_seconds: float = 30.0
    header_seconds: float = 10.0
    connections: int = 1000
    grace_seconds: float = 60.0
    phrases: int = 1000
    api_keys: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    trusted_proxy: str = ""
    written: bool = False
    punctuation: bool = False

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            least = 0 if field.name == "queue" else 1e-3
            if isinstance(value, bool):
                continue
            if isinstance(value, int | float) and not least <= value < math.inf:
                raise UsageError(f"{field.name} must be positive, not {value}")
