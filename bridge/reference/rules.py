"""The alert rules, rendered from a template with limits, and with links to runbooks and dashboards."""

import math
import re
import tomllib
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final

from schemas.errors import InvalidInput

RUNBOOKS: Final = "docs/runbooks/"
DASHBOARDS: Final = "http://127.0.0.1:3000/d/"
TEMPLATE: Final = Path(__file__).with_name("bridge.rules.template")
LIMITS: Final = Path(__file__).with_name("limits.toml")

_TIME: Final = re.compile(r"\$\{(\d+)([smhd])(:s)?\}")
_LIMIT: Final = re.compile(r"\$\{([a-z_]+)\}")
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}
# These characters neither end a plain YAML scalar nor begin a Prometheus template.
_PLACE: Final = re.compile(r"[\w.~:/?&=%@,+-]+/?", re.ASCII)

Limits = Mapping[str, float]


def default_limits() -> Limits:
    """Return the limits of limits.toml by name."""
    return tomllib.loads(LIMITS.read_text(encoding="utf-8"))


def limits_of(text: str, what: str) -> Limits:
    """Return the limits in a TOML text by name. Raises InvalidInput with the source `what` and the invalid line."""
    try:
        given = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InvalidInput(f"{what}: not valid TOML: {error}; see `bridge deploy limits`") from None
    return {name: _checked(name, value, what) for name, value in given.items()}


def _checked(name: str, value: Any, what: str) -> float:
    known = default_limits()
    if name not in known:
        near = get_close_matches(name, known, 1)
        hint = f"did you mean {near[0]}?" if near else "see `bridge deploy limits`"
        raise InvalidInput(f"{what}: {name} is not the name of a limit; {hint}")
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        raise InvalidInput(
            f"{what}: {name}: {value!r} is not a limit; give a number of 0 or more, such as {known[name]}"
        )
    if name.endswith("_pct") and value > 100:
        raise InvalidInput(f"{what}: {name}: {value!r} exceeds 100 percent; give a number from 0 to 100")
    return value


def place(option: str, url: str) -> str:
    """Return the base `url` of links, with a slash at its end.

    Raises InvalidInput, which names `option`, if it contains a character that no URL has.
    """
    if not _PLACE.fullmatch(url):
        raise InvalidInput(f"{option}: {url!r} is not a URL; give one such as https://wiki.example.com/bridge/")
    return url if url.endswith(("/", "=")) else f"{url}/"


def render(
    divisor: int = 1, *, runbooks: str = RUNBOOKS, dashboards: str = DASHBOARDS, limits: Limits | None = None
) -> str:
    """Return the rules as a file for Prometheus.

    `divisor` divides every duration in the rules, for tests. `runbooks` and `dashboards` are the base URLs of links.
    `limits` are the limits that differ from limits.toml.
    """

    def time(found: re.Match[str]) -> str:
        seconds = int(found[1]) * _SECONDS[found[2]] / divisor
        if found[3]:
            return f"{seconds:g}"
        return f"{found[1]}{found[2]}" if divisor == 1 else f"{round(seconds * 1000)}ms"

    values = {**default_limits(), **(limits or {})}
    text = _TIME.sub(time, TEMPLATE.read_text(encoding="utf-8"))
    text = _LIMIT.sub(lambda found: f"{values[found[1]]}", text)
    text = re.sub(r"(runbook_url: )", rf"\g<1>{runbooks}", text)
    text = re.sub(r"(dashboard_url: )", rf"\g<1>{dashboards}", text)
    body = text[text.index("groups:") :]
    return f"# Made by `bridge deploy rules`; limits and links are its options.\n{body}"
