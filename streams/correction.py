"""Corrections of a dead letter's value: operations on what the producer sent, and the diff that they make: pure."""

import re
from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

import jsonpatch
import jsonpointer
import msgspec

from schemas.errors import InvalidInput
from schemas.headers import EVENT_ID, SCRIPT_ID, SITE_ID
from schemas.raw_event import MAX_BYTES
from schemas.record import RawBody
from streams.expression import FORMS, MISSING, NotApplicable, Step, computing, looks_like_one, read_steps
from streams.json_source import Source
from streams.json_text import has_unsound_escape
from streams.line_diff import line_diff

_decode = msgspec.json.decode
_encode = msgspec.json.encode
_FIELD = re.compile(r"[^.=/~]+(\.[^.=/~]+)*")
_STATED_BY_THE_GATEWAY = {"site_id": SITE_ID, "script_id": SCRIPT_ID, "event_id": EVENT_ID}

COMPUTE: Final = "compute"
"""The operation that a JSON Patch does not have: `{"op": "compute", "path": "/value", "expression": "*0.01"}`."""

_LONGEST_LINE = 500

Operations = list[dict[str, Any]]


class CorrectionFailed(Exception):
    """The correction can't be applied to this value; the message says why."""


class _Compute:
    """An operation beyond those of RFC 6902: what `path` names becomes what `expression` makes of it."""

    def __init__(self, operation: dict[str, Any]) -> None:
        """Raises InvalidInput, or what the pointer raises."""
        path, expression = operation.get("path"), operation.get("expression")
        if not isinstance(path, str) or not path or not isinstance(expression, str):
            raise InvalidInput(f"{COMPUTE} takes the path of a field and an expression: {FORMS}")
        self._pointer = jsonpointer.JsonPointer(path)
        self._field = ".".join(self._pointer.parts)
        self._compute = computing(read_steps(expression))

    def apply(self, document: Any, *, in_place: bool) -> Any:
        """The document, which is changed; raises CorrectionFailed if the expression does not apply."""
        assert in_place  # noqa: S101  # as all steps are
        try:
            parent, part = self._pointer.to_last(document)
        except jsonpointer.JsonPointerException:
            raise CorrectionFailed(f"{self._field}: the object or array that holds it is missing") from None
        is_there = part in parent if isinstance(parent, dict) else isinstance(part, int) and part < len(parent)
        try:
            value = self._compute(parent[part] if is_there else MISSING)
        except NotApplicable as error:
            raise CorrectionFailed(f"{self._field}: {error}") from None
        if isinstance(parent, list) and not is_there:
            raise CorrectionFailed(f"{self._field}: the array has no such element")
        parent[part] = value
        return document


class Correction:
    """Operations of a JSON Patch, and those that compute; without any it leaves everything byte for byte as it is."""

    def __init__(self, operations: Operations) -> None:
        """Raises InvalidInput if they are none."""
        try:
            # As the plan stores them, so that what was looked at is what is sent.
            text = _encode(operations)
            self.operations: Operations = _decode(text)
            self._steps = [(_step(one), one.get("op") == "copy") for one in self.operations]
        except (
            jsonpatch.JsonPatchException, jsonpointer.JsonPointerException, TypeError, AttributeError,
            msgspec.MsgspecError, UnicodeEncodeError, RecursionError,
        ) as error:  # fmt: skip
            raise InvalidInput(f"not a JSON Patch (RFC 6902): {error}") from None
        if has_unsound_escape(text):
            raise InvalidInput("the corrections hold a NUL, which no stored text can")

    def __bool__(self) -> bool:
        return bool(self.operations)

    def apply(self, body: RawBody) -> RawBody:
        """The corrected body; raises CorrectionFailed, and then nothing of it is corrected.

        Where the gateway's headers state a field that is corrected, a header behind them states the new value: the last
        one wins, and those of the raw event stay.
        """
        if not self.operations:
            return body
        source = _source(body.value)
        document = self._applied(source)
        said = {name for name, _ in body.headers}
        touched = {str(one.get("path", "")).split("/")[1] for one in self.operations if "/" in str(one.get("path", ""))}
        restated = [
            (header, str(document[field]).encode())
            for field, header in _STATED_BY_THE_GATEWAY.items()
            if field in touched and header in said and document.get(field) is not None
        ]
        return RawBody(body.key, source.written(), [*body.headers, *restated])

    def _applied(self, source: Source) -> dict[str, Any]:
        try:
            for step, copies in self._steps:
                source.value = step.apply(source.value, in_place=True)
                # Each copy may double it.
                if copies and len(source.written()) > MAX_BYTES:
                    raise CorrectionFailed(f"a copy makes it larger than {MAX_BYTES} bytes")
        except RecursionError:
            raise CorrectionFailed("it is nested too deep to be corrected") from None
        except jsonpatch.JsonPatchTestFailed:
            raise CorrectionFailed("a test of the patch does not hold") from None
        except (jsonpatch.JsonPatchException, jsonpointer.JsonPointerException, TypeError) as error:
            # The library's text quotes the whole document.
            raise CorrectionFailed(f"the patch does not fit: {str(error).partition(' in {')[0][:120]}") from None
        if not isinstance(source.value, dict):
            raise CorrectionFailed("the patch leaves no JSON object")
        return source.value


def _step(operation: dict[str, Any]) -> Any:
    if operation.get("op") == COMPUTE:
        return _Compute(operation)
    # Its numbers are compared by value with those of an event.
    return jsonpatch.JsonPatch([Source(_encode(operation)).value])


class Diff(NamedTuple):
    """What a correction changes in one value, as lines of a unified diff."""

    provenance: str
    lines: Sequence[str]


def diff(provenance: str, before: bytes | None, after: bytes | None) -> Diff:
    """The two values as indented JSON, compared line by line; of a long one only the beginning."""
    old, new = _lines(before), _lines(after)
    return Diff(provenance, line_diff(old, new, "as it was sent", "as it would be sent"))


def read_correction(settings: Iterable[str], patch: bytes | None) -> Correction:
    """What `--set field=value` and the text of `--patch` ask for, the patch first; raises InvalidInput.

    A value is an expression if it looks like one, JSON if it can be read as such, else text.
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
    """The operation that sets a field, with points to reach into objects; raises InvalidInput."""
    return {"op": "add", "path": _path(field), "value": value}


def computed(field: str, expression: str) -> Operations:
    """The operations that compute a field by an expression, which may begin by move(FIELD) or copy(FIELD).

    Raises InvalidInput.
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
        raise InvalidInput(f"{step.text[:80]}: give the field that it takes: {step.name}(properties.plan)")
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
        raise CorrectionFailed("its value is not JSON, so no field of it can be corrected") from None
    if not isinstance(source.value, dict):
        raise CorrectionFailed("its value is no JSON object, so no field of it can be corrected")
    return source


def _lines(value: bytes | None) -> list[str]:
    try:
        text = msgspec.json.format(value or b"", indent=2).decode("utf-8", "replace")
    except (msgspec.MsgspecError, RecursionError):
        text = repr(value)
    return [one if len(one) <= _LONGEST_LINE else f"{one[:_LONGEST_LINE]}…" for one in text.splitlines()]
