"""JSON text as Python values that keep their spelling: what is not changed is written byte for byte as it was: pure."""

import re
from decimal import Decimal, InvalidOperation
from typing import Any, Self

import msgspec

_decode = msgspec.json.decode
_encode = msgspec.json.encode
# Numbers that a double can't hold are JSON, too.
_check = msgspec.json.Decoder(Any, float_hook=msgspec.Raw).decode
_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*+"|[][{},:]|[^][{},:"\s]+', re.DOTALL)
_CONSTANTS = {b"true": True, b"false": False, b"null": None}


class Number(Decimal):
    """A number with its spelling; it equals any number of the same value."""

    text: str

    def __new__(cls, text: str) -> Self:
        """From a JSON number; raises decimal.InvalidOperation if its exponent is beyond any bound."""
        number = super().__new__(cls, text)
        number.text = text
        return number

    def __str__(self) -> str:
        return self.text

    def __deepcopy__(self, memo: object) -> "Number":
        return self


class Text(str):
    """A string with the token that spells it, quotes and escapes included."""

    __slots__ = ("token",)

    token: bytes

    def __deepcopy__(self, memo: object) -> "Text":
        return self


class _Member:
    """One place of a container as it was read: its value between the bytes before and after it, separators apart."""

    __slots__ = ("after", "before", "key", "value")

    def __init__(self, key: str | None, value: Any, before: bytes) -> None:
        self.key, self.value, self.before, self.after = key, value, before, b""


class Object(dict[str, Any]):
    """An object that knows its members in order, duplicate keys included; as a dict it has the last of each."""

    def __init__(self) -> None:
        super().__init__()
        self.members: list[_Member] = []
        self.gap = b""

    def add(self, member: _Member) -> None:
        """Appends a member as it was read."""
        assert member.key is not None  # noqa: S101  # the reader gives one
        self.members.append(member)
        self[member.key] = member.value


class Array(list[Any]):
    """An array that knows the white space around its elements."""

    def __init__(self) -> None:
        super().__init__()
        self.members: list[_Member] = []
        self.gap = b""

    def add(self, member: _Member) -> None:
        """Appends an element as it was read."""
        self.members.append(member)
        self.append(member.value)


class Source:
    """A JSON text and its value; `value` may be changed or replaced, `written` is the text of what it is then."""

    def __init__(self, text: bytes) -> None:
        """Raises msgspec.MsgspecError, UnicodeDecodeError or RecursionError if the text is not JSON."""
        _check(text)
        root = _read(text)
        (place,) = root.members
        self.value: Any = place.value
        self._around = place.before, place.after

    def written(self) -> bytes:
        """The text: of changed values as short as JSON is, of all others as it was read."""
        before, after = self._around
        return before + _written(self.value) + after


def _read(text: bytes) -> Array:
    """The values of a JSON text, which is valid, as elements of an array around it. Nesting takes no stack."""
    container: Object | Array = Array()
    above: list[Object | Array] = []
    key: str | None = None
    start = end = 0  # where the next member begins, and where the last value ended
    for found in _TOKEN.finditer(text):
        token, at = found[0], found.start()
        if token in b"]},":
            if container.members:
                container.members[-1].after = text[end:at]
            if token == b",":
                start = found.end()
            else:
                container.gap = b"" if container.members else text[start:at]
                container, end = above.pop(), found.end()
            key = None
        elif token == b":":
            pass
        elif isinstance(container, Object) and key is None:
            key = str(_leaf(token))
        else:
            value = Object() if token == b"{" else Array() if token == b"[" else _leaf(token)
            container.add(_Member(key, value, text[start:at]))
            end = found.end()
            if isinstance(value, Object | Array):
                above.append(container)
                container, key, start = value, None, end
    container.members[-1].after = text[end:]
    assert isinstance(container, Array)  # noqa: S101  # the one around the text
    return container


def _leaf(token: bytes) -> Any:
    if token[:1] == b'"':
        text = Text(_decode(token))
        text.token = token
        return text
    if token in _CONSTANTS:
        return _CONSTANTS[token]
    try:
        return Number(token.decode())
    except InvalidOperation:
        return msgspec.Raw(token)


def _written(value: Any) -> bytes:
    done: list[bytes] = []
    left = [value]
    while left:
        one = left.pop()
        if isinstance(one, bytes):
            done.append(one)
        elif isinstance(one, dict):
            left += reversed(_pieces(b"{", _members(one), b"}", one))
        elif isinstance(one, list):
            left += reversed(_pieces(b"[", _elements(one), b"]", one))
        elif isinstance(one, Text):
            done.append(one.token)
        else:
            done.append(one.text.encode() if isinstance(one, Number) else _encode(one))
    return b"".join(done)


def _pieces(opening: bytes, places: list[tuple[bytes, Any, bytes]], closing: bytes, container: Any) -> list[Any]:
    pieces: list[Any] = [opening, *(part for place in places for part in (*place, b","))]
    if places:
        pieces[-1] = closing
        return pieces
    return [opening, getattr(container, "gap", b""), closing]


def _members(container: dict[str, Any]) -> list[tuple[bytes, Any, bytes]]:
    """A key that was given several times stays so while its value, the last of them, is what was read."""
    read: list[_Member] = getattr(container, "members", [])
    last = {member.key: member for member in read}
    places = []
    for member in read:
        if member.key in container:
            value = container[member.key]
            if member is last[member.key]:
                places.append((member.before, value, member.after))
            elif value is last[member.key].value:
                places.append((member.before, member.value, member.after))
    new = ((_encode(key) + b":", value, b"") for key, value in container.items() if key not in last)
    return [*places, *new]


def _elements(container: list[Any]) -> list[tuple[bytes, Any, bytes]]:
    read: list[_Member] = getattr(container, "members", [])
    around = [(member.before, member.after) for member in read[: len(container)]]
    around += [(b"", b"")] * (len(container) - len(around))
    return [(before, value, after) for (before, after), value in zip(around, container, strict=True)]
