"""How much of a process's memory and places for requests one sender may use.

Visitors can't use the share of a server.
"""

from collections.abc import Hashable
from typing import Final

from bridge.gateway.admission import sender_turns as turns
from bridge.gateway.admission.access import Grant
from bridge.http.byte_budget import Shares
from schemas.pipeline.registry import Script
from schemas.pipeline.sender import Sender

OF_AN_ORGANISATION: Final = 1 / 4
OF_AN_ORGANISATION_LATE: Final = 1 / 2
OF_ALL_VISITORS: Final = 1 / 2
OF_A_SCRIPTS_VISITORS: Final = 1 / 8
OF_A_VISITORS_ADDRESS: Final = 1 / 16


def organisation_of(script: Script) -> Hashable:
    """Return the party that the script's servers are: its organisation, or the script alone if it has none."""
    return script.script_id if script.org_id is None else script.org_id


def turn_of(grant: Grant, address: str) -> turns.Path:
    """Return the sender as a path of names for its turns: sender class, organisation or address, script."""
    script_id = grant.script.script_id
    if grant.sender is Sender.SERVER:
        return Sender.SERVER, organisation_of(grant.script), script_id
    return Sender.VISITOR, address, script_id


def shares_of(grant: Grant, address: str, *, is_late: bool = False) -> Shares:
    """Return whose shares of the bytes in flight a request counts against, such as its script's, the smallest first.

    The share of an organisation's servers is twice as large while the gateway `is_late`.
    """
    script_id, org_id = grant.script.script_id, grant.script.org_id
    if grant.sender is Sender.SERVER:
        share = OF_AN_ORGANISATION_LATE if is_late else OF_AN_ORGANISATION
        own = ("script", script_id), share
        return (own,) if org_id is None else (own, (("organisation", org_id), share))
    return (
        (("address", address), OF_A_VISITORS_ADDRESS),
        (("visitors", script_id), OF_A_SCRIPTS_VISITORS),
        (("visitors",), OF_ALL_VISITORS),
    )
