"""Corrections of a dead letter's value: a JSON Patch, applied to what the producer sent, and shown as a diff: pure."""

import difflib
import re
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import jsonpatch
import jsonpointer
import msgspec

from schemas.errors import InvalidInput
from schemas.headers import EVENT_ID, SCRIPT_ID, SITE_ID
from schemas.raw_event import MAX_BYTES
from schemas.record import RawBody

# Numbers with a point or an exponent keep their text: what is not corrected must come out as it came in.
_decode = msgspec.json.Decoder(Any, float_hook=msgspec.Raw).decode
_encode = msgspec.json.encode
_FIELD = re.compile(r"[^.=/~]+(\.[^.=/~]+)*")
_STATED_BY_THE_GATEWAY = {"site_id": SITE_ID, "script_id": SCRIPT_ID, "event_id": EVENT_ID}

# What stands in a plan for people to look at. Lines of two long documents can take minutes to be compared.
_MOST_COMPARED = 2000
_MOST_SHOWN = 200
_LONGEST_LINE = 500

Operations = list[dict[str, Any]]


class CorrectionFailed(Exception):
    """The correction can't be applied to this value; the message says why."""


class Correction:
    """Operations of a JSON Patch, checked; without any it leaves everything byte for byte as it is."""

    def __init__(self, operations: Operations) -> None:
        try:
            self._steps = [(jsonpatch.JsonPatch([one]), one.get("op") == "copy") for one in operations]
        except (jsonpatch.JsonPatchException, jsonpointer.JsonPointerException, TypeError) as error:
            raise InvalidInput(f"not a JSON Patch (RFC 6902): {error}") from None
        self.operations = operations

    def __bool__(self) -> bool:
        return bool(self.operations)

    def apply(self, body: RawBody) -> RawBody:
        """The corrected body; raises CorrectionFailed.

        Where the gateway's headers state a field that is corrected, a header behind them states the new value: the last
        one wins, and those of the raw event stay.
        """
        if not self.operations:
            return body
        document = self._applied(_document(body.value))
        said = {name for name, _ in body.headers}
        touched = {str(one.get("path", "")).split("/")[1] for one in self.operations if "/" in str(one.get("path", ""))}
        restated = [
            (header, str(document[field]).encode())
            for field, header in _STATED_BY_THE_GATEWAY.items()
            if field in touched and header in said and document.get(field) is not None
        ]
        return RawBody(body.key, _encode(document), [*body.headers, *restated])

    def _applied(self, document: dict[str, Any]) -> dict[str, Any]:
        corrected: Any = document
        try:
            for step, copies in self._steps:
                corrected = step.apply(corrected, in_place=True)
                # Each copy may double it.
                if copies and len(_encode(corrected)) > MAX_BYTES:
                    raise CorrectionFailed(f"a copy makes it larger than {MAX_BYTES} bytes")
        except RecursionError:
            raise CorrectionFailed("it is nested too deep to be corrected") from None
        except jsonpatch.JsonPatchTestFailed:
            raise CorrectionFailed("a test of the patch does not hold") from None
        except (jsonpatch.JsonPatchException, jsonpointer.JsonPointerException, TypeError) as error:
            # The library's text quotes the whole document.
            raise CorrectionFailed(f"the patch does not fit: {str(error).partition(' in {')[0][:120]}") from None
        if not isinstance(corrected, dict):
            raise CorrectionFailed("the patch leaves no JSON object")
        return corrected


class Diff(NamedTuple):
    """What a correction changes in one value, as lines of a unified diff."""

    provenance: str
    lines: Sequence[str]


def diff(provenance: str, before: bytes | None, after: bytes | None) -> Diff:
    """The two values as indented JSON, compared line by line; of a long one only the beginning."""
    old, new = _lines(before), _lines(after)
    lines = list(
        difflib.unified_diff(
            old[:_MOST_COMPARED], new[:_MOST_COMPARED], "as it was sent", "as it would be sent", lineterm="", n=1
        )
    )
    if len(lines) > _MOST_SHOWN or max(len(old), len(new)) > _MOST_COMPARED:
        lines = [*lines[:_MOST_SHOWN], "… there is more of it than is compared here"]
    return Diff(provenance, lines)


def read_correction(settings: Iterable[str], patch: bytes | None) -> Correction:
    """What `--set field=value` and the text of `--patch` ask for, the patch first; raises InvalidInput.

    A value is JSON if it can be read as such, else text.
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
    operations += [_set(text) for text in settings]
    return Correction(operations)


def setting(field: str, value: Any) -> dict[str, Any]:
    """The operation that sets a field, with points to reach into objects; raises InvalidInput."""
    if not _FIELD.fullmatch(field):
        raise InvalidInput(f"{field[:80]!r} is not a field such as currency or properties.plan")
    return {"op": "add", "path": "/" + field.replace(".", "/"), "value": value}


def _set(text: str) -> dict[str, Any]:
    field, equals, value = text.partition("=")
    decoded: Any = value
    if not equals or not _FIELD.fullmatch(field):
        raise InvalidInput(f"--set: {text!r} is not FIELD=VALUE, such as currency=EUR or properties.plan=pro")
    try:
        decoded = _decode(value.encode())
    except UnicodeEncodeError:
        raise InvalidInput(f"--set: {field}: its value is not UTF-8") from None
    except (msgspec.MsgspecError, RecursionError):
        pass
    return setting(field, decoded)


def _document(value: bytes | None) -> dict[str, Any]:
    try:
        document = _decode(value or b"")
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise CorrectionFailed("its value is not JSON, so no field of it can be corrected") from None
    if not isinstance(document, dict):
        raise CorrectionFailed("its value is no JSON object, so no field of it can be corrected")
    return document


def _lines(value: bytes | None) -> list[str]:
    try:
        text = msgspec.json.format(value or b"", indent=2).decode("utf-8", "replace")
    except (msgspec.MsgspecError, RecursionError):
        text = repr(value)
    return [one if len(one) <= _LONGEST_LINE else f"{one[:_LONGEST_LINE]}…" for one in text.splitlines()]
