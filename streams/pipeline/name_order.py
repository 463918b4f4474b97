"""The order in which Postgres stores the names of a `jsonb` object: shorter names first, then by their bytes in UTF-8.

Postgres sorts names by a quicksort, which takes quadratic time for an order that a sender has chosen for this: 30 ms for
9,200 names, against 3 ms. It recognises sorted names in one pass.
"""

import json
from typing import Any, Final

import msgspec

FEW_NAMES: Final = 512
"""The quadratic time for this number of names is 0.18 ms, against 0.14 ms for names in a usual order."""
_SHORTEST_MEMBER: Final = 5
_LENGTH_OF_FEW: Final = _SHORTEST_MEMBER * FEW_NAMES


def sorted_names(text: str) -> str:
    """Return JSON with the names of each object in Postgres' order; the same text if it has at most FEW_NAMES names.

    An object of at most FEW_NAMES names stays as it is. Of equal names the last one is kept, as in `jsonb`. Numbers stay
    as they are written. The text is read once, however deep it is nested.
    """
    if len(text) <= _LENGTH_OF_FEW or text.count(":") <= FEW_NAMES:
        return text
    return msgspec.json.encode(_decode(text)).decode()


def _object(members: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(members)
    if len(found) <= FEW_NAMES:
        return found
    # Texts are compared by code points, whose order is that of their bytes in UTF-8.
    names = sorted(found)
    names.sort(key=len if "".join(names).isascii() else _length)
    return {name: found[name] for name in names}


def _length(name: str) -> int:
    return len(name.encode())


_decode = json.JSONDecoder(object_pairs_hook=_object, parse_float=msgspec.Raw, parse_int=msgspec.Raw).decode
