"""The redaction of secrets, tokens, addresses and card numbers in everything that is logged or reported."""

import re
import sys
from collections.abc import Iterator, Mapping
from functools import lru_cache
from itertools import pairwise
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


def _card(found: re.Match[str]) -> tuple[int, int]:
    """Return the begin and end of a card number (with a valid check digit) in the match; empty if there is none.

    Other long numbers are not redacted, because operators search for them. The last groups of digits may be an expiry
    date, so the check is repeated without them.
    """
    groups = _GAP.split(found[1])
    for count in range(len(groups), 0, -1):
        digits = [int(digit) for digit in reversed("".join(groups[:count]))]
        if len(digits) < _SHORTEST_CARD:
            break
        doubled = [2 * digit - 9 * (digit > 4) for digit in digits[1::2]]
        if (sum(digits[::2]) + sum(doubled)) % 10 == 0:
            return found.start(1), found.start(1) + sum(map(len, groups[:count])) + count - 1
    return found.start(1), found.start(1)


# A quoted value ends at a quote of the same kind with the same escaping. A value without its closing quote, or of more
# than 10,000 characters, ends at the end of the line. A bare value ends at a blank, a quote or the next parameter;
# closing brackets behind it are not part of it.
_QUOTED: Final = r"""(?:\w+\()?[bru]?(\\*["'])(?:(?:(?!(?<!\\)\1)[\s\S]){0,10000}+(?<!\\)\1|[^\n]*)"""
_BARE: Final = r"""[^\s"'&]+?(?=[;)\]}>,]{0,3}(?:[\s"'&]|$))"""
_SEPARATOR: Final = r"""(?:\\*["']?\s*(?:=>|[:=>]|%3[AD])|\\*["']\s*,)\s*"""
# An escaped line break, tab or blank before a word, in JSON or in a URL.
_ESCAPED: Final = r"(?<=%[0-9A-Fa-f]{2})|(?<=\\[nrt])"

# Each head announces a secret, whose value follows. Every head is searched in the original text: what looks like a
# secret may be the head of one (`bearer password: ...`). Repetitions without a fixed start are bounded, since a search
# would take time quadratic in the length of a long text.
_HEADED: Final = tuple(
    (re.compile(head, re.IGNORECASE), re.compile(value, re.IGNORECASE))
    for head, value in (
        # A value of any authentication scheme, with its parameters.
        (
            rf"authorization{_SEPARATOR}",
            rf"{_QUOTED}|(?:[\w\-]+ +)?[^\s\"',;]+(?:\"[^\"]*\")?(?:, *[\w\-]+=(?:\\*\"[^\"]*\"|[^\s,;\"']+))*",
        ),
        (rf"(?:\b|{_ESCAPED})(?:bearer|basic)(?:\s+|%20)", r"[\w.~+/\-]{6,}=*"),
        (rf"cookie{_SEPARATOR}", rf"{_QUOTED}|[^\r\n\"']+"),
        # name=value and name: value; the same in JSON, in JSON inside a JSON string, and in printed pairs.
        (rf"{_NAMES}{_SEPARATOR}", rf"{_QUOTED}|\[[^\]]*\]?|\{{[^}}]*\}}?|{_BARE}"),
        (rf"(?:(?<![\w\-])|{_ESCAPED})--?[\w\-]*{_NAMES} +", rf"(?!-)(?:{_QUOTED}|\S+)"),
    )
)
# Texts that are recognised as secrets by their form. If a pattern has a group, the group is the secret.
_KNOWN: Final = tuple(
    re.compile(pattern)
    for pattern in (
        r"-----BEGIN [A-Z ]*PRIVATE KEY-----([\s\S]*?)(?=-----END|$(?![\s\S]))",
        # The password in a URL ends at the last @ before the path. If it has an unescaped slash, it ends at the last @.
        r"\b\w+://[^\s:/@]*:([^\s/]{1,1000})(?=@)",
        r"\b\w+://[^\s:/@]*:((?!\d+/)[^\s/]+/\S{0,1000})(?=@)",
        r"(?i:%3A%2F%2F[^\s%:/@]*(?::|%3A))(\S{1,1000}?)(?=@|%40)",
        r"eyJ[\w\-]{4,}(?:\.[\w\-]*){0,4}",
        rf"(?:(?<![A-Za-z0-9])|{_ESCAPED})(?:sk[-_]|whsec_)[\w\-+/=]{{6,}}",
    )
)
# A card number may begin at any group of digits.
_CARD: Final = re.compile(rf"(?:(?<![\w.])|{_ESCAPED})(?=([3-6](?:[ -]?\d){{12,18}}(?![ -]?\d|\w)))")
# Addresses are redacted last, because a URL's password and host look like an address.
_LABEL: Final = r"(?:[\w\-]|\\+u[\da-fA-F]{4}){1,63}"
_ADDRESS: Final = re.compile(rf"[\w.!#$%&'+\-/=?^`{{|}}~]{{0,200}}\w(?:@|%40){_LABEL}(?:\.{_LABEL})+")


def masked_text(text: str) -> str:
    """Redact secrets, card numbers and addresses in the text."""
    shown: list[str] = []
    at = 0
    for start, end in sorted(_secrets(text)):
        if start > at or not shown:
            shown += text[at:start], MASK
        at = max(at, end)
    left = "".join(shown) + text[at:]
    # Searching for the beginning of an address at each character takes longer than all other steps.
    return _ADDRESS.sub(MASK, left) if "@" in left or "%40" in left else left


def _secrets(text: str) -> Iterator[tuple[int, int]]:
    """Yield begin and end of each secret in the text; secrets may overlap."""
    for head, value in _HEADED:
        yield from _told(text, [found.end() for found in head.finditer(text)], value)
    for pattern in _KNOWN:
        yield from (found.span(pattern.groups) for found in pattern.finditer(text))
    yield from (span for span in map(_card, _CARD.finditer(text)) if span[0] < span[1])


def _told(text: str, begins: list[int], value: re.Pattern[str]) -> Iterator[tuple[int, int]]:
    """Yield begin and end of the secret values that begin at these offsets of a text.

    Several values may begin inside one value. Only the last of them is matched, because only the last may end after the
    enclosing value. To match all of them would take time quadratic in the text's length.
    """
    covered = 0
    for begin, following in pairwise([*begins, sys.maxsize]):
        if following > covered and (found := value.match(text, begin)):
            yield found.span()
            covered = max(covered, found.end())


@lru_cache(maxsize=4096)
def _is_secret(name: str) -> bool:
    """Return whether a field of this name contains a secret; `accessToken` is treated like `access_token`."""
    return _SECRET_NAME.search(_CAMEL.sub("_", name)) is not None


def masked(value: Any, name: str = "", depth: int = 0) -> Any:
    """Redact the secrets in a value, at every level of nesting. `name` is the name of the field with this value."""
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
    """Redact a list or tuple. If it has two items, they are treated as name and value, the usual form of a header."""
    if len(values) == 2 and isinstance(values[0], str | bytes):
        return [masked_text(_plain(values[0])), masked(values[1], _plain(values[0]), depth + 1)]
    return [masked(one, "", depth + 1) for one in values]


def _key(key: object) -> object:
    """Redact a dictionary's key, and convert it to a type that JSON accepts as a key."""
    return masked(key) if key is None or isinstance(key, int | float) else masked_text(_plain(key))


def _plain(value: object) -> str:
    """Return the value as text, or the name of its type if that fails."""
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).decode("utf-8", "replace")
    try:
        return str(value)
    except Exception:  # noqa: BLE001  # the line must be written, regardless of the error
        return f"<{type(value).__name__}>"
