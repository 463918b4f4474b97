"""What must not be told: secrets, tokens, addresses and card numbers in anything that is logged or reported."""

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Final

MASK: Final = "***"
_DEEPEST: Final = 20

_NAMES: Final = (
    r"(?:passwd|password|passphrase|pwd|secret|token|credential|cookie"
    r"|(?:api|access|private|secret|signing|routing)[_\-]?key)s?"
)
_SECRET_NAME = re.compile(
    r"(?:^|[_\-.])(?:authorization|cookie|passwd|password|passphrase|pwd|secret|token|credential)s?$"
    r"|(?:api|access|private|secret|signing|routing)[_\-]?keys?$",
    re.IGNORECASE,
)
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_GAP = re.compile(r"[ -]")
_SHORTEST_CARD: Final = 13
_LEAST_CARD: Final = 10 ** (_SHORTEST_CARD - 1)


def _card(found: re.Match[str]) -> str:
    """Only what passes the check that card numbers pass: other long numbers are what people look for.

    What follows after a gap may be an expiry date, so that the last groups are left out in turn.
    """
    groups = _GAP.split(found[0])
    for count in range(len(groups), 0, -1):
        digits = [int(digit) for digit in reversed("".join(groups[:count]))]
        if len(digits) < _SHORTEST_CARD:
            break
        doubled = [2 * digit - 9 * (digit > 4) for digit in digits[1::2]]
        if (sum(digits[::2]) + sum(doubled)) % 10 == 0:
            return MASK + found[0][sum(map(len, groups[:count])) + count - 1 :]
    return found[0]


# A value in quotes ends at its own kind of quote, as often escaped as the one it began with; one that is cut off, at the
# end of its line. What is bare ends at a blank, a quote or the next parameter, without the brackets that close behind it.
_QUOTED: Final = r"""(?:\w+\()?[bru]?(\\*["'])(?:(?:(?!(?<!\\)\{q})[\s\S])*(?<!\\)\{q}|[^\n]*)"""
_BARE: Final = r"""[^\s"'&]+?(?=[;)\]}>,]{0,3}(?:[\s"'&]|$))"""
_SEPARATOR: Final = r"""(?:\\*["']?\s*(?:=>|[:=>]|%3[AD])|\\*["']\s*,)\s*"""


def _quoted(number: int) -> str:
    return _QUOTED.replace("{q}", str(number))


# In this order: what is wider comes first. What may begin anywhere is bounded, else a long text takes its length's square.
_PATTERNS: Final[tuple[tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]], ...]] = (
    (re.compile(r"(-----BEGIN [A-Z ]*PRIVATE KEY-----)[\s\S]*?(?=-----END|$(?![\s\S]))"), rf"\1{MASK}"),
    # The password of a URL, up to the last @ before its path; one that holds a slash as it stands, up to the last @.
    (re.compile(r"(\b\w+://[^\s:/@]*:)[^\s/]{1,1000}(?=@)"), rf"\1{MASK}"),
    (re.compile(r"(\b\w+://[^\s:/@]*:)(?!\d+/)[^\s/]+/\S{0,1000}(?=@)"), rf"\1{MASK}"),
    (re.compile(r"(%3A%2F%2F[^\s%:/@]*(?::|%3A))\S{1,1000}?(?=@|%40)", re.IGNORECASE), rf"\1{MASK}"),
    # With the parameters of schemes that have some, and whatever the scheme is called.
    (
        re.compile(
            rf"(authorization{_SEPARATOR})(?:{_quoted(2)}|(?:[\w\-]+ +)?[^\s\"',;]+(?:\"[^\"]*\")?"
            r"(?:, *[\w\-]+=(?:\"[^\"]*\"|[^\s,;\"']+))*)",
            re.IGNORECASE,
        ),
        rf"\1{MASK}",
    ),
    (re.compile(r"\b(bearer|basic)(?:\s+|%20)[\w.~+/\-]{6,}=*", re.IGNORECASE), rf"\1 {MASK}"),
    (re.compile(rf"(cookie{_SEPARATOR})(?:{_quoted(2)}|[^\r\n\"']+)", re.IGNORECASE), rf"\1{MASK}"),
    # name=value, name: value, the same in JSON, perhaps in a string of another JSON, and in pairs that were printed.
    (
        re.compile(rf"({_NAMES}{_SEPARATOR})(?:{_quoted(2)}|\[[^\]]*\]?|\{{[^}}]*\}}?|{_BARE})", re.IGNORECASE),
        rf"\1{MASK}",
    ),
    (re.compile(rf"(?<!\S)(--?[\w\-]*{_NAMES} +)(?!-)\S+", re.IGNORECASE), rf"\1{MASK}"),
    (re.compile(r"eyJ[\w\-]{4,}(?:\.[\w\-]*){0,4}"), MASK),
    (re.compile(r"(?:(?<![A-Za-z0-9])|(?<=%[0-9A-Fa-f]{2}))(?:sk[-_]|whsec_)[\w\-+/=]{6,}"), MASK),
    (re.compile(r"[\w.!#$%&'+\-/=?^`{|}~]{0,200}\w(?:@|%40)[^\W_](?:[\w\-]*[^\W_])?(?:\.[\w\-]+)+"), MASK),
    (re.compile(r"(?<![\w.])[3-6](?:[ -]?\d){12,18}(?![ -]?\d|\w)"), _card),
)  # fmt: skip


def masked_text(text: str) -> str:
    """The text without what must not be told."""
    for pattern, instead in _PATTERNS:
        text = pattern.sub(instead, text)
    return text


@lru_cache(maxsize=4096)
def _is_secret(name: str) -> bool:
    """Whether what goes by this name is not to be told; `accessToken` is one as `access_token` is."""
    return _SECRET_NAME.search(_CAMEL.sub("_", name)) is not None


def masked(value: Any, name: str = "", depth: int = 0) -> Any:
    """The value, however it is nested, without what must not be told; `name` is what it goes by."""
    if name and _is_secret(name) and value is not None and not isinstance(value, bool):
        return MASK
    if depth > _DEEPEST:
        return MASK
    if isinstance(value, Mapping):
        return {_key(key): masked(one, _plain(key), depth + 1) for key, one in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return _sequence(list(value), depth)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        return value if abs(value) < _LEAST_CARD or (text := str(value)) == masked_text(text) else MASK
    return masked_text(_plain(value))


def _sequence(values: list[Any], depth: int) -> list[Any]:
    """Headers often come as pairs of a name and a value."""
    if len(values) == 2 and isinstance(values[0], str | bytes):
        return [masked_text(_plain(values[0])), masked(values[1], _plain(values[0]), depth + 1)]
    return [masked(one, "", depth + 1) for one in values]


def _key(key: object) -> object:
    """As JSON takes it."""
    return masked(key) if key is None or isinstance(key, int | float) else masked_text(_plain(key))


def _plain(value: object) -> str:
    """What a value prints, and of one that can't, what it is."""
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).decode("utf-8", "replace")
    try:
        return str(value)
    except Exception:  # noqa: BLE001  # whatever it raises, the line is to be written
        return f"<{type(value).__name__}>"
