"""The canonical names of event types, regardless of their spelling, and the table of aliases."""

import re
from functools import lru_cache
from typing import Final

ALIASES: Final = {
    "pageview": "page_view",
    "page_viewed": "page_view",
    "view": "page_view",
    "clicked": "click",
    "tap": "click",
    "form_submitted": "form_submit",
    "formsubmit": "form_submit",
    "submit": "form_submit",
    "purchased": "purchase",
    "order": "purchase",
    "order_completed": "purchase",
    "checkout_completed": "purchase",
}
"""The names that are stored instead of these aliases, unless BRIDGE_EVENT_TYPE_ALIASES is false."""

# word boundaries such as in `addToCart` and `HTMLLoaded`
_NEXT_WORD = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", re.ASCII)


@lru_cache(maxsize=4096)
def canonical_type(event_type: str, aliases: bool = True) -> str:
    """Return the canonical name: words in lower case, joined by underscores, with aliases replaced."""
    words = _NEXT_WORD.sub(" ", event_type).lower().replace("-", " ").replace("_", " ").split()
    name = "_".join(words) or event_type
    return ALIASES.get(name, name) if aliases else name
