"""The preview of a dead letter with today's code, and the reasons to refuse its replay."""

from datetime import timedelta
from typing import Any

import pytest
from support.events.making import BOUNDS, NOW_MS, RAW, REGISTRY, body
from support.events.sealed import KEYS, TRUST, gateway_headers, legacy_headers
from support.pieces import at_once

from schemas.documents.replay import DeadLetterItem, Forecast
from schemas.instants import instant
from schemas.kafka.headers import SITE_ID
from schemas.pipeline.record import Provenance, RawBody
from schemas.pipeline.registry import Script
from schemas.pipeline.sender import Sender
from streams.rules.correction import read_correction
from streams.rules.replay_rules import Judgement, Terms, judge, known_to_the_store, refusal

MINE, OTHER = "6f2d1e34-0000-4000-8000-000000000001", "6f2d1e34-0000-4000-8000-000000000002"
TERMS = Terms(MINE, force=False, max_lives=3, month_exists=lambda _moment: True)
NOTHING = read_correction([], None)


def item(position: int = 1, value: bytes | None = None, **changed: Any) -> DeadLetterItem:
    sound = DeadLetterItem(
        position, Provenance(RAW, 0, position), 1, RawBody(b"k", body() if value is None else value, ()),
        instant(NOW_MS), "unknown_script", "script 'shop' is not registered", "retry_exhausted", "open", None, None, None,
    )  # fmt: skip
    return sound._replace(**changed)


def judged(one: DeadLetterItem, *settings: str, terms: Terms = TERMS) -> Judgement:
    return at_once(judge(one, read_correction(settings, None), terms, REGISTRY, BOUNDS))


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({}, None),
        ({"dropped_reason": None}, "not a dead letter"),
        ({"dropped_reason": "duplicate_event_id", "disposition": None}, "a duplicate"),
        ({"disposition": "claimed", "replay_id": OTHER}, f"claimed by the replay {OTHER}"),
        ({"disposition": "claimed", "replay_id": MINE}, None),
        ({"disposition": "replayed", "replay_id": OTHER}, f"replayed already, by {OTHER}"),
        ({"disposition": "discarded"}, "discarded"),
        ({"lives": 2}, None),
        ({"lives": 3}, "its event was dropped 3 times, and BRIDGE_REPLAY_MAX_LIVES is 3"),
    ],
)
def test_when_a_dead_letter_is_refused(changed: dict[str, Any], says: str | None) -> None:
    """An item that the same replay claimed before it was killed may go again."""
    found = refusal(item(**changed), TERMS)
    assert found is None if says is None else says in (found or "")


def test_force_passes_what_was_replayed_but_not_what_is_claimed_or_discarded() -> None:
    """Another replay may be sending a claimed item at this moment."""
    forced = TERMS._replace(force=True)
    assert refusal(item(disposition="replayed", replay_id=OTHER), forced) is None
    assert refusal(item(disposition="claimed", replay_id=OTHER), forced)
    assert refusal(item(disposition="discarded"), forced)


def test_a_removed_month_refuses_its_events() -> None:
    """A worker would wait for the missing partition for ever."""
    gone = TERMS._replace(month_exists=lambda moment: moment.month != instant(NOW_MS).month)
    assert "was removed" in (refusal(item(), gone) or "")
    assert refusal(item(received_at=instant(NOW_MS) + timedelta(days=40)), gone) is None


@pytest.mark.parametrize(
    ("value", "forecast"),
    [
        (body(), Forecast.PASSES),
        (body(script_id="nobody"), Forecast.FAILS_THE_SAME),
        (body(event_type=""), Forecast.FAILS_OTHERWISE),
        (b"{", Forecast.FAILS_OTHERWISE),
    ],
)
def test_a_forecast(value: bytes, forecast: Forecast) -> None:
    """The preview groups by the class of the error that dropped the event."""
    assert judged(item(value=value)).forecast is forecast


def test_the_bound_on_occurred_at_is_that_of_its_first_reception() -> None:
    """An old dead letter does not fail for its age."""
    old = instant(NOW_MS) - timedelta(days=60)
    value = body(occurred_at=NOW_MS - 60 * 86_400_000)
    assert judged(item(value=value, received_at=old)).forecast is Forecast.PASSES


def test_what_is_corrected_is_judged_as_corrected() -> None:
    """Items may stay wrong after the correction, or not be correctable."""
    assert judged(item(value=body(event_type="")), "event_type=click").forecast is Forecast.PASSES
    assert judged(item(value=body()), "currency=EURO").forecast is Forecast.FAILS_OTHERWISE
    assert judged(item(value=b"{"), "event_type=click").forecast is Forecast.REFUSED


def test_the_store_has_the_last_word_on_what_passes() -> None:
    """The store finds items persisted by key, persisted without a key, or copied from an earlier one."""
    one, copy = judged(item(1)), judged(item(2))
    event = ("e-1", 1)
    assert one.event is not None
    assert (one.event.event_id, one.event.site_id) == event
    assert one.claim is not None
    assert known_to_the_store(one, {one.claim.key}, set(), set()).forecast is Forecast.PERSISTED
    assert known_to_the_store(one, set(), {(1, "e-1")}, set()).forecast is Forecast.REFUSED
    seen: set[bytes] = set()
    assert known_to_the_store(one, set(), {(2, "e-1")}, seen).forecast is Forecast.PASSES
    assert known_to_the_store(copy, set(), set(), seen).forecast is Forecast.COPY
    broken = judged(item(value=b"{"))
    assert known_to_the_store(broken, {one.claim.key}, set(), seen) is broken


@pytest.mark.parametrize(
    ("value", "settings"),
    [
        (body(event_type=""), []),
        (body(script_id="nobody"), []),
        (body(event_type=""), ["currency=EURO"]),
        (body(event_type=""), ["value=number()"]),
    ],
    ids=["contract", "script", "corrected wrongly", "can't be corrected"],
)
def test_what_the_producer_sent_again_is_persisted_though_it_does_not_normalise(
    value: bytes, settings: list[str]
) -> None:
    """Site, id and sender class are enough; the rest of the event may be broken."""
    again = judged(item())
    assert again.claim is not None
    kept = {"site_id": 1, "event_id": "e-1", "script_id": "shop", "sender": Sender.DIRECT}
    one = judged(item(value=value, **kept), *settings)
    assert one.forecast in (Forecast.FAILS_THE_SAME, Forecast.FAILS_OTHERWISE, Forecast.REFUSED)
    assert known_to_the_store(one, {again.claim.key}, set(), set()).forecast is Forecast.PERSISTED
    assert known_to_the_store(one, set(), {(1, "e-1")}, set()).forecast is Forecast.PERSISTED
    assert known_to_the_store(one, set(), {(2, "e-1")}, set()) is one
    elsewhere = judged(item(value=value, **kept), *settings, "event_id=e-2")
    if elsewhere.forecast is not Forecast.REFUSED:
        assert known_to_the_store(elsewhere, {again.claim.key}, set(), set()) is elsewhere


def test_what_can_t_be_replayed_is_not_asked_of_the_store() -> None:
    """Discarded and claimed items keep their verdict."""
    assert judged(item(disposition="discarded")).claim is None


BOUND = TERMS._replace(org_id=10)


@pytest.mark.parametrize("org_id", [None, 20])
def test_a_plan_of_an_organisation_replays_no_other_s(org_id: int | None) -> None:
    """The site may have changed its organisation since the plan was frozen."""
    assert "not belong to organisation 10 any longer" in (refusal(item(org_id=org_id), BOUND) or "")
    assert refusal(item(org_id=10), BOUND) is None
    assert refusal(item(org_id=org_id), TERMS) is None


@pytest.mark.parametrize(
    ("settings", "headers", "said"),
    [
        (["site_id=2"], (), "moves it to site 2"),
        (["site_id=2"], ((SITE_ID, b"1"),), "moves it to site 2"),
        (["site_id=x"], (), "can't be read"),
        (["event_type="], (), "can't be read"),
        (["currency=EUR"], (), None),
        (["site_id=1"], (), None),
        ([], (), None),
    ],
)
def test_a_correction_leaves_the_site_where_it_is(settings: list[str], headers: Any, said: str | None) -> None:
    """Only plans without an organisation may move events to another site."""
    one = item(org_id=10)
    one = one._replace(body=one.body._replace(headers=headers))
    correction = read_correction(settings, None)
    found = at_once(judge(one, correction, BOUND, REGISTRY, BOUNDS))
    assert (found.forecast is Forecast.REFUSED, said or "") == (
        said is not None,
        said if said and said in found.why else "",
    )
    assert at_once(judge(one, correction, TERMS, REGISTRY, BOUNDS)).forecast is not Forecast.REFUSED


@pytest.mark.parametrize("script_id", ["theirs", "nobody-s"])
def test_a_correction_names_no_script_of_another_organisation(script_id: str) -> None:
    """An operator of one organisation cannot find out which scripts others have."""
    registry = {**REGISTRY, "theirs": Script("theirs", 2, 20, enabled=True)}
    one = item(org_id=10, script_id="shop")
    correction = read_correction([f"script_id={script_id}"], None)
    found = at_once(judge(one, correction, BOUND, registry, BOUNDS))
    said = "after the correction, its script_id is not registered for site 1"
    assert (found.forecast, found.why) == (Forecast.REFUSED, said)
    assert at_once(judge(one, correction, TERMS, registry, BOUNDS)).forecast is not Forecast.REFUSED


def test_a_correction_names_a_script_of_the_same_site() -> None:
    """One use is a page with the name of a removed script."""
    one = item(value=body(script_id="gone"), org_id=10, script_id="gone")
    fixed = at_once(judge(one, read_correction(["script_id=shop"], None), BOUND, REGISTRY, BOUNDS))
    assert fixed.forecast is Forecast.PASSES
    left = at_once(judge(one, read_correction(["currency=EUR"], None), BOUND, REGISTRY, BOUNDS))
    assert left.forecast is not Forecast.REFUSED


def of_gateway(value: bytes, headers: Any, sender: Sender | None = Sender.VISITOR) -> DeadLetterItem:
    sound = item(sender=sender, script_id="shop", event_id="e-1")
    return sound._replace(body=RawBody(b"k", value, tuple(headers)))


@pytest.mark.parametrize("setting", ["", "currency=EUR", "script_id=blog", "event_id=e-2"])
@pytest.mark.parametrize("signed", [True, False], ids=["signed", "of the previous release"])
def test_a_replayed_event_of_the_gateway_proves_whose_it_is(setting: str, signed: bool) -> None:
    """A worker that does not know of the replay, as after a restore, finds the event's class and id in the record."""
    value = body()
    headers = gateway_headers(value, sender=Sender.VISITOR) if signed else legacy_headers()
    settings = [setting] if setting else []

    sent = judged(of_gateway(value, headers), *settings, terms=TERMS._replace(trust=TRUST)).body

    proven = KEYS.proven(dict(sent.headers), sent.value)
    assert proven is not None
    assert (proven.site_id, proven.script_id, proven.sender) == (
        1,
        "blog" if "blog" in setting else "shop",
        Sender.VISITOR,
    )


def test_a_replay_proves_nothing_that_was_not_proven() -> None:
    """A Kafka producer's event stays one; a valid proof stays as it is; a process without keys signs nothing."""
    value, trusting = body(), TERMS._replace(trust=TRUST)
    forged = of_gateway(value, gateway_headers(b"{}"), Sender.DIRECT)
    proven = of_gateway(value, gateway_headers(value))

    assert list(judged(forged, "currency=EUR", terms=trusting).body.headers) == list(forged.body.headers)
    assert list(judged(proven, terms=trusting).body.headers) == list(proven.body.headers)
    assert list(judged(proven, "currency=EUR").body.headers) == list(proven.body.headers)
