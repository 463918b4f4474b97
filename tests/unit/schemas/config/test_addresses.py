"""Addresses of backing services: parsed as the drivers do it, and never repeated in an error."""

import pytest

from schemas.config.addresses import broker_hosts, database_address, database_places, is_local, web_host


@pytest.mark.parametrize(
    ("url", "hosts", "user", "password", "database", "sslmode"),
    [
        ("postgresql://u:p@h:1/d", ("h",), "u", "p", "d", "prefer"),
        ("postgresql://u:p%40ss@h/d?sslmode=verify-full", ("h",), "u", "p@ss", "d", "verify-full"),
        ("postgresql://u@a:1,b:2/d", ("a", "b"), "u", "", "d", "prefer"),
        ("postgresql://u@[::1]:5432/d", ("::1",), "u", "", "d", "prefer"),
        ("postgresql:///d?host=/run/postgresql&user=u", ("/run/postgresql",), "u", "", "d", "prefer"),
        ("postgresql://%2Frun%2Fpostgresql/d", ("/run/postgresql",), "", "", "d", "prefer"),
        ("postgresql://h?dbname=d&password=p&sslmode=disable", ("h",), "", "p", "d", "disable"),
        ("postgres://", (), "", "", "", "prefer"),
    ],
)
def test_a_database_url_in_parts(url: str, hosts: tuple[str, ...], user, password, database, sslmode) -> None:
    """Hosts, account, database and TLS are found anywhere in the URL."""
    assert database_address(url) == (hosts, user, password, database, sslmode)


@pytest.mark.parametrize(
    "url",
    [
        "sqlite:///hidden.db",
        "hidden",
        "mysql://u:hidden@h/d",
        "postgresql://u:hid/den@h/d",
        "postgresql://u:hid#den@h/d",
        "postgresql://u:p@hidden@h/d",
        "postgresql://u:hidden@h:port/d",
        "postgresql://u:hidden@h:99999/d",
        "postgresql://u:hidden@h:0/d",
        "postgresql://u:hidden@[::1/d",
        "postgresql://u:hidden@h/d?sslmode=hidden",
        "postgresql://u:hidden@h/d?sslmode",
        "postgresql://u:hid\u2100den@h/d",
        "postgresql://u:hidden@h o/d",
    ],
)
def test_a_malformed_database_url_is_refused_without_its_text(url: str) -> None:
    """The message gives the accepted form and no possible part of the password."""
    with pytest.raises(ValueError) as caught:
        database_address(url)
    assert "hid" not in str(caught.value)


def test_brokers() -> None:
    """There may be several, with or without a port."""
    assert broker_hosts("a:9092,b,[::1]:9092,10.0.0.1:1") == ("a", "b", "::1", "10.0.0.1")


@pytest.mark.parametrize("servers", ["", "a:1,", "a:b", "a b:1", "kafka://a:1", "a:0", "a:70000"])
def test_malformed_brokers(servers: str) -> None:
    """The error gives the accepted form."""
    with pytest.raises(ValueError, match="host:port"):
        broker_hosts(servers)


def test_web_addresses() -> None:
    """The result is the host of an http or https URL."""
    assert web_host("https://u:p@h:8443/x?y=1") == "h"
    for malformed in ("not a url", "ftp://h/", "https://", "https:///x"):
        with pytest.raises(ValueError):
            web_host(malformed)


@pytest.mark.parametrize(
    "host",
    [
        "", "/run/postgresql", "@abstract", "localhost", "LOCALHOST", "localhost.", "x.localhost",
        "localhost.localdomain", "ip6-localhost", "127.0.0.1", "127.255.1.2", "127.1", "2130706433", "0x7f.1", "0",
        "0.0.0.0", "::1", "::", "::1%lo", "::ffff:127.0.0.1", "0:0:0:0:0:0:0:1",
    ],
)  # fmt: skip
def test_this_very_machine(host: str) -> None:
    """Every form that a resolver accepts counts as loopback."""
    assert is_local(host)


@pytest.mark.parametrize(
    "host",
    ["db", "db.internal", "localhost.example.com", "10.0.0.1", "192.168.1.1", "128.0.0.1", "::2", "fe80::1%eth0"],
)
def test_another_machine(host: str) -> None:
    """Private addresses are not loopback."""
    assert not is_local(host)


@pytest.mark.parametrize(
    ("url", "places"),
    [
        ("postgresql://u@a:1,b:2/d", [("a", 1), ("b", 2)]),
        ("postgresql://u@a,b:2/d", [("a", None), ("b", 2)]),
        ("postgresql://u@a,b/d?port=7", [("a", 7), ("b", 7)]),
        ("postgresql://u@a,b/d?port=7,8", [("a", 7), ("b", 8)]),
        ("postgresql:///d?host=a,[::1]&port=7", [("a", 7), ("::1", 7)]),
        ("postgresql://%2Frun%2Fpostgresql/d", [("/run/postgresql", None)]),
        ("postgresql:///d", []),
    ],
)
def test_the_places_of_a_database_url(url: str, places: list[tuple[str, int | None]]) -> None:
    """Each server has its own port, or the URL's common one."""
    assert list(database_places(url)) == places
