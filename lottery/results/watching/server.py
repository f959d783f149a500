"""Serve the live page to this machine alone: a token in its address, and nothing but GET."""

import hmac
import json
import secrets
import socket
import sys
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from lottery.results.formats import plain
from lottery.results.watching.jobs import tail
from lottery.results.watching.page import Page
from lottery.results.watching.watch import Watch

LOOPBACK = "127.0.0.1"
NAMES = (LOOPBACK, "localhost", "[::1]")  # by which a browser may reach it, also through ssh -L
PATIENCE = 10.0  # seconds for a request to be sent, or an answer to be taken
WAITING = 512  # connections that may wait to be taken
TEXT, HTML, JSON = "text/plain; charset=utf-8", "text/html; charset=utf-8", "application/json"
NOTHING = "default-src 'none'; frame-ancestors 'none'"  # is to be made of what is no page
Query = dict[str, list[str]]
Answer = tuple[bytes, str, str]  # a body, its type, and its Content-Security-Policy
HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "X-Frame-Options": "DENY",
}


class Server(ThreadingHTTPServer):
    """The server of one page; `address` is where it is."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = WAITING

    def __init__(self, port: int, watch: Watch, page: Page) -> None:
        self.watch, self.page = watch, page
        self.token = secrets.token_urlsafe(24)
        super().__init__((LOOPBACK, port), Handler)

    def server_bind(self) -> None:
        """Take the port, without asking anybody for the name of this machine."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = LOOPBACK, self.server_address[1]

    @property
    def address(self) -> str:
        """Where the page is."""
        return f"http://{LOOPBACK}:{self.server_port}/{self.token}/"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say what went wrong with one request; a browser that has gone is nothing wrong."""
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            print(f"lottery: warning: a request failed: {type(error).__name__}", file=sys.stderr)


class Handler(BaseHTTPRequestHandler):
    """Answer one request."""

    server: Server
    timeout = PATIENCE
    server_version, sys_version = "lottery", ""

    def do_GET(self) -> None:  # noqa: N802 (as http.server calls it)
        """Answer with the page, with what has changed, or with a log."""
        split = urlsplit(self.path)
        token, slash, name = split.path.removeprefix("/").partition("/")
        known = hmac.compare_digest(token.encode(), self.server.token.encode())
        answers = {"": self.page, "data": self.data, "log": self.log}
        if not known or self.host() not in NAMES or name not in answers:
            self.refuse(HTTPStatus.NOT_FOUND)
        elif not slash:
            self.answer(HTTPStatus.PERMANENT_REDIRECT, b"", TEXT, {"Location": f"/{token}/"})
        else:
            body, kind, policy = answers[name](parse_qs(split.query))
            self.answer(HTTPStatus.OK, body, kind, {"Content-Security-Policy": policy})

    def do_HEAD(self) -> None:  # noqa: N802 (as http.server calls it)
        """Answer as to GET, without a body."""
        self.do_GET()

    def page(self, query: Query) -> Answer:
        """Return the page."""
        return self.server.page.html, HTML, self.server.page.policy

    def data(self, query: Query) -> Answer:
        """Return what has changed since the version that the page has."""
        said = query.get("since", ["0"])[0]
        version = int(said) if said.isascii() and said.isdecimal() and len(said) < 16 else 0
        return as_json(self.server.watch.since(version)), JSON, NOTHING

    def log(self, query: Query) -> Answer:
        """Return the end of a log."""
        found = self.server.watch.log(query.get("of", [""])[0])
        try:
            lines = tail(found) if found else ["There is no log of it any more."]
        except OSError as error:
            lines = [f"The log cannot be read: {error.strerror or error}"]
        return as_json({"lines": lines}), JSON, NOTHING

    def host(self) -> str:
        """Return the name by which the browser calls this server; a page elsewhere uses another."""
        said = self.headers.get("Host", "").strip().lower()
        name, colon, port = said.rpartition(":")
        return name if colon and port.isdecimal() else said

    def answer(self, status: int, body: bytes, kind: str, more: dict[str, str]) -> None:
        """Send an answer, its body unless only its head was asked for."""
        self.send_response(status)
        for name, value in (HEADERS | more).items():
            self.send_header(name, value)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def refuse(self, status: HTTPStatus, more: dict[str, str] | None = None) -> None:
        """Answer with a status, and nothing that tells why."""
        self.close_connection = True
        self.answer(status, f"{status.phrase}\n".encode(), TEXT, more or {})

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Refuse a request that is none, or asks for anything but to read."""
        if code == HTTPStatus.NOT_IMPLEMENTED:
            self.refuse(HTTPStatus.METHOD_NOT_ALLOWED, {"Allow": "GET, HEAD"})
        else:
            self.refuse(HTTPStatus(code))

    def log_message(self, format: str, *arguments: Any) -> None:
        """Say nothing of requests: the address holds the token."""


def as_json(data: Any) -> bytes:
    """Return data as JSON; a number that is not finite is null."""
    try:
        return json.dumps(data, allow_nan=False, separators=(",", ":")).encode()
    except ValueError:  # seldom, and three times as slow
        return json.dumps(plain(data), allow_nan=False, separators=(",", ":")).encode()
