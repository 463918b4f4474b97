"""Texts as they may be shown: what would move a terminal's cursor, change its colours or the order of letters is written out."""

import json
import re
import unicodedata
from typing import Any, Final

_CONTROL: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
# They join letters and the parts of an emoji, and do nothing else.
_JOINERS: Final = "\u200c\u200d"
_RUNS: Final = re.compile(r"[^\n -~]+")


def printable(text: str, *, keep: str = "") -> str:
    r"""The text with each character that is not printable written out, as `\x1b` or `\u202e`; `keep` is left as it is."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() or one in keep else one.encode("unicode_escape").decode() for one in text)


def encodable(text: str, encoding: str) -> str:
    r"""The text with each character that the encoding lacks written out, as `\xe9` or `\u20ac`."""
    return text if text.isascii() else text.encode(encoding, "backslashreplace").decode(encoding)


def printable_json(text: str, encoding: str = "utf-8") -> str:
    r"""JSON text of the same value, with characters that are not printable, or not in the encoding, as `\u202e`.

    Its line breaks are kept. JSON demands this of the characters below U+0020 only. Outside of strings no other
    characters occur.
    """
    if text.isascii() and text.isprintable():
        return text
    if encodable(text := _RUNS.sub(lambda run: _escaped(run[0]), text), encoding) != text:
        return _RUNS.sub(lambda run: "".join(map(_units, run[0])), text)
    return text


def printable_dumps(value: Any) -> str:
    """The value as one line of JSON without characters that are not printable, at a bounded cost for each character.

    Where there are any, all but ASCII is escaped. `printable_json` keeps what is printable, and is too slow for megabytes
    of a stranger's text.
    """
    text = json.dumps(value, ensure_ascii=False)
    # JSON lets DEL stand.
    return text if text.isprintable() else json.dumps(value).replace("\x7f", "\\u007f")


def control_character(text: str) -> str | None:
    """The first character that controls a terminal or the order of letters, as `U+001B`; None without one."""
    for one in text:
        if unicodedata.category(one) in _CONTROL and one not in _JOINERS:
            return f"U+{ord(one):04X}"
    return None


def _escaped(run: str) -> str:
    if run.isprintable():
        return run
    return "".join(one if one.isprintable() else _units(one) for one in run)


def _units(one: str) -> str:
    units = one.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))
