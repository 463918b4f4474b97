"""Upcasters: conversion of each schema_version's document to version 1's fields, which are then normalised.

To add a third version, write `_from_3` and add its line to UPCASTERS; no other code depends on versions.
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
    """Convert version 2: `amount` was `value`; `page` has `url` and `referrer`. Its other fields stay, as extra."""
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
"""For each version, a function to version 1's fields, and to fields with one of their names but another meaning."""


def upcast(document: Document, version: int = 1) -> Document:
    """Return the document in version 1's fields, with unknown ones in `properties._extra`; raises KeyError.

    If `properties` is no object, unknown fields are dropped, since the contract refuses the document anyway.
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
