"""The registry as the stream sees it: which script belongs to which site and organisation."""

from collections.abc import Mapping
from typing import NamedTuple


class Script(NamedTuple):
    """A registered script; a disabled one counts as unknown."""

    script_id: str
    site_id: int
    org_id: int | None
    enabled: bool


Registry = Mapping[str, Script]
