"""What every suite has: servers, a migrated database and a topic prefix for each test; and no secret gets out."""

import secrets
from collections.abc import Iterator

import pytest
from hypothesis import settings
from support.databases import create_database, drop_database, run_apart
from support.leaks import hear_everything, pytest_runtest_makereport
from support.servers import SERVERS, given_addresses

from bridge.stack import StackAddresses

__all__ = ["pytest_runtest_makereport"]

# The same examples each time, and none that fails because the machine was busy while it was drawn or tried.
settings.register_profile("house", deadline=None, derandomize=True)
settings.load_profile("house")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds `--stack`."""
    parser.addoption(
        "--stack",
        choices=sorted(SERVERS),
        default="embedded",
        help="where Kafka and Postgres come from: started by the tests (the default), in containers, or given",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Listens to all that is said; refuses a run that lacks the addresses of given servers before it collects anything."""
    if hasattr(config, "workerinput") or not config.getoption("numprocesses", None):
        hear_everything()
    if config.getoption("--stack") == "external":
        given_addresses()


@pytest.fixture(scope="session")
def stack(request: pytest.FixtureRequest) -> Iterator[StackAddresses]:
    """Kafka and Postgres, started when the first test asks for them."""
    with SERVERS[request.config.getoption("--stack")]() as addresses:
        yield addresses


@pytest.fixture(scope="session")
def template_database(stack: StackAddresses) -> Iterator[str]:
    """The name of a migrated database, to be copied: a copy takes a fraction of a migration's time."""
    from sinks.migrate import migrate

    name = f"template_{secrets.token_hex(4)}"
    url = create_database(stack, name)
    try:
        run_apart(migrate(url))
        yield name
    finally:
        drop_database(stack, name)


@pytest.fixture
def database_url(stack: StackAddresses, template_database: str) -> Iterator[str]:
    """The URL of a migrated database that no other test sees."""
    name = f"test_{secrets.token_hex(4)}"
    try:
        yield create_database(stack, name, template=template_database)
    finally:
        drop_database(stack, name)


@pytest.fixture
def topic_prefix() -> str:
    """What the names of a test's topics and groups begin with."""
    return f"t{secrets.token_hex(3)}."
