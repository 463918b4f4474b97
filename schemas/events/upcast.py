"""Upcasters: each schema_version's document is turned into version 1's fields, from which the event is normalised.

To add a third version, write `_from_3` and add its line to UPCASTERS; nothing else knows of versions.
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
    """`amount` was `value`; `page` holds `url` and `referrer`. What else stands in `page` stays there, as extra."""
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
"""For each version, its document in version 1's fields, and what bears one of their names without being it."""


def upcast(document: Document, version: int = 1) -> Document:
    """The document in version 1's fields, its unknown ones moved to `properties._extra`; raises KeyError.

    Where the properties are no object there is no place for the unknown ones, and the contract refuses it anyway.
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
