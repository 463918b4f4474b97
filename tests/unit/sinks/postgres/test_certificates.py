"""An unusable file in the database URL is reported with its option and name."""

from pathlib import Path

import pytest

from schemas.errors import SinkUnavailable
from sinks.postgres.connection import connect
from sinks.refusals import refusal

ONE, TWO = "127.0.0.1:1", "127.0.0.1:1,127.0.0.1:2"


@pytest.mark.parametrize("hosts", [ONE, TWO], ids=["a host", "hosts"])
@pytest.mark.parametrize(
    ("options", "told"),
    [
        ("sslmode=verify-full&sslrootcert={missing}", "sslrootcert: no certificates in {missing}: No such file"),
        ("sslmode=verify-ca&sslrootcert={directory}", "sslrootcert: no certificates in {directory}: Is a directory"),
        ("sslmode=verify-full&sslrootcert={words}", "sslrootcert: no certificates in {words}: "),
        ("sslmode=require&sslcert={missing}", "sslcert: no certificate and key in {missing}: No such file"),
        (
            "sslmode=require&sslcert={words}&sslkey={missing}",
            "sslcert: no certificate and key in {words} and {missing}: ",
        ),
        ("sslmode=require&sslrootcert={missing}", "sslrootcert: no certificates in {missing}: No such file"),
    ],
)
async def test_a_file_that_can_not_be_used_is_named(tmp_path: Path, options: str, told: str, hosts: str) -> None:
    """An unusable file is an error of the settings, for which no start waits."""
    words = tmp_path / "words.pem"
    words.write_text("no certificate\n")
    paths = {"missing": tmp_path / "missing.pem", "directory": tmp_path, "words": words}
    with pytest.raises(SinkUnavailable) as caught:
        await connect(f"postgresql://nobody:secret@{hosts}/none?{options.format(**paths)}", "test")
    line = refusal(caught.value, "at start")
    assert told.format(**paths) in line
    assert line.startswith("Postgres refuses a needed operation at start: ")
    assert "secret" not in line


async def test_a_server_that_is_away_is_not_blamed_on_files() -> None:
    """The URL names no file, so the error is an outage."""
    with pytest.raises(SinkUnavailable) as caught:
        await connect(f"postgresql://nobody@{ONE}/none?sslmode=require", "test")
    assert refusal(caught.value).startswith("Postgres is away: ")
