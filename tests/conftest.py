"""Fixtures of all suites: servers, a migrated database and a topic prefix for each test; the check for leaks."""

import secrets
from collections.abc import Iterator

import pytest
from hypothesis import settings
from support.infrastructure.class_archive import use_class_archive
from support.infrastructure.databases import as_admin, create_database, drop_database
from support.infrastructure.servers import SERVERS, given_addresses
from support.infrastructure.shared_servers import Servers, pytest_configure_node, servers, share_servers
from support.leaks import hear_everything, pytest_runtest_makereport
from support.logs import plain_logs

from bridge.dev.stack import StackAddresses

__all__ = ["pytest_configure_node", "pytest_runtest_makereport", "servers"]

# The same examples each time, and no failures because of a busy machine.
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
    """Start the check for leaked secrets; refuse a run without the addresses of given servers before the collection."""
    if hasattr(config, "workerinput") or not config.getoption("numprocesses", None):
        hear_everything()
    if config.getoption("--stack") == "external":
        given_addresses()
    if not hasattr(config, "workerinput"):
        use_class_archive()
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
    """The URL of a migrated database of this test alone."""
    name = f"test_{secrets.token_hex(4)}"
    try:
        yield create_database(stack, name, template=template_database)
    finally:
        drop_database(stack, name)


@pytest.fixture
def topic_prefix() -> str:
    """The prefix of a test's topics and groups."""
    return f"t{secrets.token_hex(3)}."


@pytest.fixture
def empty_database(stack: StackAddresses) -> Iterator[str]:
    """The URL of an empty database."""
    name = f"empty_{secrets.token_hex(4)}"
    try:
        yield create_database(stack, name)
    finally:
        drop_database(stack, name)


@pytest.fixture
def superuser_database(stack: StackAddresses, empty_database: str) -> str:
    """The same database's URL for the superuser."""
    return as_admin(stack, empty_database)
