"""uvicorn's HTTP protocol with scheduled parsing: connections take turns, and few requests are parsed ahead."""

from typing import Any, Final

from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from bridge.http.body import BODY_BYTES
from bridge.http.wire.connection_turns import ConnectionTurns
from bridge.http.wire.intake import BEGUN_SECONDS, Intake, Key
from bridge.http.wire.lingering_close import LingeringTransport
from bridge.http.wire.request_pace import Pace
from bridge.http.wire.small_pieces import SmallPieces

_SLICE_BYTES: Final = 64 * 1024
"""Most bytes of one connection that are parsed before other connections have their turn."""
_LEAST_PIECE_BYTES: Final = 128
_LARGE_PIECE_BYTES: Final = 16 * 1024
_SMALL_PIECES: Final = 4
"""How many small pieces of a body are read one after the other. Most bodies arrive in one or two."""
_GATHERED_BYTES: Final = 8 * 1024
"""How much of a body is gathered before the application gets it; less is passed on at the body's end.

To pass on a part takes 0.1 ms and more, as long as to parse ten small ones.
"""
_SEARCHED_BYTES: Final = 4096
_HEAD_END: Final = b"\r\n\r\n"


class ReadingProtocol(HttpToolsProtocol):
    """One connection.

    Parsing pauses while a complete request waits for the one before it. Reading pauses while bytes are unparsed.
    """

    first = Intake()
    """The queue of the admin port, and of connections whose last request came from a server."""
    others = Intake()
    slow = SmallPieces()
    _lingering: LingeringTransport

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.address = ""
        self.waits_in: tuple[Intake, Key] | None = None
        self._intake = self.others
        self._turns = ConnectionTurns(Pace(0), "")
        self._running: RequestResponseCycle | None = None
        self._in_body = self._ends = self._advanced = False
        self._announced = self._body_bytes = self._small_pieces = 0
        self._unparsed = b""
        self._parsed_to = 0

    @property
    def is_begun(self) -> bool:
        """Return whether the unparsed bytes continue the request in flight."""
        running = self._running
        return self._in_body and running is not None and running.scope is self.scope and not running.response_complete

    def owes(self) -> float:
        """Return the seconds until the rate of the connection's client address lets its next request begin."""
        return self._turns.owes()

    @property
    def _drops(self) -> bool:
        return self._ends or self.transport.is_closing()

    def data_received(self, data: bytes) -> None:
        if self._drops:
            self._lingering.drop(len(data))
            self._rests()
            return
        self._intake = intake = self.first if self._turns.goes_first else self.others
        if intake.left > 0 and not self._unparsed and not self.pipeline and self._is_one_piece(data):
            if not self._advances(data):
                self._rests()
            return
        # Reading is paused while bytes are unparsed, but one more read may already have arrived.
        self._unparsed, self._parsed_to = self._unparsed[self._parsed_to :] + data, 0
        self._lingering.hold_reading()
        self.reads_on()

    def on_body(self, body: bytes) -> None:
        """Gather the parts of the body. uvicorn wakes the application for each."""
        self._body_bytes += len(body)
        self.scope[BODY_BYTES] = self._body_bytes  # type: ignore[typeddict-unknown-key]  # ASGI lets servers add to it
        if self.cycle.response_complete:
            return
        self.cycle.body += body
        if len(self.cycle.body) > HIGH_WATER_LIMIT:
            self.flow.pause_reading()
        if len(self.cycle.body) >= _GATHERED_BYTES and not self.cycle.message_event.is_set():
            self.cycle.message_event.set()
            self._goes_on()

    def _goes_on(self) -> None:
        """Deduct what the request in flight does now from the time of this iteration of the loop."""
        self._intake.left -= BEGUN_SECONDS

    def parse_piece(self) -> bool:
        """Parse some of the bytes; returns whether more bytes can be parsed."""
        data, begin, advanced = self._unparsed, self._parsed_to, True
        if self._drops:
            self._lingering.drop(len(data) - begin)
            self._parsed_to = len(data)
        else:
            self._parsed_to = self._end_of_piece(data, begin)
            advanced = self._advances(data[begin : self._parsed_to])
        if self._parsed_to == len(data):
            self._unparsed, self._parsed_to = b"", 0
            if advanced:
                self._lingering.let_go_reading()
            else:
                self._rests()
        return self._may_parse()

    def _rests(self) -> None:
        """Stop reading for a moment, so that the next bytes gather in the socket."""
        self._lingering.hold_reading()
        self.slow.rests(self)

    def reads_again(self) -> None:
        """Resume reading after a rest, unless bytes that arrived meanwhile are unparsed."""
        if not self._unparsed:
            self._lingering.let_go_reading()

    def reads_on(self) -> None:
        """Parse the remaining bytes when it is their turn."""
        if self._may_parse():
            self._intake.waits(self)

    def reads_no_more(self) -> None:
        """Drop the unparsed bytes, because the connection is closed."""
        self._unparsed = b""
        self.slow.leave(self)
        if self.waits_in is not None:
            intake, key = self.waits_in
            intake.leave(self, key)

    def _may_parse(self) -> bool:
        return bool(self._unparsed) and (not self.pipeline or self._drops)

    def _is_one_piece(self, data: bytes) -> bool:
        """Return whether at most two requests can begin in the data.

        Most reads contain one request, without a carriage return in its body.
        """
        size = len(data)
        if self._in_body and size <= self._announced - self._body_bytes:
            return size <= _SLICE_BYTES
        follows = data.find(b"\r", data.find(_HEAD_END) + len(_HEAD_END))
        if follows < 0:
            return size <= _SLICE_BYTES
        return size <= _SEARCHED_BYTES and data.find(_HEAD_END, follows, size - 1) < 0

    def _end_of_piece(self, data: bytes, begin: int) -> int:
        """Return the offset at which to end the next piece of `data` to parse: after the next headers, within limits.

        This way few requests begin in one piece.
        """
        end = min(begin + _SLICE_BYTES, len(data))
        announced = self._announced - self._body_bytes if self._in_body else 0
        found = data.find(_HEAD_END, begin + (announced if announced > 0 else _LEAST_PIECE_BYTES), end)
        return end if found < 0 else found + len(_HEAD_END)

    def _advances(self, data: bytes) -> bool:
        """Parse the data; return whether the connection may be read on at once.

        That is so if the data completed the head of a request or the request, or is a large piece of its body, or one
        of the first small ones.
        """
        self._advanced, in_body = False, self._in_body
        self._parse_slice(data)
        if self._advanced and in_body and self._in_body and len(data) < _LARGE_PIECE_BYTES:
            self._small_pieces += 1
            return self._small_pieces <= _SMALL_PIECES
        return self._advanced

    def _parse_slice(self, data: bytes) -> None:
        """Parse the data, and deduct the time from the time for parsing in this iteration of the loop."""
        raise NotImplementedError
