"""Corrections of a dead letter: operations that change the producer's JSON, and a diff of the result; pure."""

import re
from collections.abc import Callable, Iterable
from typing import Any, Final, NamedTuple, Protocol

import jsonpatch
import jsonpointer
import msgspec

from schemas.errors import InvalidInput
from schemas.events.raw_event import MAX_BYTES
from schemas.kafka.headers import EVENT_ID, SCRIPT_ID, SITE_ID
from schemas.pipeline.record import RawBody
from streams.pipeline.json_text import has_unsound_escape
from streams.rules.expression import FORMS, MISSING, NotApplicable, Step, computing, looks_like_one, read_steps
from streams.rules.json_source import Pieces, Source, equal, written
from streams.rules.line_diff import line_diff

_decode = msgspec.json.decode
_encode = msgspec.json.encode
_FIELD = re.compile(r"[^.=/~]+(\.[^.=/~]+)*")
_STATED_BY_THE_GATEWAY = {"site_id": SITE_ID, "script_id": SCRIPT_ID, "event_id": EVENT_ID}

COMPUTE: Final = "compute"
"""The operation that this product adds to JSON Patch: `{"op": "compute", "path": "/value", "expression": "*0.01"}`."""

_LONGEST_LINE = 500
_LONGEST_OLD: Final = 60
_MISSING: Final = b"missing"
_BYTES_OF_OLD: Final = 500
_COPIES_TOO_LARGE: Final = f"copies made by the patch, or the event with them, have more than {MAX_BYTES} bytes"

Operations = list[dict[str, Any]]


class CorrectionFailed(Exception):
    """The correction can't be applied to this event's JSON; the message has the reason."""


class Old(NamedTuple):
    """A value in the producer's JSON that a correction replaces.

    `text` is the beginning of its JSON text, or `missing`. `whole` is a hash of the whole text, which distinguishes
    long texts. `new` is the JSON text of the constant that replaces the value, None for a computed value.
    """

    field: str
    text: str
    whole: int
    new: str | None


class _Step(Protocol):
    """One operation of a correction, which changes an event's JSON."""

    def apply(self, source: Source) -> Pieces[int]:
        """Change the value by this operation; return the number of bytes copied.

        Raises CorrectionFailed or jsonpatch's errors.
        """


class _Patch:
    """One of the JSON Patch operations add, remove, replace or move.

    The cost does not depend on the size of the value that the operation sets or moves.
    """

    def __init__(self, operation: dict[str, Any]) -> None:
        """Raises the errors of jsonpatch and jsonpointer."""
        if "value" in operation:
            operation = {**operation, "value": Source(_encode(operation["value"])).value}
        self._patch = jsonpatch.JsonPatch([operation])
        self._pointers = [jsonpointer.JsonPointer(operation[name]) for name in ("path", "from") if name in operation]

    def apply(self, source: Source) -> Pieces[int]:
        for pointer in self._pointers:
            yield from source.look(pointer.parts[:-1])
        source.value = self._patch.apply(source.value, in_place=True)
        return 0


class _Copy:
    """The JSON Patch operation `copy`.

    Only this operation can make an event larger than the event and the correction together. A copied array or object
    stays text until an operation reads it.
    """

    def __init__(self, operation: dict[str, Any]) -> None:
        """Raises InvalidInput, or the errors of jsonpatch and jsonpointer."""
        jsonpatch.JsonPatch([operation])
        self._origin = jsonpointer.JsonPointer(_needed(operation, "from"))
        self._path = operation["path"]

    def apply(self, source: Source) -> Pieces[int]:
        yield from source.look(self._origin.parts)
        value = self._origin.resolve(source.value)
        if isinstance(value, jsonpointer.EndOfList):
            raise jsonpointer.JsonPointerException("the value to copy is missing")
        text = yield from written(value)
        # A copy that is too large is not inserted; the caller raises the error.
        if len(text) <= MAX_BYTES:
            yield from _Patch({"op": "add", "path": self._path, "value": msgspec.Raw(text)}).apply(source)
        return len(text)


class _Test:
    """The JSON Patch operation `test`: the correction fails unless a field has the given value."""

    def __init__(self, operation: dict[str, Any]) -> None:
        """Raises InvalidInput, or the errors of jsonpatch and jsonpointer."""
        jsonpatch.JsonPatch([operation])
        self._pointer = jsonpointer.JsonPointer(operation["path"])
        self._expected = Source(_encode(_needed(operation, "value"))).value

    def apply(self, source: Source) -> Pieces[int]:
        yield from source.look(self._pointer.parts)
        try:
            same = yield from equal(self._pointer.resolve(source.value), self._expected)
        except jsonpointer.JsonPointerException:
            same = False
        if not same:
            raise CorrectionFailed("a test of the patch does not hold: the value differs from the expected one")
        return 0


class _Compute:
    """The operation `compute`, which RFC 6902 does not have.

    It sets the field at `path` to the result of `expression`.
    """

    def __init__(self, operation: dict[str, Any]) -> None:
        """Raises InvalidInput, or jsonpointer's errors."""
        path, expression = operation.get("path"), operation.get("expression")
        if not isinstance(path, str) or not path or not isinstance(expression, str):
            raise InvalidInput(f"{COMPUTE} takes the path of a field and an expression: {FORMS}")
        self._pointer = jsonpointer.JsonPointer(path)
        self._field = ".".join(self._pointer.parts)
        self._compute = computing(read_steps(expression))

    def apply(self, source: Source) -> Pieces[int]:
        yield from source.look(self._pointer.parts)
        try:
            parent, part = self._pointer.to_last(source.value)
        except jsonpointer.JsonPointerException:
            raise CorrectionFailed(f"{self._field}: the object or array that should contain it is missing") from None
        is_there = part in parent if isinstance(parent, dict) else isinstance(part, int) and part < len(parent)
        try:
            value = self._compute(parent[part] if is_there else MISSING)
        except NotApplicable as error:
            raise CorrectionFailed(f"{self._field}: {error}") from None
        if isinstance(parent, list) and not is_there:
            raise CorrectionFailed(f"{self._field}: the array has no such element")
        parent[part] = value
        return 0


class Correction:
    """The operations that change an event's JSON: those of a JSON Patch, and computations.

    Without any operation the JSON stays the same, byte for byte.
    """

    def __init__(self, operations: Operations) -> None:
        """Raises InvalidInput for invalid operations."""
        try:
            # The operations are encoded and decoded, as when a plan stores them, so that preview and replay use the
            # same values.
            text = _encode(operations)
            self.operations: Operations = _decode(text)
            self._steps = [_STEPS.get(one.get("op"), _Patch)(one) for one in self.operations]
            copies = any(isinstance(one, _Copy) for one in self._steps)
            self.added: int = len(text) + len(self._steps) * _BYTES_OF_OLD + copies * MAX_BYTES
        except (
            jsonpatch.JsonPatchException, jsonpointer.JsonPointerException, TypeError, AttributeError,
            msgspec.MsgspecError, UnicodeEncodeError, RecursionError,
        ) as error:  # fmt: skip
            raise InvalidInput(f"not a JSON Patch (RFC 6902): {error}") from None
        if has_unsound_escape(text):
            raise InvalidInput("the corrections contain a NUL, which Postgres' text can't")

    def __bool__(self) -> bool:
        return bool(self.operations)

    def apply(self, body: RawBody) -> Pieces[RawBody]:
        """Return the corrected raw event; a generator that yields between pieces of work.

        If a gateway header states the value of a corrected field, another header with the new value is appended. The
        last header of a name applies, and the raw event's headers stay. Raises CorrectionFailed if an operation fails.
        Nothing is corrected then.
        """
        if not self.operations:
            return body
        source = _source(body.value)
        value = yield from self._applied(source)
        document = source.value
        said = {name for name, _ in body.headers}
        touched = {str(one.get("path", "")).split("/")[1] for one in self.operations if "/" in str(one.get("path", ""))}
        restated = [
            (header, str(document[field]).encode())
            for field, header in _STATED_BY_THE_GATEWAY.items()
            if field in touched and header in said and field in document and document[field] is not None
        ]
        return RawBody(body.key, value, [*body.headers, *restated])

    def replaced(self, body: RawBody) -> Pieces[tuple[Old, ...]]:
        """Return the producer's values that the operations change. The event must be one that can be corrected.

        A generator that yields between pieces of work.
        """
        source = _source(body.value)
        found: list[Old] = []
        for one in self.operations:
            pointer = jsonpointer.JsonPointer(one["path"])
            if one["op"] not in ("add", "replace", COMPUTE) or not pointer.parts:
                continue
            yield from source.look(pointer.parts)
            old = yield from _held(pointer, source.value, inserted=one["op"] == "add")
            new = _encode(one["value"]) if "value" in one else None
            if old is not None and old != new:
                field = ".".join(pointer.parts)
                found.append(Old(field, _cut(old), hash(old), None if new is None else _cut(new)))
        return tuple(found)

    def _applied(self, source: Source) -> Pieces[bytes]:
        copied = 0
        try:
            for step in self._steps:
                copied += yield from step.apply(source)
                # Each copy may double the size, so the size is checked after each.
                if copied > MAX_BYTES:
                    raise CorrectionFailed(_COPIES_TOO_LARGE)
                yield
        except (jsonpatch.JsonPatchException, jsonpointer.JsonPointerException, TypeError) as error:
            # The library's message continues with the whole document, which is cut off.
            raise CorrectionFailed(f"the patch does not fit: {str(error).partition(' in {')[0][:120]}") from None
        yield from source.look(())
        if not isinstance(source.value, dict):
            raise CorrectionFailed("the result of the patch is not a JSON object")
        text = yield from source.written()
        if copied and len(text) > MAX_BYTES:
            raise CorrectionFailed(_COPIES_TOO_LARGE)
        return text


_STEPS: Final[dict[Any, Callable[[dict[str, Any]], _Step]]] = {COMPUTE: _Compute, "copy": _Copy, "test": _Test}


def _needed(operation: dict[str, Any], name: str) -> Any:
    if name not in operation:
        raise InvalidInput(f"the operation {operation['op']} of a JSON Patch needs a {name!r}")
    return operation[name]


def _held(pointer: jsonpointer.JsonPointer, value: Any, *, inserted: bool) -> Pieces[bytes | None]:
    """Return the JSON text at the pointer; None if the operation replaces nothing there.

    Nothing is replaced, for example, when an array's element is `inserted`.
    """
    try:
        parent, part = pointer.to_last(value)
    except jsonpointer.JsonPointerException:
        return _MISSING
    if isinstance(parent, dict):
        return (yield from written(parent[part])) if part in parent else _MISSING
    if inserted or not isinstance(parent, list) or not isinstance(part, int) or part >= len(parent):
        return None
    return (yield from written(parent[part]))


def _cut(text: bytes) -> str:
    shown = text.decode("utf-8", "replace")
    return shown if len(shown) <= _LONGEST_OLD else f"{shown[:_LONGEST_OLD]}…"


def diff(before: bytes | None, after: bytes | None) -> list[str]:
    """Return the changes that a correction makes to one event's JSON, as lines of a unified diff.

    The values are compared line by line, in indented form. Of a long value only the beginning is compared.
    """
    return line_diff(_lines(before), _lines(after), "as it was sent", "as it would be sent")


def read_correction(settings: Iterable[str], patch: bytes | None) -> Correction:
    """Return the correction that the options `--set field=value` and the JSON Patch of `--patch` describe.

    The patch is applied first. A value of `--set` is read as an expression if it has the form of one, else as JSON,
    else as text. Raises InvalidInput.
    """
    operations: Operations = []
    if patch is not None:
        try:
            decoded = _decode(patch)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise InvalidInput(f"--patch: not JSON: {error}") from None
        if not isinstance(decoded, list):
            raise InvalidInput("--patch: not a JSON Patch (RFC 6902): a list of operations is expected")
        operations += decoded
    operations += [one for text in settings for one in _set(text)]
    return Correction(operations)


def setting(field: str, value: Any) -> dict[str, Any]:
    """Return the operation that sets a field to a constant.

    Points in the field separate nested names. Raises InvalidInput.
    """
    return {"op": "add", "path": _path(field), "value": value}


def computed(field: str, expression: str) -> Operations:
    """Return the operations that set a field to the result of an expression.

    The expression may begin with move(FIELD) or copy(FIELD), which take the value from another field. Raises
    InvalidInput.
    """
    try:
        path, steps = _path(field), read_steps(expression)
        operations: Operations = []
        if steps[0].name in ("move", "copy"):
            origin = steps.pop(0)
            operations.append({"op": origin.name, "from": _path(_named(origin)), "path": path})
        computing(steps)
    except InvalidInput as error:
        raise InvalidInput(f"{field[:80]}: {error}") from None
    if steps:
        rest = "|".join(step.text for step in steps)
        operations.append({"op": COMPUTE, "path": path, "expression": rest})
    return operations


def _named(step: Step) -> str:
    if not isinstance(step.argument, str):
        raise InvalidInput(
            f"{step.text[:80]}: name the field whose value it takes, for example {step.name}(properties.plan)"
        )
    return step.argument


def _path(field: str) -> str:
    if not _FIELD.fullmatch(field):
        raise InvalidInput(f"{field[:80]!r} is not a field such as currency or properties.plan")
    return "/" + field.replace(".", "/")


def _set(text: str) -> Operations:
    field, equals, value = text.partition("=")
    decoded: Any = value
    if not equals or not _FIELD.fullmatch(field):
        raise InvalidInput(f"--set: {text!r} is not FIELD=VALUE, such as currency=EUR or properties.plan=pro")
    if looks_like_one(value):
        try:
            return computed(field, value)
        except InvalidInput as error:
            raise InvalidInput(f"--set: {error}") from None
    try:
        decoded = _decode(value.encode())
    except UnicodeEncodeError:
        raise InvalidInput(f"--set: {field}: its value is not UTF-8") from None
    except (msgspec.MsgspecError, RecursionError):
        pass
    return [setting(field, decoded)]


def _source(value: bytes | None) -> Source:
    try:
        source = Source(value or b"")
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise CorrectionFailed("its value is not JSON, so it has no fields to correct") from None
    if not source.is_object:
        raise CorrectionFailed("its value is not a JSON object, so it has no fields to correct")
    return source


def _lines(value: bytes | None) -> list[str]:
    try:
        text = msgspec.json.format(value or b"", indent=2).decode("utf-8", "replace")
    except (msgspec.MsgspecError, RecursionError):
        text = repr(value)
    return [one if len(one) <= _LONGEST_LINE else f"{one[:_LONGEST_LINE]}…" for one in text.splitlines()]
