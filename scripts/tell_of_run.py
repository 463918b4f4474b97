"""The last step of a scheduled workflow: write the summary and call the webhook for a run that did neither itself.

It needs only the standard library, since it also reports a failed install. A run that left its summary has been reported.

    python3 scripts/tell_of_run.py process "$OUTCOME" bridge-worker-summary.json
"""

import argparse
import json
import os
import secrets
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from schemas.config.addresses import is_local, web_host
from schemas.config.derived_keys import webhook_secret
from schemas.webhook_signature import signed_headers

TRIES = 3
TRY_SECONDS = 2.0
REASONS = {
    "success": "",
    "failure": "the run failed and left no summary",
    "cancelled": "the run was cancelled, or took too long, and left no summary",
}


class NoRedirect(urllib.request.HTTPRedirectHandler):
    """Refuse redirects, so that only the configured URL is called."""

    def redirect_request(self, *_: Any) -> None:
        return None


def summary_of(script: str, outcome: str, page: str) -> dict[str, Any]:
    """The summary of the run, with the fields of every run; a run with an unknown outcome never began."""
    now = time.gmtime()
    moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", now)
    reason = REASONS.get(outcome, "the run never began: a step before it failed or was cancelled")
    return {
        "script": script,
        "run_id": time.strftime("%Y%m%dT%H%M%SZ", now) + f"-{secrets.token_hex(2)}",
        "started_at": moment,
        "ended_at": moment,
        "duration_ms": 0,
        "dry_run": False,
        **dict.fromkeys(("targets_total", "processed_total", "succeeded_total", "failed_total"), 0),
        "warnings": [],
        "errors": [{"target": "run", "reason": f"{reason}: {page}" if page else reason}] if reason else [],
    }


def call_of(summary: Mapping[str, Any], outcome: str) -> bytes:
    """The call's body: kind `bridge.run.failed` for a run that began, else `bridge.run.unfit`."""
    began = outcome in REASONS
    data = {
        "script": summary["script"],
        "run_id": summary["run_id"],
        "exit_code": 1 if began else 3,
        "reason": summary["errors"][0]["reason"][:500],
        "processed_total": 0,
        "failed_total": 0,
    }
    kind = "bridge.run.failed" if began else "bridge.run.unfit"
    return json.dumps({"type": kind, "timestamp": summary["ended_at"], "data": data}).encode()


def keys_of(environment: Mapping[str, str]) -> list[str]:
    """The secret that signs the call, by the same settings as the run's."""
    if secret := environment.get("BRIDGE_WORKER_ALERT_WEBHOOK_SECRET"):
        return [secret]
    secret = environment.get("BRIDGE_SECRET_KEY") or environment.get("GHOSTLINK_SECRET_KEY")
    return [webhook_secret(secret), secret] if secret else []


def refusal(url: str, keys: list[str], environment: Mapping[str, str]) -> str:
    """The reason why production does not call this URL; empty if it may be called."""
    try:
        host = web_host(url)
    except ValueError as error:
        return f"BRIDGE_WORKER_ALERT_WEBHOOK {error}"
    allowed = environment.get("BRIDGE_PRODUCTION_ALLOW", "").replace(",", " ").split()
    if environment.get("BRIDGE_ENV") != "production":
        return ""
    if not keys:
        return "BRIDGE_WORKER_ALERT_WEBHOOK_SECRET is not set, so that nothing signs"
    if not url.startswith("https://") and "plaintext_http" not in allowed:
        return "BRIDGE_WORKER_ALERT_WEBHOOK is not encrypted: it must begin with https://"
    return "BRIDGE_WORKER_ALERT_WEBHOOK leads to this machine" if is_local(host) and "loopback" not in allowed else ""


def called(url: str, body: bytes, keys: list[str], message_id: str) -> str:
    """Post the body, at most three times; return the error of the last try, or an empty text."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), NoRedirect())
    problem = ""
    for number in range(TRIES):
        time.sleep(0.25 * 2**number if number else 0)
        headers = signed_headers(body, keys, message_id=message_id, timestamp=int(time.time()))
        try:
            with opener.open(urllib.request.Request(url, body, headers), timeout=TRY_SECONDS):  # noqa: S310 - checked
                return ""
        except urllib.error.HTTPError as error:
            problem = f"status {error.code}"
            error.close()
        except (OSError, ValueError) as error:
            problem = type(error).__name__
    return problem


def say(line: str) -> None:
    """Write a line to the step's output."""
    print(line)  # noqa: T201 - the output of a workflow step


def main(words: list[str], environment: Mapping[str, str]) -> int:
    """Run the step; return 1 if the webhook had to be called and could not be, else 0."""
    parser = argparse.ArgumentParser(description="Leaves the summary and calls the webhook for a run that did not.")
    parser.add_argument("script", help="the run's name")
    parser.add_argument(
        "outcome", help="of its step: success, failure, cancelled; anything else is a run that never began"
    )
    parser.add_argument("summary", type=Path, help="the file that the run writes in each of its endings")
    given = parser.parse_args(words)
    if given.summary.exists():
        say(f"{given.summary} is there: the run is reported already")
        return 0
    parts = [environment.get(f"GITHUB_{name}", "") for name in ("SERVER_URL", "REPOSITORY", "RUN_ID")]
    page = "{}/{}/actions/runs/{}".format(*parts) if all(parts) else ""
    summary = summary_of(given.script, given.outcome, page)
    given.summary.write_text(json.dumps(summary, indent=2) + "\n")
    url = environment.get("BRIDGE_WORKER_ALERT_WEBHOOK", "")
    if not summary["errors"] or not url:
        say(f"{given.summary} is written; no call of the webhook is needed")
        return 0
    keys = keys_of(environment)
    why = refusal(url, keys, environment) or called(
        url, call_of(summary, given.outcome), keys, f"run_{summary['run_id']}"
    )
    say(f"error: the webhook was not called: {why}" if why else "the webhook was called")
    return 1 if why else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
