"""The registry for the stream: the site and organisation of each script."""

from collections.abc import Mapping
from typing import NamedTuple


class Script(NamedTuple):
    """A registered script. A disabled one is treated like an unknown one.

    With `shared_ids`, an event id is one event for all sender classes, and a server's event replaces a visitor's.
    Without it, each class has its own name space of ids. Events of a `paused` script wait until it is resumed.
    """

    script_id: str
    site_id: int
    org_id: int | None
    enabled: bool
    shared_ids: bool = False
    paused: bool = False


Registry = Mapping[str, Script]
