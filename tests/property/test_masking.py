"""Whatever a line says and however it is nested, no secret comes through; what is no secret does."""

import base64
import json
import string
import time
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from schemas.masking import MASK, masked, masked_text

WORD = st.text(string.ascii_letters + string.digits, min_size=12, max_size=40)
PLAIN = st.text(string.ascii_letters + string.digits + " .,:;_-/()[]äß€", max_size=40)
NAMES = st.sampled_from(
    ["password", "BRIDGE_SECRET_KEY", "api_key", "Authorization", "access-token", "sasl_password", "x-api-key", "cookie",
     "client_secret", "token", "worker_alert_webhook_secret"]
)  # fmt: skip


def luhn(digits: str) -> str:
    total = sum(
        sum(divmod(int(digit) * 2, 10)) if at % 2 == 0 else int(digit) for at, digit in enumerate(reversed(digits))
    )
    return digits + str(-total % 10)


def jwt(words: list[str]) -> str:
    parts = [base64.urlsafe_b64encode(json.dumps({"a": word}).encode()).decode().rstrip("=") for word in words]
    return ".".join(parts)


CARDS = st.builds(
    lambda first, rest, gap: gap.join(part for part in _quarters(luhn(first + rest))),
    st.sampled_from("3456"),
    st.text(string.digits, min_size=14, max_size=14),
    st.sampled_from(["", " ", "-"]),
)


def _quarters(digits: str) -> list[str]:
    return [digits[at : at + 4] for at in range(0, len(digits), 4)]


@st.composite
def telling(draw: Any) -> tuple[str, str]:
    """A secret, and the form in which it stands in a text."""
    secret = draw(WORD)
    form = draw(
        st.sampled_from(
            [
                "Authorization: Bearer {}", "authorization=Basic {}", "Bearer {}", "postgresql://user:{}@db.example/name",
                "kafka+ssl://u:p@{}@host:9093", "password={}", "token: {}", '{{"api_key": "{}"}}', "secret_key='{}'",
                "sk-{}", "sk_live_{}", "whsec_{}", "{}@example.com", "{}.surname@mail.example.co.uk", "?access_token={}&x=1",
            ]
        )
    )  # fmt: skip
    return secret, form.format(secret)


@given(PLAIN, telling(), PLAIN)
def test_no_secret_comes_through_a_text(before: str, told: tuple[str, str], after: str) -> None:
    """Wherever in the text it stands."""
    secret, text = told
    assume(secret not in before + after)

    shown = masked_text(f"{before} {text} {after}")

    assert secret not in shown
    assert MASK in shown
    assert masked_text(shown) == shown


@given(PLAIN, st.lists(WORD, min_size=1, max_size=3))
def test_no_token_comes_through(before: str, words: list[str]) -> None:
    """A JWT, signed or cut off, begins with eyJ."""
    token = jwt(words)

    assert token[3:] not in masked_text(f"{before} {token}")


@given(CARDS)
def test_no_card_number_comes_through(card: str) -> None:
    """With blanks, dashes or none."""
    assert card not in masked_text(f"card {card} refused")
    assert card not in masked_text(card)
    assert card not in masked_text(f"{card} 12/27")


@given(NAMES, st.recursive(WORD | st.integers() | st.binary(min_size=4), lambda inner: st.lists(inner, min_size=1)))
def test_what_goes_by_a_secret_name_is_masked_whole(name: str, value: Any) -> None:
    """Whatever it is."""
    assert masked({"outer": [{name: value}]}) == {"outer": [{name: MASK}]}


@given(
    telling(),
    st.recursive(
        st.just("{}"),
        lambda inner: st.lists(inner, min_size=1, max_size=2) | st.dictionaries(st.just("field"), inner, min_size=1),
        max_leaves=5,
    ),
)
def test_no_secret_comes_through_a_structure(told: tuple[str, str], shape: Any) -> None:
    """Lists, maps and bytes, and objects by what they print."""
    secret, text = told

    class Printed:
        def __str__(self) -> str:
            return text

    def filled(one: Any) -> Any:
        if isinstance(one, list):
            return [filled(part) for part in one]
        if isinstance(one, dict):
            return {name: filled(part) for name, part in one.items()}
        return (text, text.encode(), Printed(), (text,), {text: 1})

    assert secret not in str(masked({"field": filled(shape)}))


@given(st.text(string.ascii_lowercase + " .,()", max_size=80), st.integers(0, 10**12), st.booleans(), st.floats(0, 1e9))
def test_what_is_no_secret_stays(text: str, number: int, flag: bool, share: float) -> None:
    """Numbers, words, offsets and keys of events are what people look for."""
    line = {"event": text, "offset": number, "key": "12:e-1", "flag": flag, "share": share, "none": None}

    assert masked(line) == line


def test_what_people_look_for_stays() -> None:
    """Identities, addresses and times as the product logs them."""
    for text in (
        "bridge.raw:3:1234567890123", "2026-02-10T14:30:01Z", "018f3b1c-7a5e-7cc3-98c4-dc0c0c07398f", "127.0.0.1:9092",
        "https://shop.example.com/a?utm_source=me", "postgresql://db.example:5432/ghostlink", "20260210T143001Z-8f1c",
        "no token given", "e-1760000000000", "1760000000000", "task-12345678", "root@worker",
    ):  # fmt: skip
        assert masked_text(text) == text


@pytest.mark.parametrize("part", ["a", "1", "3", "a-", "ab.", "token="])
def test_a_long_word_is_looked_through_at_once(part: str) -> None:
    """Whoever gets such a word into a log line stops nothing: a search that begins anew at each letter took minutes."""
    began = time.monotonic()
    masked_text(part * (100_000 // len(part)))
    assert time.monotonic() - began < 5
