"""Detection of input that does not have one event in each line.

Other formats are recognised by their first bytes. Lines with several events are found too.
"""

import re
from typing import Final, NamedTuple

import msgspec

BLANK: Final = b" \t\r\n"
UNREADABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
# An unterminated string extends to the end of the text. Otherwise the match would be tried at each escaped quote.
STRING: Final = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?'
TEXT: Final = rb'[^"\[\]{}]++|' + STRING
SHALLOW: Final = rb"[\[{](?:" + TEXT + rb"|[\[{](?:" + TEXT + rb")*+[\]}])*+[\]}]"
"""A JSON value, nested at most twice."""
MARKS: Final = (b'"', b"[", b"{")
MOST_MARKS: Final = 128 * 1024
"""Most strings and brackets of an invalid array to examine."""
_MOST_MARKS_OF_ONE: Final = 64 * 1024
"""Most strings, escapes and brackets of a text to examine. No event that the stream accepts has more bytes."""

_LONGEST_MARK = 4
_ENVELOPES = ("events", "batch", "data", "records")
_ENVELOPE = re.compile(rb'"(events|batch|data|records)"[ \t\r\n]*+:[ \t\r\n]*+\[[ \t\r\n]*+\{')
_TYPE_NAME = b'"event_type"'
_IN_A_ROW = re.compile(
    rb'(?:[^"}]++|' + STRING + rb"|\}(?![ \t\r\n]*+\{))*+\}"
    rb"|[ \t\r\n]*+\{(?:" + TEXT + rb"|" + SHALLOW + rb")*+\}[ \t\r\n,]*+\{",
    re.DOTALL,
)
_TRAILING = re.compile(r"trailing characters \(byte (\d+)\)")
_OBJECTS = re.compile(rb"\[[ \t\r\n]*+\{")


class _Envelope(msgspec.Struct, gc=False):
    event_type: msgspec.Raw = msgspec.Raw(b"")
    events: msgspec.Raw = msgspec.Raw(b"")
    batch: msgspec.Raw = msgspec.Raw(b"")
    data: msgspec.Raw = msgspec.Raw(b"")
    records: msgspec.Raw = msgspec.Raw(b"")


_envelope = msgspec.json.Decoder(_Envelope).decode
_any = msgspec.json.Decoder(msgspec.Raw).decode


class Form(NamedTuple):
    """A format: its name, and the shell command that converts it to UTF-8 text on standard output."""

    name: str
    command: str


def _utf(bits: str) -> Form:
    return Form(f"UTF-{bits}", f"iconv -f UTF-{bits} -t UTF-8")


_FORMS = {
    b"\x1f\x8b": Form("gzip", "gunzip -c"),
    b"\x28\xb5\x2f\xfd": Form("zstd", "zstd -dc"),
    b"\x04\x22\x4d\x18": Form("lz4", "lz4 -dc"),
    b"\xfd7zX": Form("xz", "xz -dc"),
    b"BZh": Form("bzip2", "bzip2 -dc"),
    b"--": Form("a multipart form", "sed -n '/^{/p'"),
    b"PK\x03\x04": Form("zip", "unzip -p"),
    b"x\x01": Form("zlib", "zlib-flate -uncompress"),
    b"x\x5e": Form("zlib", "zlib-flate -uncompress"),
    b"x\x9c": Form("zlib", "zlib-flate -uncompress"),
    b"x\xda": Form("zlib", "zlib-flate -uncompress"),
    b"\xff\xfe\x00\x00": _utf("32"),
    b"\x00\x00\xfe\xff": _utf("32"),
    b"\xff\xfe": _utf("16"),
    b"\xfe\xff": _utf("16"),
}
# JSON begins with an ASCII character. Without a byte order mark, zeros beside it show the width of the characters.
_ZEROS = {(1, 2, 3): _utf("32LE"), (0, 1, 2): _utf("32BE"), (1, 3): _utf("16LE"), (0, 2): _utf("16BE")}


def form_of(text: bytes) -> Form | None:
    """Return the format of a text that is not UTF-8, by its first bytes; None if it is UTF-8 or can't be recognised.

    Brotli has no recognisable first bytes.
    """
    head = text[:_LONGEST_MARK]
    for mark, form in _FORMS.items():
        if head.startswith(mark):
            return form
    return _ZEROS.get(tuple(place for place, byte in enumerate(head) if not byte))


def beginning_of(text: bytes) -> str:
    """Describe why a text does not begin with an event."""
    text = text.lstrip(BLANK)
    if text.startswith(b"["):
        return "it is an array without objects"
    if text.startswith(b'"'):
        return "it is a JSON string that contains JSON; encode the event only once"
    if re.match(rb"[\w.%\[\]-]++=", text):
        return "it is a form; send the JSON alone, not as a field"
    return f"it begins with {text[:1].decode('latin-1')!a}"


def is_json(text: bytes) -> bool:
    """Return whether the text is one JSON value."""
    try:
        _any(text)
    except UNREADABLE:
        return False
    return True


def several_in(text: bytes) -> str:
    """Return a description of how a text contains several events instead of one; an empty string if it does not."""
    try:
        document = _envelope(text)
    except UNREADABLE as error:
        return _several_in_broken(text, str(error))
    if document.event_type:
        return ""
    return next(
        (f"an object with its events under `{name}`" for name in _ENVELOPES if _OBJECTS.match(getattr(document, name))),
        "",
    )


def _several_in_broken(text: bytes, error: str) -> str:
    if text.lstrip(BLANK).startswith(b"["):
        return "an array within the array or line" if b"{" in text else ""
    if (trailing := _TRAILING.search(error)) and b"{" in text[int(trailing[1]) :]:
        return "several JSON texts in a row"
    if sum(map(text.count, (*MARKS, b"}", b"\\"))) > _MOST_MARKS_OF_ONE:
        return "not JSON, and has too many strings and brackets to be examined"
    if _IN_A_ROW.match(text):
        return "several JSON texts in a row"
    # The events in an envelope have types; the envelope has none.
    end = text.find(_TYPE_NAME)
    found = _ENVELOPE.search(text, 0, len(text) if end < 0 else end)
    return f"not JSON, and may contain events under `{found[1].decode()}`" if found else ""


def part_of_text(line: bytes) -> bool:
    """Return whether a line is only a part of a JSON text over several lines: brackets and commas, but not JSON."""
    return not line.translate(None, b"[]{}," + BLANK) and not is_json(line)
