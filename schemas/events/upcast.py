"""Upcasters, which convert the document of each schema_version to the fields of version 1. These are then normalised.

To add a third version, write `_from_3` and add its line to UPCASTERS. No other code depends on versions.
"""

from collections.abc import Callable
from typing import Any

from schemas.events.raw_event import RawEvent

Document = dict[str, Any]

_CONTRACT_FIELDS = frozenset(RawEvent.model_fields)
_NOT_IN_2 = ("value", "url", "referrer")


def _from_1(document: Document) -> tuple[Document, Document]:
    return document, {}


def _from_2(document: Document) -> tuple[Document, Document]:
    """Convert version 2: `amount` becomes `value`, and `url` and `referrer` are in `page`.

    Other fields stay, as extra ones.
    """
    fields = dict(document)
    extra = {name: fields.pop(name) for name in _NOT_IN_2 if name in fields}
    if "amount" in fields:
        fields["value"] = fields.pop("amount")
    page = fields.get("page")
    if isinstance(page, dict):
        rest = dict(page)
        for name in ("url", "referrer"):
            if name in rest:
                fields[name] = rest.pop(name)
        if rest:
            fields["page"] = rest
        else:
            del fields["page"]
    elif page in (None, []):
        fields.pop("page", None)
    return fields, extra


UPCASTERS: dict[int, Callable[[Document], tuple[Document, Document]]] = {1: _from_1, 2: _from_2}
"""For each version, a function that returns the fields of version 1, and those that have the name of one of these but
another meaning."""


def upcast(document: Document, version: int = 1) -> Document:
    """Return the document in the fields of version 1, with unknown fields in `properties._extra`; raises KeyError.

    If `properties` is not an object, unknown fields are dropped: the contract refuses the document anyway.
    """
    fields, extra = UPCASTERS[version](document)
    extra |= {name: field for name, field in fields.items() if name not in _CONTRACT_FIELDS}
    if not extra:
        return fields
    known = {name: field for name, field in fields.items() if name in _CONTRACT_FIELDS}
    properties = known.get("properties")
    if properties in (None, []):
        properties = {}
    if isinstance(properties, dict):
        if "_extra" in properties:
            extra["_extra"] = properties["_extra"]
        known["properties"] = {**properties, "_extra": extra}
    return known
