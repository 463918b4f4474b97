"""Redaction removes every secret from log lines of any content and nesting, and keeps everything else."""

import base64
import json
import string
import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from telemetry.redaction import MASK, masked, masked_text

WORD = st.text(string.ascii_letters + string.digits, min_size=12, max_size=40)
PLAIN = st.text(string.ascii_letters + string.digits + " .,:;_-/()[]äß€", max_size=40)
NAMES = st.sampled_from(
    ["password", "BRIDGE_SECRET_KEY", "api_key", "Authorization", "access-token", "sasl_password", "x-api-key", "cookie",
     "client_secret", "token", "worker_alert_webhook_secret", "accessToken", "clientSecret", "dbPassword", "passphrase",
     "Set-Cookie"]
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
    """A secret and a form of text that contains it."""
    secret = draw(WORD)
    form = draw(
        st.sampled_from(
            [
                "Authorization: Bearer {}", "authorization=Basic {}", "Bearer {}", "postgresql://user:{}@db.example/name",
                "kafka+ssl://u:p@{}@host:9093", "password={}", "token: {}", '{{"api_key": "{}"}}', "secret_key='{}'",
                "sk-{}", "sk_live_{}", "whsec_{}", "{}@example.com", "{}.surname@mail.example.co.uk", "?access_token={}&x=1",
                "Authorization: ApiKey {}", 'Authorization: Digest username="me", response="{}"', "Cookie: a=b; session={}",
                "Authorization: AWS4-HMAC-SHA256 Credential=AK/x, SignedHeaders=host, Signature={}",
                "[(b'x-api-key', b'{}')]", "{{b'password': b'{}'}}", "token=a,{}", "--sasl-password {}", "password => {}",
                "password='it is {}", "SecretStr('x'), password=SecretStr('{}')", '{{"tokens": ["a", "{}"]}}',
                "postgresql://user:a/{}@db/name", "https%3A%2F%2Fuser%3A{}%40host%2Fpath", "next=%3Fpassword%3D{}%26x=1",
                "key%3Dsk_live_{}", "Bearer%20{}", "{}%40example.com", "{}@exämple.com",
                "-----BEGIN PRIVATE KEY-----\nMII{}",
            ]
        )
    )  # fmt: skip
    assume(secret not in form.format(""))
    return secret, form.format(secret)


@given(PLAIN, telling(), PLAIN)
def test_no_secret_comes_through_a_text(before: str, told: tuple[str, str], after: str) -> None:
    """The position in the text does not matter."""
    secret, text = told
    assume(secret not in before + after)

    shown = masked_text(f"{before} {text} {after}")

    assert secret not in shown
    assert MASK in shown
    assert masked_text(shown) == shown


@given(
    telling(),
    st.sampled_from(["bearer", "basic", "authorization", "cookie", "token", "--token", "key = password"]) | st.none(),
    st.sampled_from([" ", "  ", "\n", ", ", ",", "=", " = ", ": ", "=>", " => ", "; ", "&", " (", "[", "{", "'", "' ", '"', '" ',
                     "%20", "%3D"]),
    telling(),
    st.sampled_from([str, repr, json.dumps, lambda text: json.dumps({"body": json.dumps([text])})]),
)  # fmt: skip
def test_no_secret_comes_through_behind_another(
    first: tuple[str, str], word: str | None, between: str, told: tuple[str, str], written: Callable[[str], str]
) -> None:
    """A truncated secret or marker does not use up the marker of the next one."""
    other, whole = first
    secret, text = told
    cut = whole.partition(other)[0] if word is None else word
    for before in (cut, whole):
        if secret not in before:
            assert secret not in masked_text(written(before + between + text))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("bearer password=hunter22", "bearer ***"),
        ("bearer Bearer hunter22", "bearer *** ***"),
        ("bearer secret_key='hunter22'", "bearer ***"),
        ("bearer Cookie: a=b; session=hunter22", "bearer ***: ***"),
        ("bearer --sasl-password hunter22", "bearer *** ***"),
        ("bearer password => hunter22", "bearer *** => ***"),
        ("bearer sk-abcdef=hunter22", "bearer ***"),
        ("password = token = hunter22", "password = *** = ***"),
        ("token: --sasl-password hunter22", "token: *** ***"),
        ("token='secret_key='hunter22'", "token=***"),
        ("authorization: Bearer {'tokens': ['a', 'hunter22']}", "authorization: ***'tokens': ***}"),
        ("http://user:token=a@b,hunter22", "http://user:***"),
        ("password: 4111 1111 1111 1111", "password: ***"),
        ("attempt 3 4111 1111 1111 1111", "attempt 3 ***"),
        (r"refused\nBearer hunter22, then\n--token hunter22", r"refused\nBearer ***, then\n--token ***"),
        (r"Authorization: Digest username=\"me\", response=\"hunter22\", again", "Authorization: ***, again"),
        ("--sasl-password 'hunter 22' --port 1", "--sasl-password *** --port 1"),
        (r"hunter22@ex\u00e4mple.com is unknown", "*** is unknown"),
        ("the bearer of the news: token expired", "the bearer of the news: token expired"),
    ],
)
def test_forms_that_hold_others_are_masked_no_wider_than_they_reach(text: str, shown: str) -> None:
    """The text around a redacted form is scanned as well."""
    assert masked_text(text) == shown


@given(WORD, st.text(string.printable, max_size=10), st.integers(1, 4))
def test_no_secret_comes_through_json_in_strings(secret: str, before: str, times: int) -> None:
    """The number of encodings and the escaped characters do not matter."""
    assume(secret not in before)
    text: Any = {"password": before + secret, "next": 1}
    for _ in range(times):
        text = json.dumps({"body": json.dumps(text)})

    assert secret not in masked_text(text)
    assert secret not in masked_text(f"refused: {text!r}")


@given(NAMES, WORD, st.sampled_from([str, str.encode]))
def test_no_secret_comes_through_headers(name: str, secret: str, form: Any) -> None:
    """Headers are pairs, as in ASGI and Kafka, a map of bytes, or the printed form of either."""
    assume(secret not in name)
    pair = (form(name), form(secret))
    for headers in ([pair], (pair, pair), {pair[0]: pair[1]}, [list(pair)]):
        assert secret not in str(masked({"headers": headers}))
    assert secret not in masked_text(f"with {dict([pair])}")


@given(CARDS, st.sampled_from([int, float]))
def test_no_card_number_comes_through_as_a_number(card: str, form: Any) -> None:
    """Values and keys are redacted."""
    number = form("".join(filter(str.isdigit, card))[:16])
    assert masked({"field": [number]}) == {"field": [MASK]}
    assert str(number) not in str(masked({number: 1}))


@given(st.dictionaries(st.tuples(WORD) | st.binary() | st.booleans() | st.none() | st.floats(), st.just(1)))
def test_what_is_masked_is_written_as_json(line: dict[Any, int]) -> None:
    """Redacted maps are valid JSON for keys of any type."""
    assert json.dumps(masked({"field": line}))


def test_what_cannot_be_printed_stops_no_line() -> None:
    """The line shows the value's type instead."""

    class Mute:
        def __str__(self) -> str:
            raise RuntimeError("password=hunter22")

    assert masked({"field": Mute()}) == {"field": "<Mute>"}


@pytest.mark.parametrize(
    "part",
    ["a", "-", "4", "token", "x://a:", "a@", "%3A%2F%2Fa:", "eyJaaaa.", 'password="', "authorization: a, b=c", "token: ",
     "token=[", "token => ", "bearer ", "cookie: ", "--token ", "password=token='", "4111 1111 "],
)  # fmt: skip
def test_a_long_text_takes_no_more_than_its_length(part: str) -> None:
    """Redaction takes linear time; quadratic time would block the event loop."""

    def seconds(length: int) -> float:
        text = part * (length // len(part))
        began = time.thread_time()
        masked_text(text)
        return time.thread_time() - began

    # The minimum of several runs, because a garbage collection belongs to the whole process.
    least, most = (min(seconds(length) for _ in range(4)) for length in (3000, 90_000))
    assert most < 150 * max(0.002, least)


@given(PLAIN, st.lists(WORD, min_size=1, max_size=3))
def test_no_token_comes_through(before: str, words: list[str]) -> None:
    """A JWT, signed or truncated, begins with eyJ."""
    token = jwt(words)

    assert token[3:] not in masked_text(f"{before} {token}")


@given(CARDS)
def test_no_card_number_comes_through(card: str) -> None:
    """The digits may be separated by blanks or dashes."""
    assert card not in masked_text(f"card {card} refused")
    assert card not in masked_text(card)
    assert card not in masked_text(f"{card} 12/27")


@given(NAMES, st.recursive(WORD | st.integers() | st.binary(min_size=4), lambda inner: st.lists(inner, min_size=1)))
def test_what_goes_by_a_secret_name_is_masked_whole(name: str, value: Any) -> None:
    """A value of any type under a secret name is redacted."""
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
    """Lists, maps, bytes and the printed form of objects are redacted."""
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
    """Numbers, words, offsets and event keys stay, because people search for them."""
    line = {"event": text, "offset": number, "key": "12:e-1", "flag": flag, "share": share, "none": None}

    assert masked(line) == line


def test_what_people_look_for_stays() -> None:
    """Identities, addresses and times stay as the product logs them."""
    for text in (
        "bridge.raw:3:1234567890123", "2026-02-10T14:30:01Z", "018f3b1c-7a5e-7cc3-98c4-dc0c0c07398f", "127.0.0.1:9092",
        "https://shop.example.com/a?utm_source=me", "postgresql://db.example:5432/ghostlink", "20260210T143001Z-8f1c",
        "no token given", "e-1760000000000", "1760000000000", "task-12345678", "root@worker",
    ):  # fmt: skip
        assert masked_text(text) == text


@pytest.mark.parametrize("part", ["a", "1", "3", "a-", "ab.", "token="])
def test_a_long_word_is_looked_through_at_once(part: str) -> None:
    """A long word takes linear time; a search that restarted at each letter took minutes."""
    began = time.thread_time()
    masked_text(part * (100_000 // len(part)))
    assert time.thread_time() - began < 5


def test_quotes_that_are_never_closed_are_not_looked_for_to_the_end() -> None:
    """Unclosed quotes with different escapes do not take quadratic time."""
    began = time.thread_time()
    masked_text("".join(f"password={backslashes * chr(92)}'\n" for backslashes in range(900)))
    assert time.thread_time() - began < 8
