"""The shared filter options of every dead-letter command."""

from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from bridge.cli.dlq.options import with_filter
from schemas.documents.dead_letter_filter import DeadLetterFilter, Disposition
from schemas.errors import InvalidInput
from schemas.reasons import DroppedReason, ErrorClass

seen: list[tuple[DeadLetterFilter, int]] = []
app = typer.Typer()


@app.command()
@with_filter
def verb(chosen: DeadLetterFilter, limit: Annotated[int, typer.Option("--limit")] = 50) -> None:
    """A command with an option of its own."""
    seen.append((chosen, limit))


def called(*words: str) -> DeadLetterFilter:
    seen.clear()
    done = CliRunner().invoke(app, words)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == 0, done.output
    return seen[0][0]


def test_without_options_everything_open_is_meant() -> None:
    """The command's own option is independent of the filter."""
    assert called("--limit", "7") == DeadLetterFilter()
    assert seen[0][1] == 7


def test_each_option_names_its_field() -> None:
    """A repeated option gives several values."""
    words = (
        "--dropped-reason schema_violation --dropped-reason retry_exhausted --error-class unknown_script --site-id 0"
        " --site-id 3 --org-ids 7,5 --script-id s --event-id e --provenance bridge.raw#2:0:17 --attempt 4 --since 2h"
        " --until 2100-01-01T00:00:00Z --cause 00000000000000ff --disposition open --disposition replayed"
    )
    chosen = called(*words.split(), "--text", "two words")
    assert chosen.dropped_reason == (DroppedReason.SCHEMA_VIOLATION, DroppedReason.RETRY_EXHAUSTED)
    assert chosen.error_class == (ErrorClass.UNKNOWN_SCRIPT,)
    assert (chosen.site_id, chosen.org_ids) == ((0, 3), (5, 7))
    assert (chosen.script_id, chosen.event_id, chosen.attempt) == (("s",), ("e",), (4,))
    assert (chosen.provenance, chosen.cause, chosen.text) == (
        ("bridge.raw#2:0:17",),
        ("00000000000000ff",),
        "two words",
    )
    assert chosen.disposition == (Disposition.OPEN, Disposition.REPLAYED)
    assert chosen.since is not None
    assert chosen.until is not None
    assert (chosen.until.year, (chosen.until - chosen.since).days > 0) == (2100, True)
    assert called("--disposition", "any").disposition is None


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--since", "yesterday"], "--since: 'yesterday' is no time: give an age"),
        (["--since", "1h", "--until", "2h"], "until must be after since"),
        (["--disposition", "closed"], "--disposition: 'closed' is not one of open, claimed, replayed, discarded, any"),
        (["--provenance", "x"], "--provenance: not a provenance: 'x'"),
        (["--cause", "x"], "--cause: 'x' is no group's key"),
        (["--text", ""], "--text: String should have at least 1 character"),
        (["--org-id", "1", "--org-ids", "2"], "give --org-id or --org-ids, not both"),
    ],
)
def test_what_is_wrong_is_said_with_its_option(words: list[str], said: str) -> None:
    """The error is one line, and the exit code is that of bad input."""
    with pytest.raises(InvalidInput, match=said):
        called(*words)


def test_an_unknown_reason_names_the_known_ones() -> None:
    """The parser lists them."""
    done = CliRunner().invoke(app, ["--dropped-reason", "bad"])
    assert done.exit_code != 0
    assert all(one.value in " ".join(done.output.split()) for one in DroppedReason)
