"""Rules of replays: whether a dead letter may be replayed, and a preview of its outcome by today's code; pure."""

from collections.abc import Callable, Collection
from datetime import date
from typing import NamedTuple

from schemas.documents.replay import DeadLetterItem, Forecast
from schemas.events.bridge_event import BridgeEvent
from schemas.kafka import headers as names
from schemas.kafka.gateway_proof import read_identity
from schemas.kafka.headers import last
from schemas.pipeline.outcome import Claim
from schemas.pipeline.record import RawBody
from schemas.pipeline.registry import Registry
from schemas.reasons import DroppedReason
from streams.pipeline.decode import decode
from streams.pipeline.dedup_key import claim_of
from streams.pipeline.identity import identify
from streams.pipeline.normalize import Bounds
from streams.pipeline.reading import read_event
from streams.pipeline.rejection import Claimed, Rejection
from streams.pipeline.trust import Finding, GatewayTrust, Headers
from streams.rules.correction import Correction, CorrectionFailed, Old
from streams.rules.json_source import Pieces


class Terms(NamedTuple):
    """The conditions of a replay, under which some dead letters are refused.

    `month_exists` returns whether events that were received on a date can still be stored. `org_id` is the organisation
    to whose dead letters the replay is limited, None for no limit.
    """

    replay_id: str
    force: bool
    max_lives: int
    month_exists: Callable[[date], bool]
    org_id: int | None = None
    trust: GatewayTrust = GatewayTrust()

    def excludes_site_of(self, item: DeadLetterItem) -> bool:
        """Return whether the dead letter's site does not belong to the organisation of the replay now."""
        return self.org_id is not None and item.org_id != self.org_id


class Judgement(NamedTuple):
    """The preview of one dead letter in the plan of a replay, with its corrected body.

    - `event` is set if the corrected dead letter would become a row.
    - `claim` is what identifies the event in the table of persisted events. It is set wherever it is readable, also if
      the dead letter would fail again.
    - `replaced` are the producer's values that the correction changes.
    """

    item: DeadLetterItem
    forecast: Forecast
    why: str
    body: RawBody
    claim: Claim | None = None
    event: BridgeEvent | None = None
    replaced: tuple[Old, ...] = ()

    def instead(self, forecast: Forecast, why: str) -> "Judgement":
        """Return this preview with another forecast, because of facts that only Postgres has."""
        return self._replace(forecast=forecast, why=why)


def refusal(item: DeadLetterItem, terms: Terms) -> str | None:
    """Return the reason why this dead letter can't be replayed under the conditions `terms`; None if it can."""
    if item.dropped_reason is None:
        return "it is not a dead letter"
    if terms.excludes_site_of(item):
        return f"its site does not belong to organisation {terms.org_id} any longer"
    if item.dropped_reason == DroppedReason.DUPLICATE_EVENT_ID:
        return "it is a duplicate: its event is persisted, and no payload was stored"
    if item.replay_id != terms.replay_id:
        if item.disposition == "claimed":
            return f"claimed by the replay {item.replay_id}"
        if item.disposition == "replayed" and not terms.force:
            return f"replayed already, by {item.replay_id}"
    if item.disposition == "discarded":
        return "discarded"
    if item.lives >= terms.max_lives:
        return f"its event was dropped {item.lives} times, and BRIDGE_REPLAY_MAX_LIVES is {terms.max_lives}"
    if not terms.month_exists(item.received_at):
        return f"the month {item.received_at:%Y-%m} of its event was removed"
    return None


def corrected(item: DeadLetterItem, correction: Correction, terms: Terms, registry: Registry) -> Pieces[RawBody]:
    """Return the dead letter's corrected body; a generator that yields between pieces of work. Raises CorrectionFailed.

    A replay that is limited to an organisation writes to no other organisation. Its correction must keep the site, and
    may name only a script of that site. A gateway's event gets a new proof (a signature) if its own proof is not valid
    for the body, so that the event is the same one to a worker that does not know of the replay, such as after a restore.
    """
    body = yield from correction.apply(item.body)
    body = body._replace(headers=_sealed(item, body, terms.trust))
    if correction and terms.org_id is not None:
        try:
            document = decode(body.value, _found(item, body, terms).checked())
        except Rejection as rejection:
            raise CorrectionFailed(
                f"after the correction, the event or its site can't be read: {rejection.message}"
            ) from None
        site_id, script_id = document.site_id, document.script_id
        if site_id != item.site_id:
            raise CorrectionFailed(
                f"the correction moves it to site {site_id}, but the plan is limited to its organisation's sites as they are"
            )
        script = registry.get(script_id or "")
        if script_id != item.script_id and (script is None or script.site_id != site_id):
            # The message does not disclose whether the script is another organisation's.
            raise CorrectionFailed(f"after the correction, its script_id is not registered for site {site_id}")
    return body


def judge(
    item: DeadLetterItem, correction: Correction, terms: Terms, registry: Registry, bounds: Bounds
) -> Pieces[Judgement]:
    """Return the preview of a dead letter's replay, by correcting and normalising it as a worker of this release does.

    A generator that yields between pieces of work. `known_to_the_store` adds which events are persisted already.
    """
    why = refusal(item, terms)
    if why is not None:
        return Judgement(item, Forecast.REFUSED, why, item.body)
    try:
        body = yield from corrected(item, correction, terms, registry)
        replaced = (yield from correction.replaced(item.body)) if correction else ()
    except CorrectionFailed as error:
        found = terms.trust.of_replay(item, dict(item.body.headers), item.body.value)
        claim = _claim(found, item, item.body, registry)
        return Judgement(item, Forecast.REFUSED, str(error), item.body, claim)
    found = _found(item, body, terms)
    try:
        event = read_event(body.value, found.checked(), item.received_at, item.provenance, registry, bounds)
    except Rejection as rejection:
        same = rejection.error_class.value == item.error_class
        forecast = Forecast.FAILS_THE_SAME if same else Forecast.FAILS_OTHERWISE
        why = f"{rejection.error_class.value}: {rejection.message}"
        return Judgement(item, forecast, why, body, _claim(found, rejection.identity, body, registry), None, replaced)
    claim = claim_of(event.site_id, event.event_id, event.script_id, event.sender, registry)
    return Judgement(item, Forecast.PASSES, "", body, claim, event, replaced)


def _claim(found: Finding, claimed: Claimed | None, body: RawBody, registry: Registry) -> Claim | None:
    """Return what identifies the event of a dead letter that would fail again; None if that is not known.

    The event's ids are the vouched ones (confirmed by a gateway), else those that the event itself states.
    """
    if found.headers is Headers.UNKNOWN_KEY:
        return None
    whose = identify(found.vouched, claimed, body.key, registry)
    return claim_of(whose.site_id, whose.event_id, whose.script_id, found.sender, registry)


def _found(item: DeadLetterItem, body: RawBody, terms: Terms) -> Finding:
    return terms.trust.of_replay(item, dict(body.headers), body.value)


def _sealed(item: DeadLetterItem, body: RawBody, trust: GatewayTrust) -> names.Headers:
    """Return the headers with a valid proof of the event's identity: of the corrected one, or of the one in the ledger.

    They stay as they are if their proof is valid, if the event's identity was not proven before, or if the process has
    no key to sign.
    """
    said = dict(body.headers)
    if body.value is None or not trust.keys or trust.keys.proven(said, body.value) is not None:
        return body.headers
    kept = trust.of_replay(item, dict(item.body.headers), item.body.value).vouched
    if kept is None:
        return body.headers
    is_corrected = len(body.headers) > len(item.body.headers)
    stated = read_identity(said, kept.sender) if is_corrected else kept
    if stated is None:
        return body.headers
    seal = trust.keys.seal(stated.site_id, stated.script_id, stated.sender, last(body.headers, names.ORIGIN))
    return [
        *body.headers,
        (names.SITE_ID, str(stated.site_id).encode()),
        (names.SCRIPT_ID, stated.script_id.encode()),
        (names.SENDER, stated.sender.value.encode()),
        (names.PROOF, seal.proof(said.get(names.EVENT_ID) or b"", body.value)),
    ]


def known_to_the_store(
    judged: Judgement, keys: Collection[bytes], beyond_horizon: Collection[tuple[int, str]], seen: set[bytes]
) -> Judgement:
    """Return the preview, changed by what Postgres knows about persisted events.

    - A replay of an event in `keys` is recorded as a duplicate.
    - An event in `beyond_horizon` is so old that its key was pruned. A replay would write it a second time, so it is
      refused.
    - A dead letter that would fail again counts as persisted if its producer has sent the event again, corrected.

    `seen` are the keys of earlier dead letters in the plan; this function adds to it.
    """
    claim = judged.claim
    if claim is None:
        return judged
    if claim.key in keys:
        return judged.instead(Forecast.PERSISTED, "its event is persisted already")
    if (claim.site_id, claim.event_id) in beyond_horizon:
        forecast = Forecast.PERSISTED if judged.forecast is not Forecast.PASSES else Forecast.REFUSED
        return judged.instead(forecast, "its event is persisted, and its key was pruned")
    if judged.forecast is not Forecast.PASSES:
        return judged
    if claim.key in seen:
        return judged.instead(Forecast.COPY, "an earlier item of the plan has the same event id")
    seen.add(claim.key)
    return judged
