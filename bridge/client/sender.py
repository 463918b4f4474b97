"""Posts batches and tries again: divided where they are refused as a whole, in pace with what the gateway asks for."""

import asyncio
import gzip
import hashlib
import logging
import time
from collections.abc import Sequence

import aiohttp

from bridge.client.answers import Again, Denied, Divide, Taken, Verdict, judge
from bridge.client.errors import Undelivered
from bridge.client.event import Event
from bridge.client.options import Options
from bridge.client.patience import LONGEST_SECONDS, pause
from bridge.client.tracing import post_span

_WORTH_COMPRESSING = 1024

log = logging.getLogger(__name__)


class Sender:
    """Delivers to one script's address. `trouble` says why nothing goes through at the moment, empty if it does."""

    def __init__(self, url: str, key: str, options: Options) -> None:
        self._url = url
        self._options = options
        self._headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        self._session: aiohttp.ClientSession | None = None
        self._not_before = 0.0
        self._failures = 0
        self.trouble = ""

    async def close(self) -> None:
        """Closes the connections."""
        if self._session is not None:
            await self._session.close()

    async def deliver(self, batch: Sequence[Event]) -> list[Undelivered]:
        """Tries until each event is taken or given up; returns those given up. With a spool only what is refused is."""
        give_up_at = time.monotonic() + self._options.retry_for
        parts, undelivered = [list(batch)], list[Undelivered]()
        while parts:
            part = parts.pop()
            await self._pace()
            verdict = await self._post(part)
            match verdict:
                case Taken(refused):
                    undelivered += refused
                case Divide(code, reason) if len(part) == 1:
                    undelivered.append(Undelivered(*part[0], code, reason))
                case Divide():
                    middle = len(part) // 2
                    parts += [part[middle:], part[:middle]]
                case Again(reason):
                    parts.append(part)
                    if not self._options.spool and self._not_before > give_up_at:
                        return undelivered + _all(parts, "not_delivered", reason)
                case Denied(code, reason):
                    parts.append(part)
                    if not self._options.spool:
                        return undelivered + _all(parts, code, reason)
        return undelivered

    async def _pace(self) -> None:
        while True:
            wait = self._not_before - time.monotonic()
            if wait <= 0:
                return
            await asyncio.sleep(wait)

    async def _post(self, part: Sequence[Event]) -> Verdict:
        body = b'{"events":[' + b",".join(event.body for event in part) + b"]}"
        # The same part is the same request, however often and by whichever process it is posted.
        headers = {**self._headers, "Idempotency-Key": hashlib.blake2b(body, digest_size=16).hexdigest()}
        if self._options.compress and len(body) >= _WORTH_COMPRESSING:
            body = gzip.compress(body, 1)
            headers["Content-Encoding"] = "gzip"
        begun = time.monotonic()
        with post_span(self._url, len(part), headers) as span:
            try:
                async with self._opened().post(self._url, data=body, headers=headers, allow_redirects=False) as answer:
                    verdict = judge(answer.status, answer.headers, await answer.read(), part)
                if span is not None:
                    span.set_attribute("http.response.status_code", answer.status)
            except (aiohttp.ClientError, OSError, TimeoutError) as error:
                verdict = Again(f"{type(error).__name__}: {error}".rstrip(": "))
                if span is not None:
                    span.set_attribute("error.type", type(error).__name__)
        self._note(verdict, begun)
        return verdict

    def _note(self, verdict: Verdict, begun: float) -> None:
        """Sets the pace of all batches: one that is turned away holds the others back as well."""
        match verdict:
            case Again(reason, asked):
                # Batches that are turned away at once are one failure.
                if begun >= self._not_before:
                    self._failures += 1
                wait = pause(self._failures, asked)
            case Denied(_, reason):
                wait = LONGEST_SECONDS if self._options.spool else 0.0
            case _:
                if self.trouble:
                    log.info("events go through to %s again", self._url)
                self._failures, self.trouble = 0, ""
                return
        if not self.trouble:
            log.warning("events can't be delivered to %s: %s", self._url, reason)
        self.trouble = reason
        self._not_before = max(self._not_before, time.monotonic() + wait)

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=self._options.request_timeout), trust_env=True
            )
        return self._session


def _all(parts: Sequence[Sequence[Event]], code: str, reason: str) -> list[Undelivered]:
    return [Undelivered(*event, code, reason) for part in parts for event in part]
