"""Checks of running processes: the state that each process reports at `/ready`."""

import asyncio
import urllib.error
import urllib.request
from functools import partial
from typing import Any, Final

import msgspec

from bridge.doctor.check import Check, Finding, Findings, fail, ok, warn
from schemas.config.settings import Settings

_SECONDS: Final = 5.0
_MOST_BYTES: Final = 64 * 1024


def ready_check(url: str) -> Check:
    """Return the check of the process at this URL, such as http://worker:9464."""
    return Check("health", url, partial(_look, url.rstrip("/")))


async def _look(url: str, _settings: Settings) -> Findings:
    yield [judge_ready(url, *await asyncio.to_thread(_ask, f"{url}/ready"))]


def judge_ready(url: str, status: int, body: Any) -> Finding:
    """Judge a process by its response at `/ready`. `status` 0: it did not respond, and `body` is the reason."""
    if not status:
        return fail("ready", f"{url} does not answer: {body}", "check that the process runs, and its address")
    if not isinstance(body, dict) or "state" not in body:
        return fail("ready", f"{url} answers {status}, but is not a worker, gateway or API", "check the address")
    ill = [name for name, state in body.get("components", {}).items() if state == "error"]
    state = f"{url} is {body['state']}" + (f": {', '.join(ill)}" if ill else "")
    if body["state"] == "healthy":
        return ok("ready", state)
    return (warn if status == 200 else fail)("ready", state, "see the checks of these components")


def _ask(url: str) -> tuple[int, Any]:
    if not url.startswith(("http://", "https://")):
        return 0, "the address must begin with http:// or https://"
    try:
        with urllib.request.urlopen(url, timeout=_SECONDS) as answer:  # noqa: S310 - only http and https, as seen above
            return answer.status, _read(answer.read(_MOST_BYTES))
    except urllib.error.HTTPError as error:
        return error.code, _read(error.read(_MOST_BYTES))
    except (OSError, ValueError) as error:
        return 0, str(getattr(error, "reason", None) or error or type(error).__name__)


def _read(text: bytes) -> Any:
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return None
