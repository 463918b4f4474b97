"""What every suite has: servers, a migrated database and a topic prefix for each test; and no secret gets out."""

import secrets
from collections.abc import Iterator

import pytest
from hypothesis import settings
from support.infrastructure.databases import as_admin, create_database, drop_database
from support.infrastructure.servers import SERVERS, given_addresses
from support.infrastructure.shared_servers import Servers, pytest_configure_node, servers, share_servers
from support.leaks import hear_everything, pytest_runtest_makereport
from support.logs import plain_logs

from bridge.dev.stack import StackAddresses

__all__ = ["pytest_configure_node", "pytest_runtest_makereport", "servers"]

# The same examples each time, and none that fails because the machine was busy while it was drawn or tried.
settings.register_profile("house", deadline=None, derandomize=True)
settings.load_profile("house")

plain_logs()


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
    share_servers(config)


@pytest.fixture(scope="session")
def stack(servers: Servers) -> StackAddresses:
    """Kafka and Postgres, the same for all processes of the run."""
    return servers.addresses


@pytest.fixture(scope="session")
def template_database(servers: Servers) -> str:
    """The name of a migrated database, to be copied."""
    return servers.template_database


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


@pytest.fixture
def empty_database(stack: StackAddresses) -> Iterator[str]:
    """The URL of a database that nothing was done to."""
    name = f"empty_{secrets.token_hex(4)}"
    try:
        yield create_database(stack, name)
    finally:
        drop_database(stack, name)


@pytest.fixture
def superuser_database(stack: StackAddresses, empty_database: str) -> str:
    """The same, for the superuser."""
    return as_admin(stack, empty_database)
