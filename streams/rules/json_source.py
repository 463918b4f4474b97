"""JSON text as Python values that keep their spelling: unchanged parts are written byte for byte as they were; pure.

A value stays text until an operation reads it. Functions whose work grows with the text are generators, which yield
after each piece of work.
"""

import re
from collections.abc import Generator, Iterator, Sequence
from decimal import Decimal, InvalidOperation
from itertools import zip_longest
from typing import Any, Final, Self, TypeVar

import msgspec

T = TypeVar("T")
Pieces = Generator[None, None, T]
"""Work in pieces of at most some milliseconds each. Its result is the generator's return value."""

_PIECE: Final = 1000
"""The number of values or brackets that one piece of work reads or writes."""

_decode = msgspec.json.decode
_encode = msgspec.json.encode
# Numbers that a double can't represent are valid JSON too.
_check = msgspec.json.Decoder(Any, float_hook=msgspec.Raw).decode
_STRING: Final = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
_LEAF_AND_AFTER: Final = rb'(?:(%s|[^][{},:"\s]++)(\s*+)[],}])?' % _STRING
_to_bracket = re.compile(rb'(?:[^][{}"]++|%s)*+[][{}]' % _STRING, re.DOTALL).match
_place_in_object = re.compile(rb"(\s*+(%s)\s*+:\s*+)" % _STRING + _LEAF_AND_AFTER, re.DOTALL).match
_place_in_array = re.compile(rb"(\s*+)()" + _LEAF_AND_AFTER, re.DOTALL).match
_space = re.compile(rb"\s*+").match
_is_index = re.compile("[0-9]{1,9}", re.ASCII).fullmatch
_NOTHING: Final = (b"", b"")
_CONSTANTS: Final = {b"true": True, b"false": False, b"null": None}


class _Kept:
    """A part of a JSON text, which is not changed, so that a deep copy of it is the part itself."""

    __slots__ = ()

    def __deepcopy__(self, memo: object) -> Self:
        return self


class Number(_Kept, Decimal):
    """A number that keeps its spelling in the JSON text. It equals every number of the same value."""

    text: str

    def __new__(cls, text: str) -> Self:
        """Create a number from JSON text. Raises decimal.InvalidOperation if `Decimal` can't represent the exponent."""
        number = super().__new__(cls, text)
        number.text = text
        return number

    def __str__(self) -> str:
        return self.text


class Text(_Kept, str):
    """A string that keeps its JSON text, including quotes and escapes."""

    __slots__ = ("token",)

    token: bytes


class _Member:
    """One member of a JSON object: its value, and the original bytes before and after the value without separators."""

    __slots__ = ("after", "before", "value")

    def __init__(self, value: Any, before: bytes, after: bytes) -> None:
        self.value, self.before, self.after = value, before, after


class Object(dict[str, Any]):
    """A JSON object with its members in their order, including repeated keys. As a dict it has each key's last value.

    Values stay text until accessed. Values that are arrays or objects are Unread until an operation needs their
    members.
    """

    def __init__(self) -> None:
        super().__init__()
        self.members: list[tuple[str, _Member]] = []
        self.last: dict[str, _Member] = {}
        self.gap = b""

    def add(self, key: str, member: _Member) -> None:
        """Append a member as it was read."""
        self.members.append((key, member))
        self.last[key] = member
        self[key] = member.value

    def keep(self, key: str, value: Any) -> None:
        """Store the value that was read from a member's text in place of this text."""
        if (read := self.last.get(key)) is not None and read.value is dict.get(self, key):
            read.value = value
        self[key] = value

    def __getitem__(self, key: str) -> Any:
        value = super().__getitem__(key)
        if isinstance(value, bytes):
            value = _leaf(value)
            self.keep(key, value)
        return value


class Array(list[Any]):
    """A JSON array that keeps the white space around its elements. The elements stay text until they are accessed."""

    def __init__(self, *values: Any) -> None:
        super().__init__(values)
        self.around: list[tuple[bytes, bytes]] = []
        self.gap = b""

    def keep(self, index: int, value: Any) -> None:
        """Store the value that was read from an element's text in place of this text."""
        self[index] = value

    def __getitem__(self, index: Any) -> Any:
        value = super().__getitem__(index)
        if isinstance(value, bytes):
            value = self[index] = _leaf(value)
        return value


class _Whole:
    """A JSON text, with an index that has the end of each array and object by its start."""

    def __init__(self, text: bytes) -> None:
        self.text = text
        self.ends: dict[int, int] | None = None

    def index(self) -> Pieces[dict[int, int]]:
        """Return the end of each array and object by its start. The index is computed once, without recursion."""
        if self.ends is None:
            ends: dict[int, int] = {}
            open_: list[int] = []
            end = 0
            while (found := _to_bracket(self.text, end)) is not None:
                end = found.end()
                if self.text[end - 1] in b"[{":
                    open_.append(end - 1)
                else:
                    ends[open_.pop()] = end
                    if not len(ends) % _PIECE:
                        yield
            self.ends = ends
        return self.ends


class Unread(_Kept):
    """An array or object that has not been read yet. It is known only as a part of a JSON text."""

    __slots__ = ("_end", "_start", "_whole")

    def __init__(self, whole: _Whole, start: int, end: int) -> None:
        self._whole, self._start, self._end = whole, start, end

    @property
    def text(self) -> bytes:
        """The JSON text."""
        return self._whole.text[self._start : self._end]

    def read(self) -> Pieces[Object | Array]:
        """Return a new container with the members of this array or object.

        Those that are arrays or objects are Unread.
        """
        whole, end = self._whole, self._end
        ends = yield from whole.index()
        text = whole.text
        container: Object | Array = Object() if text[self._start] == b"{"[0] else Array()
        place = _place_in_object if isinstance(container, Object) else _place_in_array
        at = _space(text, self._start + 1).end()  # type: ignore[union-attr]  # never None, as the pattern also matches the empty text
        if at == end - 1:
            container.gap, at = text[self._start + 1 : at], end
        else:
            at = self._start + 1
        count = 0
        while at < end:
            found = place(text, at)
            assert found is not None  # noqa: S101  # the text was checked
            before, key, value, after = found.groups()
            at = found.end()
            if value is None:
                value = Unread(whole, at, ends[at])
                behind = _space(text, ends[at])
                after, at = behind[0], behind.end() + 1  # type: ignore[index,union-attr]
            if isinstance(container, Object):
                container.add(str(_decode(key)), _Member(value, before, after))
            else:
                container.append(value)
                container.around.append((before, after) if before or after else _NOTHING)
            count += 1
            if not count % _PIECE:
                yield
        return container


class Source:
    """A JSON text and its value. Callers may change or replace `value`; `written` returns the text that results."""

    def __init__(self, text: bytes) -> None:
        """Raises msgspec.MsgspecError, UnicodeDecodeError or RecursionError if the text is not JSON."""
        _check(text)
        inner = text.strip()
        start = text.find(inner)
        self._around = text[:start], text[start + len(inner) :]
        self._root = Array(Unread(_Whole(inner), 0, len(inner)) if inner[:1] in (b"[", b"{") else inner)

    @property
    def is_object(self) -> bool:
        """Whether the value of the JSON text is an object. It may be still unread."""
        return isinstance(self.value, Object) or (isinstance(self.value, Unread) and self.value.text[:1] == b"{")

    @property
    def value(self) -> Any:
        """The current value of the JSON text. It is Unread for an array or object that has not been read."""
        return self._root[0]

    @value.setter
    def value(self, value: Any) -> None:
        self._root[0] = value

    def look(self, parts: Sequence[str]) -> Pieces[None]:
        """Read the arrays and objects along a JSON pointer, and the pointer's target, as far as they exist."""
        container: Any = self._root
        key: Any = 0
        for part in parts:
            container = yield from _inside(container, key)
            key = _place(container, part)
            if key is None:
                return
        yield from _inside(container, key)

    def written(self) -> Pieces[bytes]:
        """Return the JSON text with all changes.

        Changed values have the shortest form; other parts keep their bytes.
        """
        before, after = self._around
        return before + (yield from written(self._root[0])) + after


def equal(one: Any, other: Any) -> Pieces[bool]:
    """Return whether two values are equal by RFC 6902: numbers by value, objects regardless of member order."""
    count = 0
    left: list[tuple[Any, Any, Iterator[Any]]] = [(Array(one), Array(other), iter((0,)))]
    while left:
        container, another, keys = left[-1]
        for key in keys:
            count += 1
            if not count % _PIECE:
                yield
            one, other = container[key], another[key]
            if isinstance(one, Unread):
                one = yield from _inside(container, key)
            if isinstance(other, Unread):
                other = yield from _inside(another, key)
            if isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys():
                left.append((one, other, iter(one)))
                break
            if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
                left.append((one, other, iter(range(len(one)))))
                break
            # In Python, True equals 1. Containers with different sizes or keys are not equal.
            if isinstance(one, bool) is not isinstance(other, bool) or one != other:
                return False
        else:
            left.pop()
    return True


def written(value: Any) -> Pieces[bytes]:
    """Return the JSON text of one value, without recursion."""
    done: list[bytes] = []
    left: list[Iterator[Any]] = [iter((value,))]
    while left:
        for one in left[-1]:
            if isinstance(one, Object | Array):
                left.append(_members(one) if isinstance(one, Object) else _elements(one))
                break
            done.append(one if isinstance(one, bytes) else _text(one))
            if not len(done) % _PIECE:
                yield
        else:
            left.pop()
    return b"".join(done)


def _inside(container: Any, key: Any) -> Pieces[Any]:
    """Return a container's value at `key`. An array or object is read first, and the result stored in the container."""
    value = container[key]
    if isinstance(value, Unread):
        value = yield from value.read()
        container.keep(key, value)
    return value


def _place(container: Any, part: str) -> Any:
    """Return the key or index for one part of a JSON pointer; None if the container has no such member."""
    if isinstance(container, Object):
        return part if part in container else None
    if isinstance(container, Array) and _is_index(part) and int(part) < len(container):
        return int(part)
    return None


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


def _text(value: Any) -> bytes:
    if isinstance(value, Text):
        return value.token
    if isinstance(value, Unread):
        return value.text
    return value.text.encode() if isinstance(value, Number) else _encode(value)


def _members(container: Object) -> Iterator[Any]:
    """Yield the parts of a JSON object's text.

    Members with a repeated key are kept if the key's last value has not been changed.
    """
    separator = b"{"
    for key, member in container.members:
        if key not in container:
            continue
        value, last = dict.get(container, key), container.last[key]
        if member is not last:
            if value is not last.value:
                continue
            value = member.value
        yield separator + member.before
        yield value
        yield member.after
        separator = b","
    for key, value in container.items():
        if key not in container.last:
            yield separator + _encode(key) + b":"
            yield value
            separator = b","
    yield b"}" if separator == b"," else b"{" + container.gap + b"}"


def _elements(container: Array) -> Iterator[Any]:
    separator = b"["
    for (before, after), value in zip_longest(container.around[: len(container)], container, fillvalue=_NOTHING):
        yield separator + before
        yield value
        yield after
        separator = b","
    yield b"]" if separator == b"," else b"[" + container.gap + b"]"
