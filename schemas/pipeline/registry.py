"""The registry of scripts (the sources of events), as the stream needs it: each script's site and organisation."""

from collections.abc import Mapping
from typing import NamedTuple


class Script(NamedTuple):
    """A registered script, which is a source of a site's events. A disabled script is treated like an unknown one.

    With `shared_ids`, an event id is one event for all sender classes, and a server's event replaces a visitor's.
    Without it, each class has its own name space of ids. Events of a `paused` script wait until the script is resumed.
    """

    script_id: str
    site_id: int
    org_id: int | None
    enabled: bool
    shared_ids: bool = False
    paused: bool = False


Registry = Mapping[str, Script]
