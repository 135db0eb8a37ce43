"""`asr serve`: recognition for other programs and for browsers, over HTTP and WebSocket."""

from __future__ import annotations

import argparse
import importlib.util
import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from asr.cli.adaptation import Adaptation
from asr.cli.inputs import check_no_sound
from asr.cli.models import load_followed
from asr.cli.options import add_precision, count, positive, positive_real
from asr.errors import UsageError

if TYPE_CHECKING:
    from asr.recognizer import Model
    from asr.search import Index
    from asr.server.config import ServerConfig

logger = logging.getLogger("asr.serve")

NEEDED = ("fastapi", "uvicorn", "h11", "websockets", "python_multipart", "prometheus_client")
DEFAULT_PORT, MOST_PORTS = 8000, 65_535


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command line."""
    parser = subparsers.add_parser(
        "serve",
        help="serve recognition over HTTP and WebSocket, with a web page",
        description="Serve one model: OpenAI's transcription API, Vosk-server's WebSocket protocol,"
        " and a page with microphone and file drop at /. docs/serve.md tells more.",
        epilog="Defaults of all limits: asr/server/config.py. SIGTERM answers what was accepted,"
        " then ends.",
    )
    parser.add_argument("--host", default="127.0.0.1",
                        help="address to listen on (default: 127.0.0.1, this machine only)")
    parser.add_argument("--port", type=_port, default=DEFAULT_PORT, metavar="N",
                        help=f"default: {DEFAULT_PORT}; 0: any that is free")
    parser.add_argument("-m", "--model", default="ko", help="name or folder of a model")
    parser.add_argument("--live-model", metavar="MODEL",
                        help="a lighter model that follows live sound, so that more streams fit;"
                        " what has ended is still recognised by --model")
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N (default: cpu)")
    add_precision(parser)
    parser.add_argument("--words", type=Path, action="append", default=[], metavar="FILE",
                        help="make these words recognisable for all (docs/own-words.md)")
    parser.add_argument("-j", "--jobs", type=positive, metavar="N",
                        help="sounds recognised at once (default: one for each processor)")
    parser.add_argument("--batch", type=positive, metavar="N",
                        help="live streams whose network is run at once, at most (default: 1)")
    parser.add_argument("--catalog", type=Path, metavar="FILE",
                        help="a catalogue for /search and the page (docs/search.md)")
    parser.add_argument("--index", type=Path, metavar="DIR",
                        help="the same, indexed by `asr search --build-index`: opens at once")
    parser.add_argument("--written", action="store_true",
                        help="tell numbers in digits: 2026년 6월, 30%%, 010-1234-5678")
    parser.add_argument("--punctuation", action="store_true",
                        help="full stops, question marks and commas, as a small model guesses them")
    limits = parser.add_argument_group("limits")
    for option, kind, meaning in _LIMITS:
        limits.add_argument(option, type=kind, metavar="N", help=meaning)
    access = parser.add_argument_group("access")
    access.add_argument("--api-keys", type=Path, metavar="FILE",
                        help="keys, one a line, of which a client must have one; also from the"
                        " environment, MALSORI_API_KEYS")
    access.add_argument("--allow-origin", action="append", default=[], metavar="ORIGIN",
                        help="another web site whose pages may use it, as https://example.org")
    access.add_argument("--allow-host", action="append", default=[], metavar="NAME",
                        help="a name by which it may be called (behind a proxy)")
    access.add_argument("--trusted-proxy", default="", metavar="ADDRESS",
                        help="a proxy whose X-Forwarded-For tells who the client is")
    access.add_argument("--certificate", type=Path, metavar="FILE",
                        help="serve https with this PEM certificate")
    access.add_argument("--private-key", type=Path, metavar="FILE", help="its private key")


_LIMITS = (
    ("--queue", count, "uploads that may wait for their turn"),
    ("--max-upload-mb", positive_real, "largest upload in megabytes"),
    ("--max-seconds", positive_real, "longest sound of an upload, in seconds"),
    ("--max-streams", positive, "live streams at once"),
    ("--client-requests", positive, "uploads and searches of one client at once"),
    ("--client-streams", positive, "live streams of one client at once"),
    ("--client-rate", positive, "requests and streams of one client in a minute"),
    ("--idle-seconds", positive_real,
     "a client silent for so long in the midst of sending is given up"),
    ("--grace-seconds", positive_real,
     "longest time to finish what was accepted when told to stop"),
)


def run(args: argparse.Namespace) -> int:
    """Serve until told to stop."""
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise UsageError(f"asr serve needs {', '.join(missing)}: pip install 'malsori[server]'")
    if bool(args.certificate) != bool(args.private_key):
        raise UsageError("--certificate and --private-key need each other")
    for path in filter(None, (args.certificate, args.private_key)):
        if not path.is_file():
            raise UsageError(f"{path}: no such file")
    if args.catalog and args.index:
        raise UsageError("--catalog and --index are two ways to say the same: give one")
    check_no_sound("--catalog", args.catalog)
    from asr.server.app import create_app
    from asr.server.run import Server, reserve, serve
    from asr.server.security import is_loopback
    from asr.server.warming import warm_up

    config = _config(args)
    local = is_loopback(args.host)
    with reserve(args.host, args.port) as address:  # before the model is loaded, which takes long
        if not local:
            _warn(args, config)
        index = _index(args)
        model = _load(args, config.jobs)
        app = create_app(model, config, local=local, index=index)
        warm_up(app.state.service)
        server = Server(app, args.certificate, args.private_key)
        serve(server, address, _announce(model.name))
    return 0


def _port(text: str) -> int:
    if not text.isdecimal() or len(text) > 5 or int(text) > MOST_PORTS:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port, 0 to {MOST_PORTS}")
    return int(text)


def _config(args: argparse.Namespace) -> ServerConfig:
    from asr.server.config import MEGABYTE, ServerConfig
    from asr.server.security import read_api_keys

    upload = args.max_upload_mb
    chosen = {
        "jobs": (os.cpu_count() or 1) if args.jobs is None else args.jobs,
        "batch": args.batch,
        "queue": args.queue,
        "upload_bytes": None if upload is None else round(upload * MEGABYTE),
        "sound_seconds": args.max_seconds,
        "streams": args.max_streams,
        "client_requests": args.client_requests,
        "client_streams": args.client_streams,
        "client_rate": args.client_rate,
        "idle_seconds": args.idle_seconds,
        "grace_seconds": args.grace_seconds,
    }
    return ServerConfig(
        **{name: value for name, value in chosen.items() if value is not None},
        api_keys=read_api_keys(args.api_keys),
        origins=tuple(args.allow_origin),
        hosts=tuple(args.allow_host),
        trusted_proxy=args.trusted_proxy,
        written=args.written,
        punctuation=args.punctuation,
    )


def _warn(args: argparse.Namespace, config: ServerConfig) -> None:
    if not config.api_keys:
        logger.warning("%s can be reached from other machines, and anybody there may use it:"
                       " give --api-keys", args.host)
    if not args.certificate:
        logger.warning("without --certificate, sound and keys go over the network unencrypted, and"
                       " browsers give the page no microphone")


def _load(args: argparse.Namespace, jobs: int) -> Model:
    adaptation = Adaptation.read(args.words)
    print(f"asr: loading {args.model}: connections are refused until it is ready",
          file=sys.stderr, flush=True)
    model = load_followed(args.model, args.live_model, args.device, jobs, args.precision)
    return adaptation.of(model)


def _index(args: argparse.Namespace) -> Index | None:
    from asr.search import Index, read_catalog

    if args.index is not None:
        return Index.open(args.index)
    return None if args.catalog is None else Index.build(read_catalog(args.catalog))


def _announce(name: str) -> Callable[[str], None]:
    return lambda url: print(f"Malsori serves {name} at {url}", flush=True)
