"""`bridge dlq export`: writes any number of whole dead letters as lines of JSON or as CSV."""

import os
import sys
from collections.abc import Iterator
from contextlib import aclosing, contextmanager
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated, TextIO

import typer

from bridge.cli.common import Verbose, command_settings, run, say
from bridge.cli.dlq.options import with_filter
from bridge.dead_letters.export import Form, Write, writer
from bridge.output.private_files import whole_file
from schemas.documents.dead_letter_filter import DeadLetterFilter
from schemas.errors import PreconditionFailed
from sinks.postgres.dead_letters.stream import whole_letters

_PARTLY = 2
_PROGRESS_EVERY = 50_000


@with_filter
def export(
    chosen: DeadLetterFilter,
    output: Annotated[str, typer.Option(metavar="PATH", help="The file; - is standard output.")] = "-",
    form: Annotated[Form, typer.Option("--format", help="Lines of JSON, or CSV with a header.")] = Form.NDJSON,
    verbose: Verbose = False,
) -> None:
    """Write whole dead letters, the earliest first, with the exact bytes of keys, payloads and headers.

    In CSV, an apostrophe precedes a text that a spreadsheet would evaluate as a formula. The file appears when it is
    complete.
    """
    settings = command_settings(verbose=verbose)
    try:
        with _opened(output) as stream:
            write = writer(stream, form, shown=output == "-" and sys.stdout.isatty())
            written = run(_export(settings.dsn, chosen, write))
    except BrokenPipeError:
        # The reader has closed the pipe. Python must not write the rest when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(_PARTLY) from None
    except OSError as error:
        raise PreconditionFailed(f"cannot write {output}: {error.strerror}; choose another --output") from error
    say(f"exported {written} dead letters")


async def _export(dsn: str, chosen: DeadLetterFilter, write: Write) -> int:
    written = 0
    async with aclosing(whole_letters(dsn, chosen)) as pieces:
        async for piece in pieces:
            for letter in piece:
                write(letter)
            if (written + len(piece)) // _PROGRESS_EVERY > written // _PROGRESS_EVERY:
                say(f"{written + len(piece)} written")
            written += len(piece)
    return written


@contextmanager
def _opened(output: str) -> Iterator[TextIO]:
    """Open the output as UTF-8 text.

    A file appears under its name when it is complete; only this account can read it.
    """
    if output == "-":
        stdout = TextIOWrapper(sys.stdout.buffer, encoding="utf-8", newline="", write_through=False)
        try:
            yield stdout
            stdout.flush()
        finally:
            stdout.detach()
        return
    with whole_file(Path(output)) as stream:
        yield stream
