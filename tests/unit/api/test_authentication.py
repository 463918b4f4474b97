"""API access: the presented token and the permissions of its role."""

from datetime import UTC, datetime, timedelta

import pytest

from bridge.api.authentication import Caller, admit
from bridge.http.problems import Code, Problem
from schemas.api_key import make_key
from schemas.api_token import ApiToken, Role, expiry, is_token_name

NOW = datetime(2026, 11, 22, tzinfo=UTC)
MADE = make_key(bytes)
OTHER = make_key(lambda count: bytes([1]) * count)


def admitted(header: bytes | None, **changed: object) -> Caller:
    """The caller that this header admits, where one token is known."""
    known = ApiToken(MADE.key_id, "alice", MADE.digest, Role.OPERATOR, 3, NOW + timedelta(seconds=1), revoked=False)
    tokens = {MADE.key_id: known._replace(**changed)}  # type: ignore[arg-type]  # by name
    return admit(tokens, {} if header is None else {b"authorization": header}, lambda: NOW)


def test_the_token_says_who_asks() -> None:
    """The token gives name, role, organisation and end; the scheme's case does not matter."""
    expected = Caller("alice", MADE.key_id, Role.OPERATOR, 3, NOW + timedelta(seconds=1))
    assert admitted(b"Bearer " + MADE.text.encode()) == expected
    assert admitted(b"bearer  " + MADE.text.encode() + b" ") == expected
    assert expected.in_history == "token:alice"


@pytest.mark.parametrize(
    ("header", "changed", "code"),
    [
        (None, {}, Code.TOKEN_MISSING),
        (MADE.text.encode(), {}, Code.TOKEN_FORGED),
        (b"Bearer ", {}, Code.TOKEN_FORGED),
        (b"Bearer \xff\xfe", {}, Code.TOKEN_FORGED),
        (b"Bearer " + OTHER.text.encode(), {}, Code.TOKEN_FORGED),
        (b"Bearer " + MADE.text.encode(), {"digest": OTHER.digest}, Code.TOKEN_FORGED),
        (b"Bearer " + MADE.text.encode(), {"revoked": True}, Code.TOKEN_REVOKED),
        (b"Bearer " + MADE.text.encode(), {"expires_at": NOW}, Code.TOKEN_EXPIRED),
        # A caller without the secret learns nothing about the token.
        (b"Bearer " + MADE.text.encode(), {"digest": OTHER.digest, "revoked": True}, Code.TOKEN_FORGED),
    ],
)
def test_what_is_no_token(header: bytes | None, changed: dict[str, object], code: Code) -> None:
    """Each invalid token is refused with its reason."""
    with pytest.raises(Problem) as caught:
        admitted(header, **changed)
    assert caught.value.code is code
    assert MADE.text not in caught.value.detail


def test_each_role_may_what_those_before_it_may() -> None:
    """A role has no permission of a higher one."""
    for has in Role:
        caller = Caller("alice", "k", has, None, None)
        for least in Role:
            if has.rank >= least.rank:
                caller.must_be(least)
            else:
                with pytest.raises(Problem, match="role_too_low"):
                    caller.must_be(least)


def test_how_long_a_token_is_good() -> None:
    """A lifetime is hours, days or unlimited."""
    assert expiry("never", NOW) is None
    assert expiry("12h", NOW) == NOW + timedelta(hours=12)
    assert expiry("90d", NOW) == NOW + timedelta(days=90)
    for text in ("", "0d", "-1d", "1w", "90", "99999d", "٣d"):
        with pytest.raises(ValueError, match="is not 12h, 90d or never"):
            expiry(text, NOW)


def test_names() -> None:
    """A name fits the history of runs and cannot be mistaken for another."""
    assert all(map(is_token_name, ("a", "ci-2026.11", "0_x", "a" * 63)))
    assert not any(map(is_token_name, ("", "A", "-a", "a b", "a@b", "a:b", "a\n", "é", "a" * 64)))
