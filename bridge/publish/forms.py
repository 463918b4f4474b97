"""Forms of text that are no event: other formats, told by their first bytes, and texts that hold several events."""

import re
from typing import Final, NamedTuple

import msgspec

BLANK: Final = b" \t\r\n"
UNREADABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
# An unended string is one to the end of the text: so that it is not tried again from each of its escaped quotes.
STRING: Final = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?'
TEXT: Final = rb'[^"\[\]{}]++|' + STRING
SHALLOW: Final = rb"[\[{](?:" + TEXT + rb"|[\[{](?:" + TEXT + rb")*+[\]}])*+[\]}]"
"""What is nested once or twice."""
MARKS: Final = (b'"', b"[", b"{")
MOST_MARKS: Final = 128 * 1024
"""How many strings and brackets of an array that is no JSON are looked through."""
_MOST_MARKS_OF_ONE: Final = 64 * 1024
"""How many strings, escapes and brackets of one text are: no event that the stream takes has more bytes."""

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
    """A format by its name, and the shell command that makes UTF-8 text of it on its standard output."""

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
# JSON begins with a character of ASCII: without a mark, the zeros beside it show how wide characters are.
_ZEROS = {(1, 2, 3): _utf("32LE"), (0, 1, 2): _utf("32BE"), (1, 3): _utf("16LE"), (0, 2): _utf("16BE")}


def form_of(text: bytes) -> Form | None:
    """The format that the first bytes of a text show, if it is not UTF-8 text; brotli has no such mark."""
    head = text[:_LONGEST_MARK]
    for mark, form in _FORMS.items():
        if head.startswith(mark):
            return form
    return _ZEROS.get(tuple(place for place, byte in enumerate(head) if not byte))


def beginning_of(text: bytes) -> str:
    """What a text is that begins with no event, by its beginning."""
    text = text.lstrip(BLANK)
    if text.startswith(b"["):
        return "its array holds no object"
    if text.startswith(b'"'):
        return "it is JSON within a string: encode it once"
    if re.match(rb"[\w.%\[\]-]++=", text):
        return "it is a form: send the JSON itself, in no field"
    return f"it begins with {text[:1].decode('latin-1')!a}"


def is_json(text: bytes) -> bool:
    """Whether it is one JSON text."""
    try:
        _any(text)
    except UNREADABLE:
        return False
    return True


def several_in(text: bytes) -> str:
    """What shows that a text may hold several events where one is expected; empty if nothing does."""
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
        return "no JSON, with too many strings and brackets to be looked through"
    if _IN_A_ROW.match(text):
        return "several JSON texts in a row"
    # The events within an envelope have types, it has none.
    end = text.find(_TYPE_NAME)
    found = _ENVELOPE.search(text, 0, len(text) if end < 0 else end)
    return f"no JSON, and may hold events under `{found[1].decode()}`" if found else ""


def part_of_text(line: bytes) -> bool:
    """Whether a line is nothing but brackets and commas that are no JSON: of a text that is written over several lines."""
    return not line.translate(None, b"[]{}," + BLANK) and not is_json(line)
