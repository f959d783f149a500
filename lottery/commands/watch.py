"""Show runs on a live page: what runs, how far, their curves, what failed and why.

usage: lottery watch [RUN...] [FILTER...] [port=0] [outputs=DIR]

RUN and FILTER are as in `lottery ls`, and runs that begin later are kept as well; without any all
runs are shown. Prints the address of the page, which is to be opened in a browser on this machine,
and serves it until Ctrl-C. The page refreshes itself, writes nothing, and needs no network: only
this machine can reach it, and only who knows the address. It may follow runs of other machines that
write to the same disk.

port=0 takes any port that is free. From another machine, with the PORT that is printed:

  ssh -L PORT:127.0.0.1:PORT HOST    and the same address in the browser there
"""

from __future__ import annotations

import errno
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from lottery.commands import selection, whole
from lottery.errors import INTERRUPTED, DiskError, UsageError
from lottery.wording.text import printable

if TYPE_CHECKING:
    from lottery.results.watching.server import Server
    from lottery.results.watching.watch import Watch

KNOWN = {"port": "0", "outputs": "outputs"}
LARGEST = 65535  # number of a port
TAKEN, FORBIDDEN = (errno.EADDRINUSE,), (errno.EACCES, errno.EPERM)


def main(arguments: list[str]) -> int:
    """Print the address and serve the page; return the exit code once it is interrupted."""
    words, chosen = selection(arguments, __doc__, KNOWN)
    if words is None:
        return 0
    number = port(chosen["port"])
    from lottery.results.naming import missing, none_there
    from lottery.results.watching.watch import Watch

    outputs = Path(chosen["outputs"]).expanduser()
    if missing(outputs) and not any(Path(word).is_dir() for word in words):
        raise UsageError(f"watch: {none_there(outputs)}")
    watch = Watch(outputs, words)
    try:
        for remark in watch.begin():
            print(f"lottery: {remark}", file=sys.stderr)
        return serve(watch, number)
    except KeyboardInterrupt:  # of this command; no run notices
        return INTERRUPTED


def serve(watch: Watch, number: int) -> int:
    """Serve the page until somebody interrupts; the port is free again after it."""
    with opened(watch, number) as server:
        print(server.address, flush=True)
        print("open it in a browser on this machine; Ctrl-C ends it", file=sys.stderr)
        server.serve_forever()
    return 0


def opened(watch: Watch, number: int) -> Server:
    """Return the server, which has its port; raises UsageError for one that cannot be had."""
    from lottery.results.watching.page import Page
    from lottery.results.watching.server import Server

    try:
        return Server(number, watch, Page(watch.outputs, watch.wanted.words))
    except OSError as error:
        hint = "type port=0 for one that is free"
        if error.errno in TAKEN:
            raise UsageError(f"watch: port {number} is in use; {hint}") from error
        if error.errno in FORBIDDEN:
            raise UsageError(f"watch: port {number} is not for everyone; {hint}") from error
        raise DiskError(
            f"watch: cannot serve a page ({error.strerror}); look with: lottery ls"
        ) from error


def port(text: str) -> int:
    """Return the number of a port; raises UsageError for none."""
    found = whole(text)
    if found is None or found > LARGEST:
        raise UsageError(
            f"watch: port={printable(text)} is no port; type a number up to {LARGEST}, or port=0 "
            "for one that is free"
        )
    return found
