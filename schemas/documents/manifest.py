"""The reading of a manifest, the document that makes what stands beside it in the store whole."""

import json
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from schemas.errors import Damaged, InvalidInput

Manifest = TypeVar("Manifest", bound=BaseModel)


def parsed(model: type[Manifest], what: str, known: int, name: str, text: bytes) -> Manifest:
    """Return the manifest in `text`, the object `name`, of `what`, such as "backup".

    Raises Damaged, or InvalidInput if its format is not the `known` one.
    """
    try:
        document: Any = json.loads(text)
        found = document.get("format") if isinstance(document, dict) else None
    except ValueError:
        raise Damaged(f"{name}: the manifest is damaged: it is no JSON") from None
    if found != known:
        raise InvalidInput(f"{name}: the {what}'s format is {found!r}, and this release reads format {known}")
    try:
        return model.model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise Damaged(f"{name}: the manifest is damaged: {place}: {first['msg']}") from None
