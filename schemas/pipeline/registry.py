"""The registry as the stream sees it: which script belongs to which site and organisation."""

from collections.abc import Mapping
from typing import NamedTuple


class Script(NamedTuple):
    """A registered script; a disabled one counts as unknown.

    With `shared_ids` an event id is one event whoever sends it, and a visitor's yields to a server's; else each class
    of sender has its own name space. The events of a `paused` one wait until it is resumed.
    """

    script_id: str
    site_id: int
    org_id: int | None
    enabled: bool
    shared_ids: bool = False
    paused: bool = False


Registry = Mapping[str, Script]
