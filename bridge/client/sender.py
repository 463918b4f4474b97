"""Posting of batches with retries: refused batches are divided, and the gateway's Retry-After is respected."""

import asyncio
import gzip
import hashlib
import logging
import time
from collections.abc import Sequence
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp

from bridge.client.answers import Again, Denied, Divide, NotOfGateway, Taken, Verdict, judge
from bridge.client.backoff import LONGEST_SECONDS, pause
from bridge.client.errors import Undelivered
from bridge.client.event import Event
from bridge.client.options import Options
from bridge.client.state import Health, State
from bridge.client.tracing import post_span

_WORTH_COMPRESSING = 1024
_SAID = 300
_MOST_ANSWER = 1024 * 1024
"""Bytes of an answer; a receipt of 1,000 events has some 200,000."""

log = logging.getLogger(__name__)


class Sender:
    """Delivers events to one script's URL.

    `health` is the state of delivery; `failures` is the number of failed tries.
    """

    def __init__(self, url: str, key: str, options: Options) -> None:
        self._url = url
        self._key = key
        self._options = options
        self._session: aiohttp.ClientSession | None = None
        self._not_before = 0.0
        self._in_a_row = 0
        self.health = Health.now()
        self.failures = 0

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()

    async def deliver(self, batch: Sequence[Event]) -> list[Undelivered]:
        """Post the batch until each event is accepted or given up; returns the events that were given up.

        With a spool (a queue on disk), only events that the gateway refuses are given up. Raises nothing but
        the cancellation of the calling task, KeyboardInterrupt and SystemExit.
        """
        give_up_at = time.monotonic() + self._options.retry_for
        parts, undelivered, doubted = [list(batch)], list[Undelivered](), set[str]()
        while parts:
            part = parts.pop()
            await self._pace()
            verdict = await self._verdict(part)
            match verdict:
                case Taken(refused):
                    undelivered += refused
                case Divide(_, _, foreign) if len(part) == 1 and foreign and part[0].event_id not in doubted:
                    # An intermediary may have refused the rate, not the event, so the event is tried again after all
                    # others.
                    doubted.add(part[0].event_id)
                    parts.insert(0, part)
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

    def hold_back(self, error: BaseException) -> None:
        """Record an error that occurred outside a post, and pause as after a failed post."""
        self._note(self._failed(error), time.monotonic())

    async def _pace(self) -> None:
        while True:
            wait = self._not_before - time.monotonic()
            if wait <= 0:
                return
            await asyncio.sleep(wait)

    async def _verdict(self, part: Sequence[Event]) -> Taken | Again | Divide | Denied:
        """Post the events once; return what the response means for them, and set the pause before the next post."""
        begun = time.monotonic()
        verdict = await self._try(part)
        if isinstance(verdict, NotOfGateway):
            # An intermediary has no reason to refuse an empty batch. If the gateway answers the empty batch, the
            # intermediary refused this part because of its content.
            probe = await self._try([])
            match probe:
                case Taken() | Divide():
                    verdict = Divide(*verdict, foreign=True)
                case NotOfGateway():
                    verdict = Again(verdict.reason, blocked=True)
                case _:
                    verdict = probe
        self._note(verdict, begun)
        return verdict

    async def _try(self, part: Sequence[Event]) -> Verdict:
        """Post the events once; return what the response, or the error of the connection, means for them."""
        try:
            return await self._post(part)
        except (KeyboardInterrupt, SystemExit, GeneratorExit):
            raise
        except asyncio.CancelledError as error:
            # No one has cancelled this task, so the cancellation came from the HTTP library.
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            return self._failed(error)
        except BaseException as error:  # noqa: BLE001 - some libraries raise errors that are no Exception
            return self._failed(error)

    def _failed(self, error: BaseException) -> Again:
        log.debug("a try to deliver to %s failed", self._url, exc_info=error)
        text = " ".join(f"{type(error).__name__}: {error}".rstrip(": ").split()).replace(self._key, "***")[:_SAID]
        expected = isinstance(error, aiohttp.ClientError | OSError | TimeoutError | asyncio.CancelledError)
        return Again(text, blocked=not expected)

    async def _post(self, part: Sequence[Event]) -> Verdict:
        body = b'{"events":[' + b",".join(event.body for event in part) + b"]}"
        headers = {
            "Authorization": f"Bearer {self._key}",
            "Content-Type": "application/json",
            "Accept-Encoding": "identity",
            # The key depends only on the part, so each try of it, in any process, is the same request.
            "Idempotency-Key": hashlib.blake2b(body, digest_size=16).hexdigest(),
        }
        if self._options.compress and len(body) >= _WORTH_COMPRESSING:
            body = gzip.compress(body, 1)
            headers["Content-Encoding"] = "gzip"
        with post_span(self._url, len(part), headers) as span:
            try:
                async with self._opened().post(self._url, data=body, headers=headers, allow_redirects=False) as answer:
                    verdict = judge(answer.status, answer.headers, await _body(answer), part)
            except BaseException as error:
                if span is not None:
                    span.set_attribute("error.type", type(error).__name__)
                raise
            if span is not None:
                span.set_attribute("http.response.status_code", answer.status)
        return verdict

    def _note(self, verdict: Taken | Again | Divide | Denied, begun: float) -> None:
        """Set the pause before the next post after this verdict. The pause delays all batches of the client."""
        match verdict:
            case Again(reason, asked, blocked):
                # Several batches that are refused at the same time count as one failure.
                if begun >= self._not_before:
                    self._in_a_row += 1
                wait = pause(self._in_a_row, asked)
                self._turn("blocked" if blocked else "waiting", reason)
            case Denied(_, reason):
                wait = LONGEST_SECONDS if self._options.spool else 0.0
                self._turn("blocked", reason)
            case _:
                self._in_a_row = 0
                self._turn("delivering", "")
                return
        self.failures += 1
        self._not_before = max(self._not_before, time.monotonic() + wait)

    def _turn(self, state: State, reason: str) -> None:
        """Set the state of delivery and its reason, and log a change. The backoff limits how often they change."""
        before = self.health
        if (state, reason) == (before.state, before.reason):
            return
        if state == "delivering":
            log.info("events are delivered to %s again", self._url)
        else:
            log.warning("events can't be delivered to %s, %s: %s", self._url, state, reason)
        self.health = before._replace(reason=reason) if state == before.state else Health.now(state, reason)

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None or self._session.closed:
            # No `trust_env`: credentials in netrc for the host would replace the key. Only the proxy is read from the
            # environment; credentials in the proxy's URL are only sent to the proxy. Responses are not decompressed: a
            # few bytes of an unexpected response could inflate to gigabytes.
            timeout = aiohttp.ClientTimeout(total=self._options.request_timeout)
            self._session = aiohttp.ClientSession(timeout=timeout, proxy=_proxy_for(self._url), auto_decompress=False)
        return self._session


async def _body(answer: aiohttp.ClientResponse) -> bytes:
    """Return the body of the response.

    If it is longer than any body of the gateway, return an empty body: the response is not from the gateway.
    """
    body = bytearray()
    async for piece in answer.content.iter_any():
        body += piece
        if len(body) > _MOST_ANSWER:
            return b""
    return bytes(body)


def _proxy_for(url: str) -> str | None:
    parts = urlsplit(url)
    return None if proxy_bypass(parts.hostname or "") else getproxies().get(parts.scheme)


def _all(parts: Sequence[Sequence[Event]], code: str, reason: str) -> list[Undelivered]:
    return [Undelivered(*event, code, reason) for part in parts for event in part]
