"""Escaping of characters that move a terminal's cursor, change its colours or reorder letters."""

import json
import re
import unicodedata
from typing import Any, Final

_CONTROL: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
# Zero-width joiners are harmless: they join letters, and the parts of an emoji.
_JOINERS: Final = "\u200c\u200d"
_RUNS: Final = re.compile(r"[^\n -~]+")


def printable(text: str, *, keep: str = "") -> str:
    r"""Escape each character that is not printable, as `\x1b` or `\u202e`, except those in `keep`."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() or one in keep else one.encode("unicode_escape").decode() for one in text)


def encodable(text: str, encoding: str) -> str:
    r"""Escape each character that the encoding can't represent, as `\xe9` or `\u20ac`."""
    return text if text.isascii() else text.encode(encoding, "backslashreplace").decode(encoding)


def printable_json(text: str, encoding: str = "utf-8") -> str:
    r"""Escape characters of JSON text that are not printable, or not in the encoding, as `\u202e`; the value stays the same.

    Line breaks stay. JSON requires escapes only below U+0020. The other unprintable characters occur only inside strings.
    """
    if text.isascii() and text.isprintable():
        return text
    if encodable(text := _RUNS.sub(lambda run: _escaped(run[0]), text), encoding) != text:
        return _RUNS.sub(lambda run: "".join(map(_units, run[0])), text)
    return text


def printable_dumps(value: Any) -> str:
    """Return the value as one line of JSON without unprintable characters, at a bounded cost for each character.

    If the text has unprintable characters, everything beyond ASCII is escaped. `printable_json` keeps printable
    characters, but is too slow for megabytes of untrusted text.
    """
    text = json.dumps(value, ensure_ascii=False)
    # JSON does not require DEL to be escaped.
    return text if text.isprintable() else json.dumps(value).replace("\x7f", "\\u007f")


def control_character(text: str) -> str | None:
    """Return the first character that controls a terminal or reorders letters, as `U+001B`; None without one."""
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
