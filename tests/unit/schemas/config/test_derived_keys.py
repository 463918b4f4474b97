"""The derived keys: stable, distinct, and none derivable from another."""

import hmac
from itertools import permutations

import pytest

from bridge.gateway.admission.ingest_tokens import IngestTokens
from bridge.http.problems import Code, Problem
from schemas.config.derived_keys import Purpose, derived_key, signing_key, webhook_secret
from schemas.config.overlap import ENDS_WITH
from schemas.config.settings import Settings
from telemetry.metrics import product_version

SECRET = "0123456789abcdef0123456789abcdef"


def test_label_of_ingest_tokens_stays() -> None:
    """Live tokens were signed with this key."""
    assert derived_key(SECRET, Purpose.INGEST_TOKEN) == hmac.digest(
        SECRET.encode(), b"ghostlink bridge ingest token 1", "sha256"
    )


def test_label_of_the_gateway_proof_stays() -> None:
    """Records in Kafka carry proofs under this key."""
    assert derived_key(SECRET, Purpose.GATEWAY_PROOF) == hmac.digest(
        SECRET.encode(), b"ghostlink bridge gateway proof 1", "sha256"
    )


@pytest.mark.parametrize(("held", "wanted"), list(permutations(Purpose, 2)))
def test_no_key_is_derived_from_another(held: Purpose, wanted: Purpose) -> None:
    """Neither a key's bytes nor any text form of it gives another one."""
    key = derived_key(SECRET, held)
    for text in (key.hex(), key.hex().upper(), webhook_secret(SECRET), webhook_secret(SECRET)[6:]):
        assert derived_key(text, wanted) != derived_key(SECRET, wanted)
    assert hmac.digest(key, wanted.value, "sha256") != derived_key(SECRET, wanted)
    assert key != derived_key(SECRET, wanted)


def test_webhook_secret_holds_the_derived_key() -> None:
    """A receiver's library decodes it to the signing key."""
    assert signing_key(webhook_secret(SECRET)) == derived_key(SECRET, Purpose.WEBHOOK)


@pytest.mark.parametrize("own", [None, "whsec_" + "q7" * 20, "a secret of the receiver's own, as text"])
def test_no_ingest_token_is_made_from_a_webhook_secret(own: str | None) -> None:
    """A receiver may use the secret's text, its key, or the key's text."""
    held = Settings(secret_key=SECRET, worker_alert_webhook_secret=own).webhook_secrets[0]
    gateway = IngestTokens(SECRET, 900, lambda: 0.0)
    key = signing_key(held)
    for text in (held, held.removeprefix("whsec_"), key.hex(), key.decode("latin-1")):
        made = IngestTokens(text, 900, lambda: 0.0)
        assert refused(gateway, made.issue("shop", "https://shop.example").text)
    made._key = key
    assert refused(gateway, made.issue("shop", "https://shop.example").text)


def refused(gateway: IngestTokens, token: str) -> bool:
    try:
        gateway.check(token.encode(), "shop", "https://shop.example")
    except Problem as problem:
        return problem.code is Code.TOKEN_FORGED
    return False


def test_a_secret_of_their_own_signs_alone() -> None:
    """The previous release behaved the same."""
    assert Settings(secret_key=SECRET, worker_alert_webhook_secret="whsec_x").webhook_secrets == ("whsec_x",)
    assert Settings().webhook_secrets == ()


def test_the_overlap_ends() -> None:
    """Version ENDS_WITH removes the second signature and refuses extra grants: see schemas/config/overlap.py."""
    assert tuple(map(int, product_version().split("."))) < tuple(map(int, ENDS_WITH.split(".")))
