"""Checks of a running gateway: requests for scripts that are disabled or not registered."""

from collections.abc import Collection, Iterable, Sequence
from functools import partial
from typing import Final

from bridge.doctor.check import Check, Finding, Findings, each, ok, warn
from bridge.gateway.refusals import Refusal, address_in, refusals_at
from bridge.http.problems import Code
from schemas.config.settings import Settings
from schemas.errors import BridgeError
from sinks.postgres.registry.admin import list_scripts


def refused_check(url: str | None = None) -> Check:
    """Return the check of the gateway at this URL; without a URL, of the gateway of the settings on this machine.

    If the gateway is unreachable, the check has no finding.
    """
    return Check("gateway", "refused", partial(_look, url), connects=True)


async def _look(url: str | None, settings: Settings) -> Findings:
    asked = url or address_in(settings)
    if asked is None:
        return
    try:
        found = await refusals_at(asked)
    except BridgeError:
        return
    yield judge_refused(asked, found, await _enabled(settings))


async def _enabled(settings: Settings) -> Collection[str]:
    """Return the enabled scripts; none if the registry can't be read, which other checks report."""
    try:
        return {one.script_id for one in await list_scripts(settings.dsn) if one.enabled}
    except BridgeError:
        return ()


def judge_refused(url: str, refused: Sequence[Refusal], enabled: Collection[str]) -> Iterable[Finding]:
    """Report scripts whose events the gateway at `url` refuses. Such events never become dead letters.

    A script is a registered source of a site's events.
    """
    lines = [
        f"script {one.script} (site {one.site}) is disabled, and {url} has refused {one.requests} requests of this script"
        for one in refused
        if one.error_code == Code.SCRIPT_DISABLED and one.script not in enabled
    ]
    yield from each(warn, "refused", lines, "see `bridge refused`; run `bridge script enable`, or stop the sender")
    unknown = sum(one.requests for one in refused if one.error_code == Code.UNKNOWN_SCRIPT)
    if unknown:
        said = f"{url} has refused {unknown} requests of scripts that are not registered since its start"
        mend = "see `bridge refused`; the gateway's log line `requests_refused` names the last one"
        yield warn("refused", said, mend)
    if not lines and not unknown:
        yield ok("refused", f"{url} has refused no request of a script that is disabled or not registered")


CHECKS: Final = (refused_check(),)
