"""The refusals of a running gateway since its start, read from its `/metrics`."""

import asyncio
from collections import defaultdict
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from bridge.http.problems import Code
from schemas.config.settings import Settings
from schemas.errors import InvalidInput, PreconditionFailed

_SECONDS: Final = 5.0
_MOST_BYTES: Final = 8 * 1024 * 1024
_MOST_LINES: Final = 10_000
_LONGEST_LINE: Final = 4096
_ANY: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  # the address at which a gateway that listens on all addresses is asked
_MEND: Final = "check that the gateway runs, and give its address with --url"
_RIGHT_ADDRESS: Final = "give the address of a gateway, with its admin port if it has one"
_IS_GATEWAY: Final = "bridge_gateway_requests_total{"
_COUNTERS: Final = {
    "bridge_gateway_rejected_total": "requests",
    "bridge_gateway_rejected_events_total": "events",
}


class Refusal(NamedTuple):
    """The refusals with one reason and script. `status` is None if this release does not know the reason.

    `events` is the number of events in the refused requests, as far as it is known: most requests are refused before
    their body is read.
    """

    error_code: str
    status: int | None
    site: str
    script: str
    requests: int
    events: int


def address_in(settings: Settings) -> str | None:
    """Return the URL of this machine's gateway, by the settings; None if the gateway chooses its port at its start."""
    host, port = settings.gateway_host, settings.gateway_port
    if settings.gateway_admin_port:
        host, port = settings.gateway_admin_host, settings.gateway_admin_port
    host = _ANY.get(host, host)
    return f"http://{f'[{host}]' if ':' in host else host}:{port}" if port else None


async def refusals_at(url: str) -> list[Refusal]:
    """Return the refusals of the gateway at `url`, those with the most requests first.

    Raises InvalidInput if the URL is malformed. Raises PreconditionFailed if no gateway answers within 5 s, or
    its answer is larger than 8 MiB.
    """
    _check(url)
    page = await _page(f"{url.rstrip('/')}/metrics")
    lines = page.decode(errors="replace").split("\n")
    if not any(line.startswith(_IS_GATEWAY) for line in lines):
        raise PreconditionFailed(f"{url} answers, but is not a gateway; {_RIGHT_ADDRESS}")
    try:
        return _counts([line for line in lines if line.startswith(tuple(f"{name}{{" for name in _COUNTERS))])
    except (ValueError, LookupError, OverflowError) as error:
        raise PreconditionFailed(f"{url} answers with metrics that can't be parsed; check the address") from error


def _check(url: str) -> None:
    try:
        parts = urlsplit(url)
        well = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        well = False
    if not well or "@" in url or "?" in url or "#" in url:
        # The address is not repeated, because it may contain a password.
        raise InvalidInput(
            "--url: invalid; give a gateway's address as http://host:port or https://host:port, without credentials"
        )


async def _page(url: str) -> bytes:
    # To import this module takes a quarter of a second.
    import aiohttp

    page = bytearray()
    try:
        async with (
            asyncio.timeout(_SECONDS),
            # A compressed page of a few bytes could inflate to more than the memory.
            aiohttp.ClientSession(auto_decompress=False, headers={"accept-encoding": "identity"}) as session,
            session.get(url, allow_redirects=False) as answer,
        ):
            if answer.status != 200:
                raise PreconditionFailed(f"{url} answers with status {answer.status}; {_RIGHT_ADDRESS}")
            async for part in answer.content.iter_any():
                page += part
                if len(page) > _MOST_BYTES:
                    raise PreconditionFailed(f"{url} answers with more than {_MOST_BYTES} bytes; check the address")
    except TimeoutError:
        raise PreconditionFailed(f"{url} does not answer within {_SECONDS:g} s; {_MEND}") from None
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise PreconditionFailed(
            f"no gateway answers at {url}: {' '.join(str(error).split())[:200]}; {_MEND}"
        ) from error
    return bytes(page)


def _counts(lines: list[str]) -> list[Refusal]:
    # The parser takes 0.1 ms per line. Its time grows with the square of a line's length.
    if len(lines) > _MOST_LINES or any(len(line) > _LONGEST_LINE for line in lines):
        raise ValueError
    from prometheus_client.parser import text_string_to_metric_families

    found: dict[tuple[str, str, str], dict[str, int]] = defaultdict(lambda: dict.fromkeys(_COUNTERS.values(), 0))
    for family in text_string_to_metric_families("\n".join(lines) + "\n"):
        for sample in family.samples:
            labels = sample.labels
            key = (labels["error_code"], labels.get("site", ""), labels["script"])
            found[key][_COUNTERS[sample.name]] += int(sample.value)
    known = {code.value: code.status.value for code in Code}
    refusals = [
        Refusal(code, known.get(code), site, script, **counts)
        for (code, site, script), counts in found.items()
        if any(counts.values())
    ]
    return sorted(refusals, key=lambda one: (-one.requests, one.error_code, one.script))
