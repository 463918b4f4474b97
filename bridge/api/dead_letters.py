"""Routes `/v1/dead-letters`: groups, lists, whole dead letters, exports, and discards."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import partial
from io import StringIO
from typing import Annotated, Final

from fastapi import APIRouter, Path, Query
from starlette.responses import Response, StreamingResponse
from starlette.types import Send

from bridge.api.answers import documented, json_answer
from bridge.api.callers import Scope
from bridge.api.parameters import DiscardBody, ExportQuery, GroupsQuery, ListQuery
from bridge.dead_letters.documents import groups_document, page_document, shown_document
from bridge.dead_letters.export import Form, writer
from bridge.http.problems import Code, Problem
from schemas.documents.run_summary import DiscardSummary
from schemas.pipeline.record import Provenance
from sinks.cooperative import Share
from sinks.postgres.dead_letters.letter import WholeDeadLetter

dead_letters: Final = APIRouter(prefix="/v1/dead-letters", tags=["dead letters"])

_PART_CHARACTERS: Final = 64 * 1024
_TYPES: Final = {Form.NDJSON: "application/x-ndjson", Form.CSV: "text/csv; charset=utf-8"}


@dead_letters.get("/groups", summary="Dead letters by cause, and events that were dropped repeatedly",
                  responses=documented("Groups", Code.INVALID_REQUEST, Code.NOTHING_FITS))  # fmt: skip
async def groups(scope: Scope, query: Annotated[GroupsQuery, Query()]) -> Response:
    """Group dead letters by reason and message, without the numbers, ids and quoted values in the message."""
    return json_answer(groups_document(await scope.groups(query)))


@dead_letters.get("/export", response_class=Response, summary="All dead letters of a filter with their payloads, the earliest first",
                  responses=documented(_TYPES, Code.INVALID_REQUEST, Code.NOTHING_FITS))  # fmt: skip
async def export(scope: Scope, query: Annotated[ExportQuery, Query()]) -> Response:
    """Stream the dead letters of events that were dropped before the request.

    If an error interrupts the response, the response lacks the end that HTTP requires. So a client detects that the
    response is incomplete.
    """
    async with scope.asking():
        pieces = await scope.whole(query.chosen)
        first: list[WholeDeadLetter] = await anext(pieces, [])
    return _Export(_written(pieces, first, query.format, scope.share), query.format)


@dead_letters.get("", summary="A page of dead letters, the latest first, with their total",
                  responses=documented("Page", Code.INVALID_REQUEST, Code.NOTHING_FITS))  # fmt: skip
async def list_(scope: Scope, query: Annotated[ListQuery, Query()]) -> Response:
    """Return one page of the list of dead letters, the latest first.

    Events that become dead letters after the first page was read appear on none of the later pages, so pages don't
    shift.
    """
    return json_answer(page_document(await scope.page(query)))


@dead_letters.get("/{provenance}", summary="One dead letter with its payload and its replays",
                  responses=documented("DeadLetter", Code.INVALID_REQUEST, Code.UNKNOWN_DEAD_LETTER))  # fmt: skip
async def show(scope: Scope, provenance: Annotated[str, Path(description="topic:partition:offset")]) -> Response:
    """Return one dead letter: its record as sent, why it was dropped, which event it replays, and its own replays."""
    try:
        place = Provenance.parse(provenance)
    except ValueError as error:
        raise Problem(Code.INVALID_REQUEST, f"{error}; expected topic:partition:offset") from None
    return json_answer(shown_document(await scope.letter(place)))


@dead_letters.post("/discard", summary="Discard open dead letters, with a reason; this is final",
                   responses=documented(DiscardSummary, Code.INVALID_REQUEST, Code.FILTER_NEEDED, Code.NOTHING_FITS, Code.ROLE_TOO_LOW,
                                        Code.UNKNOWN_DEAD_LETTER, Code.ANOTHER_RUN, Code.RUN_FAILED, changes=True))  # fmt: skip
async def discard(scope: Scope, body: DiscardBody) -> Response:
    """Close the open dead letters of the filter, so that no replay sends them; nothing is deleted.

    Dead letters that a replay has claimed (reserved for sending) or sent don't change.

    For operators.
    """
    return json_answer(await scope.discard(body))


class _Export(StreamingResponse):
    def __init__(self, text: AsyncGenerator[bytes, None], form: Form) -> None:
        name = f'attachment; filename="dead-letters.{form}"'
        super().__init__(text, media_type=_TYPES[form], headers={"content-disposition": name})
        self._text = text

    async def stream_response(self, send: Send) -> None:
        # However the response ends, the connection to the database is closed without delay.
        async with aclosing(self._text):
            await super().stream_response(send)


async def _written(
    pieces: AsyncGenerator[list[WholeDeadLetter], None], first: list[WholeDeadLetter], form: Form, share: Share
) -> AsyncGenerator[bytes, None]:
    page = StringIO()
    write = writer(page, form)

    def text() -> bytes:
        written = page.getvalue().encode()
        page.seek(0)
        page.truncate()
        return written

    async with aclosing(pieces):
        piece = first
        while piece:
            for one in piece:
                await share.do(partial(write, one))
                if page.tell() > _PART_CHARACTERS:
                    yield text()
            piece = await anext(pieces, [])
        yield text()
