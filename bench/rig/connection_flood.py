"""A flood of new connections from many loopback addresses: `python -m bench.rig.connection_flood HOST PORT KIND ...`."""

import argparse
import json
import socket
import struct
import sys
import time
from collections import Counter, deque

KINDS = ("reset", "silent", "asking", "posting")
_NO_LINGER = struct.pack("ii", 1, 0)
_REQUEST = b"POST /bridge/shop/events HTTP/1.1\r\nhost: shop\r\ncontent-length: 2\r\n\r\n{}"
_POST = b"POST /api/bridge/%s/events HTTP/1.1\r\nhost: shop\r\norigin: %s\r\nauthorization: Bearer %s\r\ncontent-length: 60000\r\n\r\n"
_PIECES = 5
_PIECE = b" " * 60
_MOST_OPEN = 6000
_TICK_SECONDS = 0.002


def arguments(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.rig.connection_flood", description=__doc__)
    parser.add_argument("port", type=int)
    parser.add_argument(
        "kind",
        choices=KINDS,
        help="reset at once, keep silent, send a request without a token, or the first pieces of a visitor's post",
    )
    parser.add_argument(
        "--post", nargs=3, metavar=("SCRIPT", "ORIGIN", "TOKEN"), default=("", "", ""), help="of the visitor's post"
    )
    parser.add_argument("--addresses", type=int, default=16)
    parser.add_argument("--rate", type=float, default=7000, help="new connections a second")
    parser.add_argument("--seconds", type=float, default=5)
    return parser.parse_args(words)


class Flood:
    """Connections by turns from each address; the oldest is reset once 6,000 are open, more than a gateway keeps."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        self._post = _POST % tuple(word.encode() for word in options.post)
        self._sources = deque(f"127.1.{number // 250}.{number % 250 + 1}" for number in range(options.addresses))
        self._open: deque[socket.socket] = deque()
        self.counts: Counter[str] = Counter()

    def run(self) -> None:
        """Connect at the rate until the time is up."""
        began = time.monotonic()
        while (now := time.monotonic()) < began + self._options.seconds:
            due = min(int((now - began) * self._options.rate), self.counts["tried"] + 200)
            while self.counts["tried"] < due:
                self._connect()
            time.sleep(_TICK_SECONDS)
        while self._open:
            self._reset(self._open.popleft())

    def _connect(self) -> None:
        self.counts["tried"] += 1
        self._sources.rotate()
        one = socket.socket()
        one.setblocking(False)
        try:
            one.bind((self._sources[0], 0))
            one.connect_ex(("127.0.0.1", self._options.port))
            if self._options.kind == "asking":
                one.send(_REQUEST)
            if self._options.kind == "posting":
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                for part in (self._post, *[_PIECE] * _PIECES):
                    one.send(part)
        except OSError as error:
            self.counts[type(error).__name__] += 1
            one.close()
            return
        if self._options.kind in ("reset", "posting"):
            self._reset(one)
            return
        self._open.append(one)
        if len(self._open) > _MOST_OPEN:
            self._reset(self._open.popleft())

    def _reset(self, one: socket.socket) -> None:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        one.close()


if __name__ == "__main__":
    flood = Flood(arguments(sys.argv[1:]))
    flood.run()
    print(json.dumps(flood.counts))
