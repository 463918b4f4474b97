"""The webhook: signed as another implementation verifies it, retried, and bounded in time."""

import base64
import secrets
import time

import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError
from support.processes.hook import listening

from schemas.config.derived_keys import webhook_secret
from schemas.config.settings import Settings
from sinks import webhook
from sinks.webhook import call_webhook

SECRET = f"whsec_{base64.b64encode(secrets.token_bytes(32)).decode()}"


async def test_the_schemes_own_implementation_accepts_the_signature() -> None:
    """The other implementation accepts the signature, and refuses a body with one byte more."""
    async with listening(lambda _: 204) as (url, calls):
        assert await call_webhook(url, [SECRET], "bridge.run.failed", {"reason": "51 dropped – é"}, message_id="run_1")
    ((headers, body),) = calls
    told = Webhook(SECRET).verify(body, headers)
    assert (told["type"], told["data"]) == ("bridge.run.failed", {"reason": "51 dropped – é"})
    assert headers["webhook-id"] == "run_1"
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(body + b" ", headers)


async def test_a_plain_secret_signs_as_its_bytes() -> None:
    """A secret of any form, as in BRIDGE_SECRET_KEY, signs as its bytes."""
    async with listening(lambda _: 200) as (url, calls):
        assert await call_webhook(url, ["a plain secret"], "x", {}, message_id="1")
    ((headers, body),) = calls
    Webhook(base64.b64encode(b"a plain secret").decode()).verify(body, headers)


async def test_without_a_secret_it_is_not_signed() -> None:
    """The header is missing, so that the receiver notices."""
    async with listening(lambda _: 200) as (url, calls):
        assert await call_webhook(url, [], "x", {}, message_id="1")
    assert "webhook-signature" not in calls[0][0]


async def test_it_is_tried_again_under_the_same_id() -> None:
    """The receiver recognises a repetition by its id."""
    async with listening(lambda number: 503 if number == 1 else 200) as (url, calls):
        assert await call_webhook(url, [SECRET], "x", {}, message_id="same")
    assert [headers["webhook-id"] for headers, _ in calls] == ["same", "same"]
    for headers, body in calls:
        Webhook(SECRET).verify(body, headers)


async def test_a_server_that_hangs_costs_the_budget_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """The call ends with its time budget and raises no error."""
    monkeypatch.setattr(webhook, "TRY_SECONDS", 60.0)
    async with listening(lambda _: None) as (url, _):
        started = time.monotonic()
        assert not await call_webhook(url, [SECRET], "x", {}, message_id="1", budget_seconds=0.3)
        assert time.monotonic() - started < 30


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/", "not a url", "ftp://x/"])
async def test_a_server_that_is_not_there(url: str) -> None:
    """The call returns False and raises no error."""
    assert not await call_webhook(url, [SECRET], "x", {}, message_id="1", budget_seconds=0.5)


async def test_receivers_of_the_old_and_of_the_derived_secret_accept_a_call() -> None:
    """During the overlap a call has both signatures, so that a receiver can change its secret at any time."""
    key = secrets.token_hex(32)
    async with listening(lambda _: 200) as (url, calls):
        assert await call_webhook(url, Settings(secret_key=key).webhook_secrets, "x", {}, message_id="1")
    ((headers, body),) = calls
    assert len(headers["webhook-signature"].split(" ")) == 2
    for secret in (webhook_secret(key), base64.b64encode(key.encode()).decode()):
        Webhook(secret).verify(body, headers)
