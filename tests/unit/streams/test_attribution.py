"""The owner of a refused event: each class of refusal, each claim of the document, each way in."""

import json
from typing import Any

import pytest
from support.events.making import NOW_MS, batch, context, document, judged, process, record
from support.events.sealed import gateway_headers, legacy_headers

from schemas.pipeline.outcome import Failure
from schemas.pipeline.sender import Sender
from schemas.reasons import ErrorClass
from streams.pipeline.identity import identify, site_of_key
from streams.pipeline.trust import GatewayTrust

OWN = {"site_id": 1, "script_id": "shop"}
FOREIGN = {"site_id": 2, "script_id": "blog"}
NONE = {"site_id": ..., "script_id": ...}
REFUSALS: dict[str, dict[str, Any]] = {
    "schema_violation": {"event_type": ""},
    "text with a NUL": {"url": "https://a.test/\0"},
    "a time out of bounds": {"occurred_at": 1},
    "another version": {"schema_version": 99},
    "an id that is none": {"event_id": ""},
}
UNREADABLE = {
    "not JSON": b"{",
    "no object": b"[]",
    "not UTF-8": b'{"event_id":"\xff"}',
    "nested too deep": b'{"a":' + b"[" * 40 + b"]" * 40 + b"}",
}
VALUES = [
    pytest.param(json.dumps(document(**{**claim, **flaw})).encode(), claim, id=f"{name}, {whose}")
    for name, flaw in REFUSALS.items()
    for whose, claim in (("own", OWN), ("foreign", FOREIGN), ("none", NONE))
] + [pytest.param(value, NONE, id=name) for name, value in UNREADABLE.items()]


def refused(value: bytes, headers: Any = (), key: bytes | None = None) -> Failure:
    (failure,) = judged(record(0, value, headers=headers, key=key)).failures
    return failure


@pytest.mark.parametrize("sender", [Sender.VISITOR, Sender.SERVER])
@pytest.mark.parametrize(("value", "claim"), VALUES)
def test_a_refused_event_is_of_the_site_that_the_gateway_proves(value: bytes, claim: Any, sender: Sender) -> None:
    """Ledger and window use the proven site; the document's claim stays in the error."""
    failure = refused(value, gateway_headers(value, sender=sender))

    assert (failure.site_id, failure.script_id, failure.window_site_id) == (1, "shop", 1)
    assert failure.sender is sender
    assert ("; the event claims site_id 2, script_id 'blog'" in failure.error) == (claim is FOREIGN)


@pytest.mark.parametrize(("value", "claim"), VALUES)
def test_a_direct_producers_refused_event_is_whose_the_document_says(value: bytes, claim: Any) -> None:
    """Otherwise the record key names the site, or the event has no owner."""
    own, keyed = refused(value), refused(value, key=b"2:e-1")

    site = {id(OWN): 1, id(FOREIGN): 2}.get(id(claim))
    assert (own.site_id, own.window_site_id) == (site, site or 0)
    assert (keyed.site_id, keyed.window_site_id) == (site or 2, site or 2)
    assert own.sender is Sender.DIRECT


@pytest.mark.parametrize(("value", "claim"), VALUES)
def test_forged_headers_gain_nothing(value: bytes, claim: Any) -> None:
    """The event is as direct as without them, and the record is counted."""
    forged = gateway_headers(b"another value", site_id=2, script_id="blog")
    outcomes = judged(record(0, value, headers=forged, key=None))
    (failure,) = outcomes.failures

    plain = refused(value)
    assert (failure.site_id, failure.script_id, failure.window_site_id) == (
        plain.site_id, plain.script_id, plain.window_site_id,
    )  # fmt: skip
    assert failure.sender is Sender.DIRECT
    assert sum(outcomes.unproven.values()) == 1


def test_a_good_event_bears_its_class() -> None:
    """The row's column `sender` holds the class."""
    value = record().value
    for sender in (Sender.VISITOR, Sender.SERVER):
        (candidate,) = judged(record(0, value, headers=gateway_headers(value, sender=sender))).candidates
        assert candidate.event.sender is sender
    assert judged(record()).candidates[0].event.sender is Sender.DIRECT


def test_an_event_for_another_site_is_refused_and_stays_the_senders() -> None:
    """A valid event with another tenant's script is a violation of its own sender."""
    value = json.dumps(document(**FOREIGN)).encode()
    failure = refused(value, gateway_headers(value, sender=Sender.VISITOR))

    assert (failure.error_class, failure.site_id, failure.window_site_id) == (ErrorClass.SCHEMA_VIOLATION, 1, 1)
    assert failure.error == (
        "site_id: differs from the header bridge-site-id; script_id: differs from the header bridge-script-id; "
        "the event claims site_id 2, script_id 'blog'"
    )


def test_the_assigned_id_is_kept_where_the_document_has_none() -> None:
    """The event's own id comes first; a body that is no JSON has only the assigned one."""
    assert refused(b"{", gateway_headers(b"{", event_id="given")).event_id == "given"
    value = json.dumps(document(event_type="")).encode()
    assert refused(value, gateway_headers(value, event_id="given")).event_id == "e-1"


def test_a_refused_event_older_than_proofs_is_its_gateways_for_a_time() -> None:
    """The previous release's worker would have trusted its headers."""
    given = context(trust=GatewayTrust(context().trust.keys, NOW_MS + 1))
    (failure,) = process(batch(record(0, b"{", headers=legacy_headers())), given).failures

    assert (failure.site_id, failure.window_site_id, failure.sender) == (1, 1, Sender.SERVER)


@pytest.mark.parametrize(
    ("key", "site"),
    [(b"7:e", 7), (b"7", None), (b":e", None), (b"x:e", None), (b"0:e", None), (b"9" * 19 + b":e", None), (None, None)],
)
def test_the_site_of_a_record_key(key: bytes | None, site: int | None) -> None:
    """The key is `site:id`, as the gateway writes it and the documentation advises."""
    assert site_of_key(key) == site


def test_the_site_of_a_registered_script_counts_last() -> None:
    """The registry's site counts if neither document nor key names one."""
    value = json.dumps(document(site_id=...)).encode()

    assert refused(value).site_id == 1
    assert identify(None, None, None, context().registry).site_id is None
