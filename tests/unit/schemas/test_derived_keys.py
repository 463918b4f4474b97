"""The keys of the purposes: stable, distinct, and none made from another."""

import hmac
from itertools import permutations

import pytest

from schemas.derived_keys import Purpose, derived_key, webhook_secret
from sinks.webhook import signing_key

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
    """Neither from its bytes nor from any text in which it is written."""
    key = derived_key(SECRET, held)
    for text in (key.hex(), key.hex().upper(), webhook_secret(SECRET), webhook_secret(SECRET)[6:]):
        assert derived_key(text, wanted) != derived_key(SECRET, wanted)
    assert hmac.digest(key, wanted.value, "sha256") != derived_key(SECRET, wanted)
    assert key != derived_key(SECRET, wanted)


def test_webhook_secret_holds_the_derived_key() -> None:
    """A receiver's library decodes it to the key that signs."""
    assert signing_key(webhook_secret(SECRET)) == derived_key(SECRET, Purpose.WEBHOOK)
