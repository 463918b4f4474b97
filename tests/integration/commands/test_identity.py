"""The site of refused events, through Kafka and Postgres: proven, forged, and stored by the previous release."""

import json
from typing import Any

from support.events.sealed import gateway_headers, legacy_headers
from support.events.settled import Headers, environment_of, event, fetch, prepare, produce, working
from support.processes.command import words
from support.processes.programs import run
from support.wait import wait_until

from schemas.config.settings import Settings
from schemas.kafka.gateway_proof import ProofKeys
from streams.audit import audit

BUDGET_SECONDS = 60
FOREIGN = {"site_id": 2, "script_id": "s2"}


def refused(number: int, **changed: object) -> bytes:
    """An event that violates the contract."""
    return event(number, **({"event_type": ""} | changed))


def nobodys(number: int) -> bytes:
    """The same event without site and script."""
    document = json.loads(refused(number))
    return json.dumps({name: value for name, value in document.items() if name not in FOREIGN}).encode()


async def settle(settings: Settings, *loads: tuple[list[bytes], Any]) -> None:
    """Produce each load with its headers and wait until a worker has committed all of it."""
    for values, headers in loads:
        await produce(settings, values, headers=headers)
    count = sum(len(values) for values, _ in loads)
    async with working(settings):
        await wait_until(
            lambda: _settled(settings, count), budget_seconds=BUDGET_SECONDS, describe="everything settled"
        )


async def _settled(settings: Settings, count: int) -> bool:
    (row,) = await fetch(settings, "SELECT sum(live) FROM stream_offset WHERE topic = $1", settings.topics.raw)
    return row[0] == count


async def by_site(settings: Settings, column: str = "site_id") -> dict[Any, int]:
    rows = await fetch(settings, f"SELECT {column}, count(*) FROM bridge_event_raw GROUP BY 1")
    return {row[0]: row[1] for row in rows}


async def windows(settings: Settings) -> dict[int, int]:
    rows = await fetch(
        settings, "SELECT site_id, sum(dropped)::int FROM gate_window GROUP BY 1 HAVING sum(dropped) > 0"
    )
    return {row[0]: row[1] for row in rows}


def sealed(settings: Settings, **given: Any) -> Any:
    def headers(value: bytes) -> Headers:
        return gateway_headers(value, script_id="s1", keys=settings.proof_keys, **given)

    return headers


def command(settings: Settings, *given: str) -> Any:
    """Run `bridge identity` and return its document."""
    done = run(words("identity", *given, "--json-output", "-"), changed=environment_of(settings))
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


async def test_refused_events_are_the_senders_site(settings: Settings) -> None:
    """Regardless of the body, ledger and windows show the gateway's site.

    The body has its own identity, a foreign one or none, or is not JSON.
    """
    values = [refused(1), refused(2, **FOREIGN), nobodys(3), b"{"]

    await settle(settings, (values, sealed(settings)), (values[:2], sealed(settings, site_id=3)))

    assert await by_site(settings) == {1: 4, 3: 2}
    assert await windows(settings) == {1: 4, 3: 2}
    assert await by_site(settings, "sender") == {"server": 6}
    assert (await audit(settings)).balanced


async def test_a_kafka_producer_that_forges_headers_gains_nothing(settings: Settings) -> None:
    """Forged headers are ignored: the events have the sender class `direct`, and the identity in their body."""
    await settle(
        settings,
        (
            [refused(2, **FOREIGN), nobodys(3)],
            lambda _value: gateway_headers(b"other", script_id="s1", keys=settings.proof_keys),
        ),
    )

    assert await by_site(settings) == {2: 1, None: 1}
    assert await by_site(settings, "sender") == {"direct": 2}
    assert await windows(settings) == {0: 1, 2: 1}


async def test_a_proof_by_an_unknown_key_is_retried_and_nobodys_word(settings: Settings) -> None:
    """Events with a proof by an unknown key are retried, without the headers' identity.

    A gateway whose new key workers don't know yet needs the retry.
    """
    strange = lambda _value: gateway_headers(_value, script_id="s1", keys=ProofKeys([b"mine"]))  # noqa: E731
    await settle(settings, ([refused(2, **FOREIGN), nobodys(3)], strange))

    assert await by_site(settings) == {2: 1, None: 1}
    assert await by_site(settings, "error_class") == {"unknown_gateway_key": 2}


async def test_rows_of_the_release_before_are_backfilled_in_parts(settings: Settings) -> None:
    """A dry run first, then two parts; the windows' sums stay, and the audit balances throughout."""
    hidden, planted, direct = [nobodys(1), b"{"], [refused(2, **FOREIGN), refused(3, **FOREIGN)], [refused(3)]
    old = lambda _value: legacy_headers(script_id="s1")  # noqa: E731
    await settle(settings, (hidden + planted, old), (direct, lambda _value: []))
    # As the previous release left them: without sender classes, and its headers trusted for a week.
    await fetch(settings, "UPDATE bridge_event_raw SET sender = NULL")
    await fetch(settings, "UPDATE gateway_trust SET legacy_until = now() + interval '7 days'")
    assert await windows(settings) == {0: 2, 1: 1, 2: 2}

    rehearsed = command(settings, "backfill", "--dry-run")
    assert (await audit(settings)).balanced
    part = command(settings, "backfill", "--limit", "2")
    assert (await audit(settings)).balanced
    rest = command(settings, "backfill")
    again = command(settings, "backfill")

    assert (rehearsed["processed_total"], rehearsed["changed_total"], rehearsed["windows_moved_total"]) == (5, 4, 4)
    assert (part["processed_total"], rest["processed_total"], again["processed_total"]) == (2, 3, 0)
    assert part["windows_moved_total"] + rest["windows_moved_total"] == 4
    assert await windows(settings) == {1: 5}
    assert await by_site(settings) == {1: 5}
    assert await by_site(settings, "sender") == {"server": 4, "direct": 1}
    notes = await fetch(settings, "SELECT count(*) FROM bridge_event_raw WHERE last_error LIKE '%; the event claims %'")
    assert notes[0][0] == 2
    assert (await audit(settings)).balanced


async def test_the_time_for_headers_without_a_proof_can_be_ended(settings: Settings) -> None:
    """A new installation trusts no header without proof; `require-proof` ends an upgraded one's week of trust."""
    assert command(settings, "show")["unattributed"] == 0
    await fetch(settings, "UPDATE gateway_trust SET legacy_until = now() + interval '7 days'")
    await settle(settings, ([b"{"], lambda _value: legacy_headers(script_id="s1")))

    ended = command(settings, "require-proof", "--reason", "the last gateway is replaced")
    await settle_one_more(settings)

    assert ended["changes"] == ["gateway headers without a proof are trusted no longer"]
    assert await by_site(settings) == {1: 1, None: 1}


async def settle_one_more(settings: Settings) -> None:
    await produce(settings, [b"{"], headers=lambda _value: legacy_headers(script_id="s1"))
    async with working(settings):
        await wait_until(lambda: _settled(settings, 2), budget_seconds=BUDGET_SECONDS, describe="one more settled")


async def test_the_upgrade_gives_a_week_to_what_ran_before(settings: Settings) -> None:
    """The migration grants the week only where events were read before."""
    (row,) = await fetch(settings, "SELECT legacy_until <= now() FROM gateway_trust")

    assert row[0]
    await prepare(settings)
