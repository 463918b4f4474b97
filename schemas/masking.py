"""What must not be told: secrets, tokens, addresses and card numbers in anything that is logged or reported."""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

MASK: Final = "***"
_DEEPEST: Final = 20

_SECRET_NAME = re.compile(
    r"(?:^|[_\-.])(?:authorization|cookie|passwd|password|pwd|secret|token|credentials?)s?$"
    r"|(?:api|access|private|secret|signing|routing)[_\-]?keys?$",
    re.IGNORECASE,
)
_GAP = re.compile(r"[ -]")
_SHORTEST_CARD: Final = 13


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


# In this order: what is wider comes first. What a pattern begins with is bounded: else a long word takes minutes.
_PATTERNS: Final[tuple[tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]], ...]] = (
    # The password of a URL, up to the last @ before its path.
    (re.compile(r"(\w{1,40}://[^\s:/@]*:)[^\s/]+(?=@)"), rf"\1{MASK}"),
    (re.compile(r"(authorization[\"']?\s*[:=]\s*[\"']?)(?:(?:bearer|basic|digest|token)\s+)?[^\s\"',;]+", re.IGNORECASE), rf"\1{MASK}"),
    (re.compile(r"\b(bearer|basic)\s+[\w.~+/\-]{6,}=*", re.IGNORECASE), rf"\1 {MASK}"),
    # name=value, name: value, and the same in JSON; a quoted value may hold blanks.
    (
        re.compile(
            r"((?:passwd|password|pwd|secret|token|(?:api|access|private|secret|signing|routing)[_\-]?key)[\"']?\s*[:=]\s*)"
            r"(?:\"[^\"]*\"|'[^']*'|[^\s\"',;&)\]}]+)",
            re.IGNORECASE,
        ),
        rf"\1{MASK}",
    ),
    (re.compile(r"eyJ[\w\-]{4,}(?:\.[\w\-]*){0,4}"), MASK),
    (re.compile(r"(?<![A-Za-z0-9])(?:sk[-_]|whsec_)[\w\-+/=]{6,}"), MASK),
    (re.compile(r"[\w.!#$%&'+\-/=?^`{|}~]{0,80}\w@[A-Za-z0-9](?:[A-Za-z0-9\-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9\-]+)+"), MASK),
    (re.compile(r"(?<![\w.])[3-6](?:[ -]?\d){12,18}(?![ -]?\d|\w)"), _card),
)  # fmt: skip


def masked_text(text: str) -> str:
    """The text without what must not be told."""
    for pattern, instead in _PATTERNS:
        text = pattern.sub(instead, text)
    return text


def masked(value: Any, name: str = "", depth: int = 0) -> Any:
    """The value, however it is nested, without what must not be told; `name` is what it goes by."""
    if name and _SECRET_NAME.search(name) and value is not None and not isinstance(value, bool):
        return MASK
    if depth > _DEEPEST:
        return MASK
    if isinstance(value, str):
        return masked_text(value)
    if isinstance(value, bytes | bytearray | memoryview):
        return masked_text(bytes(value).decode("utf-8", "replace"))
    if isinstance(value, Mapping):
        return {
            masked_text(key) if isinstance(key, str) else key: masked(one, str(key), depth + 1)
            for key, one in value.items()
        }
    if isinstance(value, list | tuple | set | frozenset):
        return [masked(one, "", depth + 1) for one in value]
    if value is None or isinstance(value, bool | int | float):
        return value
    return masked_text(str(value))
