"""The identity of a record: each forged header, each key, and the rule for records from before proofs."""

import pytest
from support.events.making import NOW_MS, body, judged, record
from support.events.sealed import KEYS, TRUST, gateway_headers, legacy_headers

from schemas.instants import instant
from schemas.kafka import headers as names
from schemas.kafka.gateway_proof import ProofKeys
from schemas.kafka.vouched import Vouched
from schemas.pipeline.ledger import LedgerState
from schemas.pipeline.sender import Sender
from schemas.reasons import ErrorClass
from streams.pipeline.trust import Finding, GatewayTrust, Headers

VALUE = body()
PROVEN = dict(gateway_headers(VALUE, sender=Sender.VISITOR, origin="https://shop.test", event_id="given"))
OTHER = ProofKeys([b"another key"])


def found(said: dict[str, bytes | None], value: bytes = VALUE, trust: GatewayTrust = TRUST) -> Finding:
    return trust.of_raw(said, value, NOW_MS)


def kept(sender: Sender | None, site_id: int | None = 1, script_id: str | None = "shop") -> LedgerState:
    then = instant(NOW_MS)
    state = LedgerState(1, False, then, then, None, None, None, None)
    return state._replace(sender=sender, site_id=site_id, script_id=script_id)


def test_proven_headers_are_the_identity() -> None:
    """Site, script, class and assigned id are those that the gateway stated."""
    assert found(PROVEN) == Finding(Headers.PROVEN, Vouched(1, "shop", Sender.VISITOR, "given"))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (names.SITE_ID, b"2"),
        (names.SCRIPT_ID, b"blog"),
        (names.SENDER, b"server"),
        (names.SENDER, b"direct"),
        (names.ORIGIN, b"https://else.test"),
        (names.EVENT_ID, b"mine"),
        (names.PROOF, PROVEN[names.PROOF][:-4] + b"AAAA"),  # type: ignore[index]
        (names.PROOF, b"2" + PROVEN[names.PROOF][1:]),  # type: ignore[index]
    ],
)
def test_a_changed_header_makes_the_record_direct(name: str, value: bytes) -> None:
    """A Kafka producer gains nothing from a copied proof with changed fields."""
    finding = found(PROVEN | {name: value})

    assert finding.headers in (Headers.UNPROVEN, Headers.UNKNOWN_KEY)
    assert finding.vouched is None


@pytest.mark.parametrize("name", [names.SITE_ID, names.SCRIPT_ID, names.SENDER, names.ORIGIN, names.EVENT_ID])
def test_a_removed_header_makes_the_record_direct(name: str) -> None:
    """Every covered header must be present."""
    assert found({key: text for key, text in PROVEN.items() if key != name}) == Finding(Headers.UNPROVEN)


def test_a_proof_holds_for_its_value_only() -> None:
    """Another value under the same headers is a forgery."""
    assert found(PROVEN, VALUE + b" ") == Finding(Headers.UNPROVEN)


def test_no_byte_moves_from_the_value_into_a_header() -> None:
    """Fields end at a NUL, so a field with a NUL is refused although the digest matches."""
    value = b"\0tail"
    said = dict(gateway_headers(b"x\0" + value, event_id=None))

    moved = said | {names.EVENT_ID: b"\0x"}

    assert found(moved, value) == Finding(Headers.UNPROVEN)


def test_unproven_headers_are_data() -> None:
    """Each identity header alone makes the record direct; unrelated headers have no effect."""
    for name in (names.SITE_ID, names.SCRIPT_ID, names.SENDER, names.EVENT_ID):
        assert found({name: b"1"}) == Finding(Headers.UNPROVEN)
    assert found({"x-request-id": b"1", names.ORIGIN: b"https://shop.test"}) == Finding(Headers.NONE)


def test_a_key_that_is_not_known_is_tried_again() -> None:
    """Events of a gateway that got its new key before the workers are not dropped."""
    said = dict(gateway_headers(VALUE, keys=OTHER))

    (failure,) = judged(record(headers=list(said.items()))).failures

    assert found(said).headers is Headers.UNKNOWN_KEY
    assert (failure.error_class, failure.dropped_reason) == (ErrorClass.UNKNOWN_GATEWAY_KEY, None)
    assert failure.sender is None


def test_any_of_the_keys_verifies() -> None:
    """During a key rotation gateways sign with either key."""
    both = GatewayTrust(ProofKeys([b"another key", b"ghostlink bridge development"]))

    for keys in (KEYS, OTHER):
        assert found(dict(gateway_headers(VALUE, keys=keys)), trust=both).headers is Headers.PROVEN
    assert ProofKeys([b"a", b"b"]).ids[0] == ProofKeys([b"a"]).ids[0]


@pytest.mark.parametrize(("origin", "sender"), [(None, Sender.SERVER), ("https://shop.test", Sender.VISITOR)])
def test_headers_older_than_proofs_are_believed_for_a_time(origin: str | None, sender: Sender) -> None:
    """The worker's clock decides, so an old time in the record gains nothing."""
    said = dict(legacy_headers(origin=origin, event_id="given"))

    before = found(said, trust=GatewayTrust(KEYS, NOW_MS + 1))
    after = found(said, trust=GatewayTrust(KEYS, NOW_MS))

    assert before == Finding(Headers.LEGACY, Vouched(1, "shop", sender, "given"))
    assert after == Finding(Headers.UNPROVEN)


def test_a_wrong_proof_is_no_older_record() -> None:
    """A record with a sender class is no older record either: earlier releases had no classes."""
    trust = GatewayTrust(KEYS, NOW_MS + 1)

    assert found(PROVEN | {names.SITE_ID: b"2"}, trust=trust) == Finding(Headers.UNPROVEN)
    assert found(dict(legacy_headers()) | {names.SENDER: b"server"}, trust=trust) == Finding(Headers.UNPROVEN)


def test_the_ledgers_word_stands() -> None:
    """The ledger's identity wins over the headers and over a key that is no longer known."""
    said = dict(gateway_headers(VALUE, site_id=2, script_id="blog", event_id="given", keys=OTHER))

    assert TRUST.of_kept(kept(Sender.SERVER), said, VALUE).vouched == Vouched(1, "shop", Sender.SERVER, "given")
    assert TRUST.of_kept(kept(Sender.DIRECT), said, VALUE).vouched is None


def test_a_ledger_row_without_a_class_is_judged_by_its_headers() -> None:
    """The row predates the classes or had an unknown key, so the proof or the old headers decide."""
    old, unknown = kept(None), kept(None, None, None)

    assert GatewayTrust(KEYS, NOW_MS + 1).of_kept(old, dict(legacy_headers()), VALUE).headers is Headers.LEGACY
    assert GatewayTrust(KEYS, NOW_MS).of_kept(old, dict(legacy_headers()), VALUE).headers is Headers.UNPROVEN
    assert TRUST.of_kept(unknown, PROVEN, VALUE).headers is Headers.PROVEN
    assert TRUST.of_kept(unknown, PROVEN | {names.SITE_ID: b"2"}, VALUE).headers is Headers.UNPROVEN
    assert TRUST.of_kept(old, {}, VALUE).headers is Headers.NONE


def test_a_replayed_dead_letter_is_whose_the_ledger_says_unless_sealed_anew() -> None:
    """A corrected replay has a new proof; every other one has the ledger's identity."""
    corrected = dict(gateway_headers(VALUE, site_id=2, script_id="blog"))

    assert TRUST.of_replay(kept(Sender.SERVER), corrected, VALUE).vouched == Vouched(2, "blog", Sender.SERVER)
    assert TRUST.of_replay(kept(Sender.SERVER), corrected, b"{}").vouched == Vouched(1, "shop", Sender.SERVER)
