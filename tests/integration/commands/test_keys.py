"""`bridge keys show webhook`: the secret for receivers."""

from support.processes.command import bridge

from schemas.config.derived_keys import webhook_secret
from schemas.config.settings import Settings

KEY = "93f1c07be2a85d4610fc7b3e9d2a8645"


def test_keys_show_prints_the_derived_secret() -> None:
    """The secret is alone on standard output for use in a pipe; neither stream contains BRIDGE_SECRET_KEY."""
    done = bridge("keys", "show", "webhook", settings={"BRIDGE_SECRET_KEY": KEY})

    assert (done.returncode, done.stdout.decode()) == (0, f"{webhook_secret(KEY)}\n")
    assert b"set BRIDGE_WORKER_ALERT_WEBHOOK_SECRET to it" in done.stderr
    assert KEY.encode() not in done.stdout + done.stderr


def test_keys_show_prints_the_secret_that_is_set() -> None:
    """A secret that is set is the one that signs."""
    given = {"BRIDGE_SECRET_KEY": KEY, "BRIDGE_WORKER_ALERT_WEBHOOK_SECRET": "whsec_cmVjZWl2ZXI="}
    done = bridge("keys", "show", "webhook", settings=given)

    assert done.stdout == b"whsec_cmVjZWl2ZXI=\n"


def test_keys_show_names_what_is_missing_and_shows_no_other_key() -> None:
    """No key is derived without BRIDGE_SECRET_KEY, and keys of tokens are never shown."""
    missing = bridge("keys", "show", "webhook", settings={"BRIDGE_SECRET_KEY": ""})
    other = bridge("keys", "show", "ingest_token", settings={"BRIDGE_SECRET_KEY": KEY})

    assert (missing.returncode, missing.stdout) == (3, b"")
    assert b"BRIDGE_SECRET_KEY is not set" in missing.stderr
    assert other.returncode == 3


def test_keys_show_prints_what_workers_verify_by() -> None:
    """The derived key proves the same records as BRIDGE_SECRET_KEY; a key that is set has precedence."""
    derived = bridge("keys", "show", "proof", settings={"BRIDGE_SECRET_KEY": KEY}).stdout.decode().strip()

    assert Settings(gateway_proof_key=derived).proof_keys.ids == Settings(secret_key=KEY).proof_keys.ids
    given = {"BRIDGE_SECRET_KEY": KEY, "BRIDGE_GATEWAY_PROOF_KEY": "5b8e02d94f7a61c3"}
    assert bridge("keys", "show", "proof", settings=given).stdout == b"5b8e02d94f7a61c3\n"
    assert bridge("keys", "show", "proof", settings={"BRIDGE_SECRET_KEY": ""}).returncode == 3
