"""The order in which Postgres stores the names of a `jsonb` object: shorter names first, then by their bytes in UTF-8.

Postgres sorts names by a quicksort, which takes quadratic time for an order that a sender has chosen for this: 30 ms for
9,200 names, against 3 ms. It recognises sorted names in one pass.
"""

from typing import Final

import msgspec

FEW_NAMES: Final = 128
"""The quadratic time for this number of names is near the time for names in a usual order."""
_SHORTEST_MEMBER: Final = 5
_LENGTH_OF_FEW: Final = _SHORTEST_MEMBER * FEW_NAMES

_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_elements = msgspec.json.Decoder(list[msgspec.Raw]).decode
_encode = msgspec.json.encode


def sorted_names(text: str) -> str:
    """Return JSON with the names of each object in Postgres' order; the same text if it has at most FEW_NAMES names.

    Of equal names the last one is kept, as in `jsonb`. Numbers and texts stay as they are written. Each level of nesting
    is parsed again, so the time grows with the text's size times its nesting.
    """
    if len(text) <= _LENGTH_OF_FEW or text.count(":") <= FEW_NAMES:
        return text
    return str(_sorted(msgspec.Raw(text.encode())), "utf-8")


def _sorted(raw: msgspec.Raw) -> msgspec.Raw:
    """Return a JSON value with sorted names; the same object if it has few names."""
    text = bytes(raw)
    if len(text) <= _LENGTH_OF_FEW or text.count(b":") <= FEW_NAMES:
        return raw
    if text.startswith(b"{"):
        members = _members(text)
        # Texts are compared by code points, whose order is that of their bytes in UTF-8.
        names = sorted(members)
        names.sort(key=len if "".join(names).isascii() else _length)
        return msgspec.Raw(_encode({name: _sorted(members[name]) for name in names}))
    if text.startswith(b"["):
        return msgspec.Raw(_encode([_sorted(element) for element in _elements(text)]))
    return raw


def _length(name: str) -> int:
    return len(name.encode())
