"""What must not be told: secrets, tokens, addresses and card numbers in anything that is logged or reported."""

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
    """Only what passes the check that card numbers pass: other long numbers are what people look for.

    What follows after a gap may be an expiry date, so that the last groups are left out in turn.
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


# A value in quotes ends at its own kind of quote, as often escaped as the one it began with; one that is cut off, at the
# end of its line: nobody's is as long as that is looked for. What is bare ends at a blank, a quote or the next parameter,
# without the brackets that close behind it.
_QUOTED: Final = r"""(?:\w+\()?[bru]?(\\*["'])(?:(?:(?!(?<!\\)\1)[\s\S]){0,10000}+(?<!\\)\1|[^\n]*)"""
_BARE: Final = r"""[^\s"'&]+?(?=[;)\]}>,]{0,3}(?:[\s"'&]|$))"""
_SEPARATOR: Final = r"""(?:\\*["']?\s*(?:=>|[:=>]|%3[AD])|\\*["']\s*,)\s*"""
# A line break, a tab or a blank before a word, where a text stands in JSON or in a URL.
_ESCAPED: Final = r"(?<=%[0-9A-Fa-f]{2})|(?<=\\[nrt])"

# What tells that a secret follows, and how that looks. Each is looked for in the text as it came: what seems to be a secret
# may be what tells of one (`bearer password: ...`). What may begin anywhere is bounded, else a long text takes its square.
_HEADED: Final = tuple(
    (re.compile(head, re.IGNORECASE), re.compile(value, re.IGNORECASE))
    for head, value in (
        # With the parameters of schemes that have some, and whatever the scheme is called.
        (
            rf"authorization{_SEPARATOR}",
            rf"{_QUOTED}|(?:[\w\-]+ +)?[^\s\"',;]+(?:\"[^\"]*\")?(?:, *[\w\-]+=(?:\\*\"[^\"]*\"|[^\s,;\"']+))*",
        ),
        (rf"(?:\b|{_ESCAPED})(?:bearer|basic)(?:\s+|%20)", r"[\w.~+/\-]{6,}=*"),
        (rf"cookie{_SEPARATOR}", rf"{_QUOTED}|[^\r\n\"']+"),
        # name=value, name: value, the same in JSON, perhaps in a string of another JSON, and in pairs that were printed.
        (rf"{_NAMES}{_SEPARATOR}", rf"{_QUOTED}|\[[^\]]*\]?|\{{[^}}]*\}}?|{_BARE}"),
        (rf"(?:(?<![\w\-])|{_ESCAPED})--?[\w\-]*{_NAMES} +", rf"(?!-)(?:{_QUOTED}|\S+)"),
    )
)
# What looks like a secret by itself; of those with a group, that is it.
_KNOWN: Final = tuple(
    re.compile(pattern)
    for pattern in (
        r"-----BEGIN [A-Z ]*PRIVATE KEY-----([\s\S]*?)(?=-----END|$(?![\s\S]))",
        # The password of a URL, up to the last @ before its path; one that holds a slash as it stands, up to the last @.
        r"\b\w+://[^\s:/@]*:([^\s/]{1,1000})(?=@)",
        r"\b\w+://[^\s:/@]*:((?!\d+/)[^\s/]+/\S{0,1000})(?=@)",
        r"(?i:%3A%2F%2F[^\s%:/@]*(?::|%3A))(\S{1,1000}?)(?=@|%40)",
        r"eyJ[\w\-]{4,}(?:\.[\w\-]*){0,4}",
        rf"(?:(?<![A-Za-z0-9])|{_ESCAPED})(?:sk[-_]|whsec_)[\w\-+/=]{{6,}}",
    )
)
# Each group of digits may be its first.
_CARD: Final = re.compile(rf"(?:(?<![\w.])|{_ESCAPED})(?=([3-6](?:[ -]?\d){{12,18}}(?![ -]?\d|\w)))")
# Comes last, as a URL's password and host look like one.
_LABEL: Final = r"(?:[\w\-]|\\+u[\da-fA-F]{4}){1,63}"
_ADDRESS: Final = re.compile(rf"[\w.!#$%&'+\-/=?^`{{|}}~]{{0,200}}\w(?:@|%40){_LABEL}(?:\.{_LABEL})+")


def masked_text(text: str) -> str:
    """The text without what must not be told."""
    shown: list[str] = []
    at = 0
    for start, end in sorted(_secrets(text)):
        if start > at or not shown:
            shown += text[at:start], MASK
        at = max(at, end)
    left = "".join(shown) + text[at:]
    # To look from each character for what stands before an address takes longer than all the rest.
    return _ADDRESS.sub(MASK, left) if "@" in left or "%40" in left else left


def _secrets(text: str) -> Iterator[tuple[int, int]]:
    """Where they begin and end; they may overlap."""
    for head, value in _HEADED:
        yield from _told(text, [found.end() for found in head.finditer(text)], value)
    for pattern in _KNOWN:
        yield from (found.span(pattern.groups) for found in pattern.finditer(text))
    yield from (span for span in map(_card, _CARD.finditer(text)) if span[0] < span[1])


def _told(text: str, begins: list[int], value: re.Pattern[str]) -> Iterator[tuple[int, int]]:
    """The values that begin there.

    Of those within another, only the last may go on behind it: looking at each would take the square of a text's length.
    """
    covered = 0
    for begin, following in pairwise([*begins, sys.maxsize]):
        if following > covered and (found := value.match(text, begin)):
            yield found.span()
            covered = max(covered, found.end())


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
