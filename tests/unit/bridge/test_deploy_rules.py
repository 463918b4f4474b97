"""`bridge deploy`: the rules with an installation's own limits and links, from the package alone."""

import fcntl
import os
import stat
import tomllib
from pathlib import Path

import pytest
from ruamel.yaml import YAML
from support.processes.command import bridge

from bridge.reference.rules import LIMITS, TEMPLATE, default_limits, limits_of, place, render
from schemas.errors import InvalidInput


def test_each_limit_is_used_and_each_use_is_a_limit() -> None:
    """A name in only one of the two would be ignored silently."""
    text = TEMPLATE.read_text()

    assert [name for name in default_limits() if f"${{{name}}}" not in text] == []
    assert "${" not in render()


def test_an_installation_has_limits_and_links_of_its_own(tmp_path: Path) -> None:
    """The file starts from the output of `bridge deploy limits`, and options override it."""
    printed = bridge("deploy", "limits", settings={}).stdout.decode()
    assert tomllib.loads(printed) == tomllib.loads(LIMITS.read_text())
    limits, output = tmp_path / "limits.toml", tmp_path / "own.rules.yml"
    limits.write_text(printed.replace("\ndead_letters = 5\n", "\ndead_letters = 7\n"))

    done = bridge(
        "deploy", "rules", "--limits", str(limits), "--limit", "disk_pct=80", "--runbooks", "https://wiki.example.com/b",
        "--dashboards", "https://grafana.example.com/d/", "--output", str(output), settings={},
    )  # fmt: skip

    assert done.returncode == 0, done.stderr.decode()
    groups = YAML(typ="safe", pure=True).load(output)["groups"]
    rules = {rule["alert"]: rule for group in groups for rule in group["rules"] if "alert" in rule}
    assert "> 7" in rules["BridgeDeadLettersIncreasing"]["expr"]
    assert rules["BridgeDiskFull"]["expr"].endswith("> 80 / 100")
    assert "limit 80 %" in rules["BridgeDiskFull"]["annotations"]["summary"]
    assert rules["BridgeDiskFull"]["annotations"]["runbook_url"] == "https://wiki.example.com/b/disk-full.md"
    assert rules["BridgeDiskFull"]["annotations"]["dashboard_url"].startswith("https://grafana.example.com/d/bridge-")


def test_rules_are_readable_by_others_and_change_no_device(tmp_path: Path) -> None:
    """A file gets its mode with its name; a pipe keeps its own."""
    file, pipe = tmp_path / "own.rules.yml", tmp_path / "pipe"
    os.mkfifo(pipe)
    pipe.chmod(0o666)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        # More than the pipe's buffer would wait for the reader.
        fcntl.fcntl(reader, fcntl.F_SETPIPE_SZ, 1 << 20)
        for output in (file, pipe):
            done = bridge("deploy", "rules", "--output", str(output), settings={})
            assert done.returncode == 0, done.stderr.decode()
        assert b"BridgeDiskFull" in os.read(reader, 1 << 20)
    finally:
        os.close(reader)
    assert [stat.S_IMODE(one.stat().st_mode) for one in (file, pipe)] == [0o644, 0o666]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("dead_leters = 5", "did you mean dead_letters?"),
        ("zzz = 5", "bridge deploy limits"),
        ("disk_pct = 101", "exceeds 100 percent"),
        ("disk_pct = -1", "of 0 or more"),
        ("disk_pct = nan", "of 0 or more"),
        ("disk_pct = true", "of 0 or more"),
        ('disk_pct = "90"', "of 0 or more"),
        ("disk_pct", "not valid TOML"),
    ],
)
def test_a_wrong_limit_is_named(text: str, told: str) -> None:
    """The error gives the accepted form."""
    with pytest.raises(InvalidInput, match="--limit x") as raised:
        limits_of(text, "--limit x")
    assert told in str(raised.value)


@pytest.mark.parametrize(
    "url", ["", "https://a b/", 'https://x/"', "https://x/{{ .Value }}/", "https://x/\ny: z", "#x"]
)
def test_a_place_that_can_not_stand_in_a_link_is_refused(url: str) -> None:
    """Such a URL would end the file's scalar or act as a template."""
    with pytest.raises(InvalidInput, match="--runbooks"):
        place("--runbooks", url)


def test_errors_are_one_line() -> None:
    """The command needs no settings."""
    for words, told in (
        (("--limits", "/nothing/such"), b"cannot read"),
        (("--output", "/nothing/such"), b"cannot write"),
    ):
        done = bridge("deploy", "rules", *words, settings={})
        assert (done.returncode, done.stderr.count(b"\n"), told in done.stderr) == (3, 1, True), done.stderr.decode()
