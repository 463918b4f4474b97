"""Upcasters: each schema_version's document is turned into version 1's fields, from which the event is normalised.

To add a third version, write `_from_3` and add its line to UPCASTERS; nothing else knows of versions.
"""

from collections.abc import Callable
from typing import Any

from schemas.raw_event import RawEvent

Document = dict[str, Any]

_CONTRACT_FIELDS = frozenset(RawEvent.model_fields)


def _from_2(document: Document) -> Document:
    """`amount` was `value`; `page` holds `url` and `referrer`. What else stands in `page` stays there, as extra."""
    fields = dict(document)
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
    elif page is None:
        fields.pop("page", None)
    return fields


UPCASTERS: dict[int, Callable[[Document], Document]] = {1: lambda document: document, 2: _from_2}


def with_extra(document: Document) -> Document:
    """The document with its unknown fields moved to `properties._extra`; as it is if its properties are no object."""
    extra = {name: field for name, field in document.items() if name not in _CONTRACT_FIELDS}
    if not extra:
        return document
    properties = document.get("properties")
    if properties is None:
        properties = {}
    if not isinstance(properties, dict):
        return {name: field for name, field in document.items() if name in _CONTRACT_FIELDS}
    if "_extra" in properties:
        extra["_extra"] = properties["_extra"]
    known = {name: field for name, field in document.items() if name in _CONTRACT_FIELDS}
    known["properties"] = {**properties, "_extra": extra}
    return known
