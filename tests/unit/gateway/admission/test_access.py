"""Access to the gateway: each reason for a refusal has its own code, and unknown senders are refused."""

from dataclasses import dataclass, field

import pytest

from bridge.gateway.admission.access import admit, allowed_origin, origin_of
from bridge.gateway.admission.ingest_tokens import IngestTokens
from bridge.http.problems import Code, Problem
from schemas.api_key import ApiKey, make_key
from schemas.pipeline.registry import Registry, Script

SHOP, BLOG = "https://shop.example.com", "https://blog.example.com"
GOOD = make_key(lambda count: b"\x01" * count)
OLD = make_key(lambda count: b"\x02" * count)
OTHERS = make_key(lambda count: b"\x03" * count)


@dataclass
class Known:
    """Three scripts, one of them disabled."""

    current: Registry = field(
        default_factory=lambda: {
            "shop": Script("shop", 1, 10, enabled=True),
            "blog": Script("blog", 2, None, enabled=True),
            "off": Script("off", 1, 10, enabled=False),
        }
    )
    origins: dict[str, frozenset[str]] = field(
        default_factory=lambda: {"shop": frozenset([SHOP]), "blog": frozenset([SHOP])}
    )
    keys: dict[str, ApiKey] = field(
        default_factory=lambda: {
            GOOD.key_id: ApiKey(GOOD.key_id, "shop", GOOD.digest, revoked=False),
            OLD.key_id: ApiKey(OLD.key_id, "shop", OLD.digest, revoked=True),
            OTHERS.key_id: ApiKey(OTHERS.key_id, "blog", OTHERS.digest, revoked=False),
        }
    )


class Clock:
    """Seconds since the epoch, set by the test."""

    def __init__(self) -> None:
        self.now = 1_760_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def tokens(clock: Clock) -> IngestTokens:
    return IngestTokens("a secret of some length", 900, clock)


def bearer(credential: str) -> dict[bytes, bytes]:
    return {b"authorization": b"Bearer " + credential.encode()}


def code_of(tokens: IngestTokens, headers: dict[bytes, bytes], script: str = "shop", query: bytes = b"") -> Code:
    with pytest.raises(Problem) as caught:
        admit(Known(), tokens, script, headers, query)
    told = f"{caught.value} {caught.value.detail}"
    assert not any(key.text in told for key in (GOOD, OLD, OTHERS))
    return caught.value.code


def test_a_key_of_the_script_may_send(tokens: IngestTokens) -> None:
    """A key works from any origin, and the origin header is unverified."""
    granted = admit(Known(), tokens, "shop", bearer(GOOD.text) | {b"origin": b"https://evil.example"}, b"")

    assert (granted.script.site_id, granted.origin) == (1, None)


def test_a_token_of_the_script_and_origin_may_send(tokens: IngestTokens) -> None:
    """The token is in the header, or in the query for a beacon."""
    token = tokens.issue("shop", SHOP).text
    origin = {b"origin": SHOP.encode()}

    assert admit(Known(), tokens, "shop", bearer(token) | origin, b"").origin == SHOP
    assert admit(Known(), tokens, "shop", origin, b"token=" + token.encode()).origin == SHOP
    assert admit(Known(), tokens, "shop", {b"referer": SHOP.encode() + b"/page?x"} | bearer(token), b"").origin == SHOP


def test_each_refusal_has_its_code(tokens: IngestTokens, clock: Clock) -> None:
    """Operators count refusals by code."""
    token = tokens.issue("shop", SHOP).text
    from_shop = {b"origin": SHOP.encode()}
    claims, _, signature = token.partition(".")
    other_key = IngestTokens("another secret", 900, clock).issue("shop", SHOP).text
    forged = [
        token[:-1] + ("A" if token[-1] != "A" else "B"), claims, f"{claims}.", f".{signature}", other_key, "nonsense", "e30.e30",
        GOOD.text[:-1] + "0", "sk_x", f"sk_{'0' * 12}_{'0' * 64}", "x" * 100_000,
    ]  # fmt: skip

    assert code_of(tokens, {}) is Code.TOKEN_MISSING
    assert code_of(tokens, {}, query=b"token=") is Code.TOKEN_MISSING
    assert code_of(tokens, {b"authorization": b"Basic dTpw"}) is Code.TOKEN_FORGED
    for text in forged:
        assert code_of(tokens, bearer(text) | from_shop) is Code.TOKEN_FORGED
    assert code_of(tokens, {}, query=b"token=" + GOOD.text.encode()) is Code.TOKEN_FORGED
    assert code_of(tokens, bearer(OLD.text)) is Code.TOKEN_REVOKED
    assert code_of(tokens, bearer(OTHERS.text)) is Code.TOKEN_WRONG_SCRIPT
    assert code_of(tokens, bearer(token) | from_shop, "blog") is Code.TOKEN_WRONG_SCRIPT
    assert code_of(tokens, bearer(token) | {b"origin": BLOG.encode()}) is Code.TOKEN_WRONG_ORIGIN
    assert code_of(tokens, bearer(token)) is Code.ORIGIN_MISSING
    assert code_of(tokens, bearer(GOOD.text), "nobody") is Code.UNKNOWN_SCRIPT
    assert code_of(tokens, bearer(GOOD.text), "off") is Code.SCRIPT_DISABLED
    clock.now += 899
    admit(Known(), tokens, "shop", bearer(token) | from_shop, b"")
    clock.now += 1
    assert code_of(tokens, bearer(token) | from_shop) is Code.TOKEN_EXPIRED


def test_an_origin_that_left_the_list_takes_its_tokens_along(tokens: IngestTokens) -> None:
    """Tokens of a removed origin are refused immediately, not when they expire."""
    token = tokens.issue("shop", BLOG).text

    assert code_of(tokens, bearer(token) | {b"origin": BLOG.encode()}) is Code.ORIGIN_NOT_ALLOWED


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({b"origin": b"https://a.com", b"referer": b"https://b.com/"}, "https://a.com"),
        ({b"referer": b"https://b.com:8443/x?y#z"}, "https://b.com:8443"),
        ({b"referer": b"https://b.com?x"}, "https://b.com"),
        ({b"referer": b"https://user@b.com/"}, "https://user@b.com"),
        ({b"referer": b"https://b.com\\@evil.com/"}, "https://b.com"),
        ({b"origin": b""}, None),
        ({b"origin": "https://ä.com".encode()}, None),
        ({b"origin": b"https://" + b"a" * 400}, None),
        ({}, None),
    ],
)  # fmt: skip
def test_where_a_request_comes_from(headers: dict[bytes, bytes], expected: str | None) -> None:
    """Origin wins; of Referer only scheme, host and port count."""
    assert origin_of(headers) == expected


@pytest.mark.parametrize(
    "origin",
    [b"null", b"https://shop.example.com.evil.com", b"http://shop.example.com", b"https://SHOP.example.com", b"*"],
)
def test_only_the_exact_origin_is_allowed(origin: bytes) -> None:
    """Prefixes, other schemes and wildcards do not match."""
    assert allowed_origin(Known(), "shop", {b"origin": SHOP.encode()}) == SHOP
    with pytest.raises(Problem) as caught:
        allowed_origin(Known(), "shop", {b"origin": origin})
    assert caught.value.code is Code.ORIGIN_NOT_ALLOWED


def test_a_key_keeps_no_secret() -> None:
    """The registry stores no part of the key's secret."""
    secret = GOOD.text.rpartition("_")[2]

    assert bytes.fromhex(secret) not in GOOD.digest
    assert secret.encode() not in GOOD.digest
    assert len(GOOD.digest) == 32


def test_a_paused_script_is_refused_for_the_time_being(tokens: IngestTokens) -> None:
    """Every sender gets a Retry-After; other scripts are accepted."""
    known = Known()
    known.current = {**known.current, "shop": known.current["shop"]._replace(paused=True)}
    with pytest.raises(Problem) as refused:
        admit(known, tokens, "shop", bearer(GOOD.text), b"")
    assert (refused.value.code, refused.value.retry_after) == (Code.SCRIPT_PAUSED, 60)
    assert admit(known, tokens, "blog", bearer(OTHERS.text), b"").script.site_id == 2
