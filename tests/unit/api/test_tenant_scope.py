"""The tenant scope: a caller's filter never selects another organisation's dead letters."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from support.events.dead_letters import dropped
from support.events.selecting import selects

from bridge.api.authentication import Caller
from bridge.api.tenant_scope import TenantScope
from schemas.api_token import Role
from schemas.documents.dead_letter_filter import DeadLetterFilter

ORGS = st.sampled_from([1, 2, 3])


def scope(org_id: int | None) -> TenantScope:
    nothing: Any = None
    return TenantScope(nothing, nothing, Caller("alice", "k", Role.VIEWER, org_id, None))


@given(
    mine=ORGS,
    asked=st.none() | st.lists(ORGS, max_size=3).map(tuple),
    org_id=st.none() | ORGS,
    site=st.none() | st.just((1,)),
)
def test_narrowed(mine: int, asked: tuple[int, ...] | None, org_id: int | None, site: tuple[int, ...] | None) -> None:
    """The narrowed filter selects the requested dead letters that belong to the caller's organisation."""
    chosen = DeadLetterFilter(org_ids=asked, site_id=site)
    row = dropped(1, org_id=org_id)
    assert selects(scope(mine).narrowed(chosen), row) == (selects(chosen, row) and org_id == mine)
    assert scope(None).narrowed(chosen) is chosen
