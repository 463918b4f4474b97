"""How pg_dump and pg_restore connect: by variables of their environment, as the product itself connects."""

import pytest

from schemas.errors import InvalidInput
from sinks.postgres.backups.programs import connection_variables

PRESENT = {
    "PATH": "/bin",
    "PGHOST": "another",
    "PGPASSWORD": "of-a-file",
    "BRIDGE_SECRET_KEY": "x",
    "AWS_SECRET_ACCESS_KEY": "x",
    "GHOSTLINK_DATABASE_URL": "x",
}
ALWAYS = {"PATH": "/bin", "LC_ALL": "C.UTF-8", "PGSSLMODE": "prefer", "PGREQUIREAUTH": "!password,!md5"}
# None of these is an account's password.
SECRET, ESCAPED = "p@ss/word", "p%40ss%2Fword"


@pytest.mark.parametrize(
    ("dsn", "given"),
    [
        (
            f"postgresql://bridge:{ESCAPED}@db:5433/ghost%20link",
            {"PGHOST": "db", "PGPORT": "5433", "PGUSER": "bridge", "PGPASSWORD": SECRET, "PGDATABASE": "ghost link"},
        ),
        (
            "postgresql://bridge@/ghostlink?host=/run/postgresql",
            {"PGHOST": "/run/postgresql", "PGUSER": "bridge", "PGPASSWORD": "of-a-file", "PGDATABASE": "ghostlink"},
        ),
        (
            "postgresql://bridge@db1:5432,db2/ghostlink",
            {
                "PGHOST": "db1,db2", "PGPORT": "5432,", "PGUSER": "bridge", "PGPASSWORD": "of-a-file",
                "PGDATABASE": "ghostlink", "PGTARGETSESSIONATTRS": "read-write",
            },
        ),
        (
            "postgresql://db/ghostlink?search_path=a%20b,c&options_of_ours=1",
            {
                "PGHOST": "db", "PGPASSWORD": "of-a-file", "PGDATABASE": "ghostlink",
                "PGOPTIONS": r"-c options_of_ours=1 -c search_path=a\ b,c",
            },
        ),
        (
            "postgresql://db/ghostlink?options=-c%20search_path%3Da&work_mem=8MB",
            {
                "PGHOST": "db", "PGPASSWORD": "of-a-file", "PGDATABASE": "ghostlink",
                "PGOPTIONS": "-c search_path=a -c work_mem=8MB",
            },
        ),
    ],
    ids=["all parts", "a socket", "two hosts", "settings of the session", "options of the session"],
)  # fmt: skip
def test_a_url_becomes_variables(dsn: str, given: dict[str, str]) -> None:
    """Other variables for Postgres do not count, and no secret of the product is passed on."""
    assert connection_variables(dsn, PRESENT) == ALWAYS | given


def test_a_certificate_proves_the_server() -> None:
    """Then a password may be sent, as the product itself does."""
    found = connection_variables("postgresql://db/x?sslmode=verify-full&sslrootcert=/ca.pem&sslcert=/c.pem", {})

    assert (found["PGSSLMODE"], found["PGSSLROOTCERT"], found["PGSSLCERT"]) == ("verify-full", "/ca.pem", "/c.pem")
    assert "PGREQUIREAUTH" not in found


def test_a_key_with_a_pass_phrase_is_refused() -> None:
    """The programs would ask for it on a terminal."""
    with pytest.raises(InvalidInput, match="sslpassword"):
        connection_variables("postgresql://db/x?sslmode=verify-full&sslpassword=y", {})
