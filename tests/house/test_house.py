"""The rules of this repository that no linter checks."""

import ast
import re
import subprocess
from collections import Counter
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import pytest

from schemas.config.environment import environment_names
from schemas.config.settings import Settings
from sinks.postgres.schema.check import expected_catalogue
from sinks.postgres.schema.migrate import migrations
from sinks.postgres.statements import statement_files

CHECKOUT = Path(__file__).resolve().parents[2]
PACKAGES = ("schemas", "telemetry", "sinks", "streams", "bridge")
MOST_LINES = 400
MOST_FILES = 20
# path: the reason why the file is longer.
LONGER: dict[str, str] = {}

SQL = re.compile(
    r"\s*(SELECT|INSERT\s+INTO|UPDATE\s+\w+\s+SET|DELETE\s+FROM|CREATE|DROP|ALTER|TRUNCATE|COPY|WITH\s+\w+\s+AS"
    r"|MERGE|LISTEN|NOTIFY|GRANT|LOCK)\s+\S"
)
# A query without a table, a setting of a session, a channel.
TRIVIAL_SQL = re.compile(r"SELECT (?!.*\bFROM\b)[^;]*|SET \w+ = \S+|LISTEN \w+", re.DOTALL)
# Statements that have to be in Python, with the reason.
SQL_ALLOWED = {
    "sinks/postgres/schema/grants.py": "composes grants of what the statements need and the catalogue has",
    "sinks/postgres/backups/target.py": "creates and drops the database of a verification, whose name is no parameter",
    "bridge/dev/stack/cluster.py": "sets a password in Postgres' single-user mode, which takes no parameters",
    "bridge/dev/stack/databases.py": "creates the development server's database and role, which take no parameters",
}
# Modules that may write to a terminal, each with what it writes.
WRITERS = {
    "telemetry/terminal.py": "lines and JSON, all of it",
    "bridge/output/tables.py": "tables, each cell and title",
    "telemetry/logging.py": "log lines, each value",
    "bridge/cli/dlq/export.py": "rows that bridge/dead_letters/export.py has escaped",
    "bridge/dev/stack/supervisor.py": "answers its owner through a pipe, in ASCII",
}
MIGRATIONS = CHECKOUT / "sinks" / "postgres" / "schema" / "migrations"
FIRST_COMMENTED = 15
"""The first migration whose views name their columns."""
VARIABLE = re.compile(r"\b(?:BRIDGE|GHOSTLINK)_[A-Z0-9_]+\b(?!…)")
"""A truncated name, as in a table, doesn't match."""
VARIABLES_OF_TESTS = "BRIDGE_TEST_"
METRIC_KINDS = {"Counter", "Gauge", "Histogram", "Summary", "Info", "Enum"}
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)|!\[[^\]]*\]\(([^)\s]+)\)")
UNTRACKED = re.compile(r"(^|/)(\.git|\.venv|\.ghostlink|\.hypothesis|__pycache__|\.?\w+_cache|dist|\.env)(/|$)|\.pyc$")
# In parts, so that this file does not contain the names that it forbids.
REGISTRY_HOSTS = [
    ".".join(parts)
    for parts in (
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("repo1", "maven"),
        ("repo", "maven"),
        ("registry", "npmjs"),
        ("registry-1", "docker"),
        ("proxy", "golang"),
        ("crates", "io"),
    )
]
CARGO_INDEX = "registry+https://github.com/rust-lang/" + ".".join(("crates", "io-index"))
REGISTRY_PATHS = re.compile(r"https?://\S+/(simple|maven2?|artifactory|nexus)(/|\b)|--(extra-)?index-url|--find-links")


@lru_cache
def tracked() -> tuple[Path, ...]:
    """List the files of the repository, also untracked ones; without git, all files outside of caches."""
    words = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        listed = subprocess.run(words, cwd=CHECKOUT, capture_output=True, text=True, check=True).stdout.split("\0")
    except (OSError, subprocess.CalledProcessError):
        every = (path.relative_to(CHECKOUT) for path in CHECKOUT.rglob("*"))
        listed = [str(path) for path in every if not UNTRACKED.search(str(path))]
    return tuple(path for name in sorted(listed) if name and (path := CHECKOUT / name).is_file())


def name_of(path: Path) -> str:
    return str(path.relative_to(CHECKOUT))


def product_modules() -> list[Path]:
    return [path for path in tracked() if path.suffix == ".py" and path.relative_to(CHECKOUT).parts[0] in PACKAGES]


def strings(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield line and text of each string constant; an f-string's parts are joined, with `{}` for its fields."""
    inside: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            inside.update(id(part) for part in node.values)
            parts = [str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values]
            yield node.lineno, "".join(parts)
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in inside:
            yield node.lineno, node.value


def test_modules_stay_within_their_budget() -> None:
    """A file has at most 400 lines; LONGER gives the reason for an exception."""
    over = {
        name_of(path) for path in tracked() if path.suffix == ".py" and len(path.read_text().splitlines()) > MOST_LINES
    }

    assert over == set(LONGER)


def test_folders_of_the_product_stay_within_their_budget() -> None:
    """A folder has at most 20 files of one kind; migrations are exempt, since their number only grows."""
    files = [path for path in tracked() if name_of(path).split("/")[0] in PACKAGES and path.parent.name != "migrations"]
    counts = Counter((name_of(path.parent), path.suffix) for path in files)

    assert [kind for kind, count in counts.items() if count > MOST_FILES] == []


def test_every_module_says_what_it_is_in_its_first_line() -> None:
    """The first line of each module's docstring is a sentence, or a complete clause of it."""
    for path in product_modules():
        docstring = ast.get_docstring(ast.parse(path.read_text()))

        assert docstring, f"{name_of(path)} has no docstring"
        assert docstring.splitlines()[0].endswith((".", ":", "?")), f"{name_of(path)}: {docstring.splitlines()[0]}"


def test_sql_stands_in_sql_files() -> None:
    """No Python file has a statement that names a table."""
    found = [
        f"{name_of(path)}:{line}: {text.strip()[:80]}"
        for path in product_modules()
        if name_of(path) not in SQL_ALLOWED
        for line, text in strings(ast.parse(path.read_text()))
        if SQL.match(text) and not TRIVIAL_SQL.fullmatch(text.strip())
    ]

    assert found == []


def test_every_sql_file_is_used_and_says_what_for() -> None:
    """Each SQL file has a caller and begins with a comment; each loaded name has a file."""
    files = {name: path.read_text() for name, path in statement_files().items()}
    loaded = set()
    for path in product_modules():
        loaded.update(re.findall(r"\bsql\(\s*[\"'](\w+)[\"']\s*\)", path.read_text()))

    assert set(files) == loaded
    for name, text in files.items():
        assert re.match(r"-- \S.*", text), f"{name}.sql does not open with a comment"


def test_every_migration_is_named_in_order_and_says_what_for() -> None:
    """The versions start at 0001 and have no gap."""
    found = [path for path in tracked() if path.parent == MIGRATIONS]

    assert [path.name[:5] for path in found] == [f"{number:04d}_" for number in range(1, len(found) + 1)]
    for path in found:
        assert path.suffix == ".sql"
        assert path.read_text().startswith("-- "), name_of(path)


def test_everything_in_the_schema_says_what_it_means() -> None:
    """Each table, view, column and function has its own comment; `*` in a view would add columns without one."""
    for relation, things in expected_catalogue().items():
        for kind, _, path in (thing.partition(" ") for thing in things):
            if kind in ("table", "view", "column", "function"):
                assert things.get(f"comment {path}", "").strip(), f"{kind} {path} of {relation} has no COMMENT ON"
    for one in migrations():
        assert one.version < FIRST_COMMENTED or not re.search(r"[\s.]\*\s+FROM\b", one.text), one.name


def test_metrics_are_defined_in_one_file() -> None:
    """Only telemetry/metrics.py defines metrics; other modules use them."""
    for path in product_modules():
        if name_of(path) == "telemetry/metrics.py":
            continue
        tree = ast.parse(path.read_text())
        imported = {
            alias.name
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("prometheus_client")
            for alias in node.names
        }
        plain = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}

        assert not imported & METRIC_KINDS, f"{name_of(path)} defines a metric"
        assert "prometheus_client" not in plain, f"{name_of(path)} imports prometheus_client as a whole"


@pytest.mark.parametrize("path", [path for path in tracked() if path.suffix == ".md"], ids=name_of)
def test_links_lead_somewhere(path: Path) -> None:
    """Each relative link names a file or directory of the repository, and a heading if it names one."""
    text = re.sub(r"```.*?```", "", path.read_text(), flags=re.DOTALL)
    for target in (first or second for first, second in LINK.findall(text)):
        if re.match(r"[a-z]+:", target):
            continue
        place, _, heading = target.partition("#")
        found = (path.parent / place).resolve() if place else path

        assert found.exists(), f"{name_of(path)} links to {target}"
        if heading:
            assert heading in anchors(found), f"{name_of(path)} links to {target}"


def test_every_variable_that_is_named_is_a_setting() -> None:
    """A wrong name on a page, in a template, manifest, error or help has no effect. `BRIDGE_X_*` names several."""
    known = {one for name, field in Settings.model_fields.items() for one in environment_names(name, field)}
    wrong = set()
    for path in tracked():
        if path.relative_to(CHECKOUT).parts[0] == "tests":
            continue
        for name in VARIABLE.findall(path.read_bytes().decode(errors="replace")):
            several = name.endswith("_") and any(one.startswith(name) for one in known)
            if name not in known and not several and not name.startswith(VARIABLES_OF_TESTS):
                wrong.add(f"{name_of(path)} names {name}")

    assert not wrong


def anchors(path: Path) -> set[str]:
    """The anchors of a page's headings."""
    headings = re.findall(r"^#+ (.+)$", path.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def test_no_file_names_a_package_registry() -> None:
    """The source of packages is the user's configuration; no file may override or reveal it."""
    found = []
    for path in tracked():
        try:
            text = path.read_text()
        except UnicodeDecodeError:
            continue
        if path.name == "Cargo.lock":
            # Cargo writes the same name of the index, whichever server it uses.
            text = text.replace(CARGO_INDEX, "")
        found += [f"{name_of(path)}: {host}" for host in REGISTRY_HOSTS if host in text]
        if path != Path(__file__):
            found += [f"{name_of(path)}: {match[0]}" for match in REGISTRY_PATHS.finditer(text)]

    assert found == []


def ways_out(tree: ast.AST) -> Iterator[int]:
    """Yield the lines that could write to a terminal: print, the standard streams, click's echo, rich's console."""
    asked = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Attribute) and node.attr in ASKED}
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id="print") | ast.Attribute(attr="echo" | "secho" | "echo_via_pager")):
                yield node.lineno
            case ast.Call(func=ast.Attribute(value=ast.Name(id="os"), attr="write"), args=[ast.Constant(1 | 2), *_]):
                yield node.lineno
            case ast.Attribute(value=ast.Name(id="sys"), attr="stdout" | "stderr" | "__stdout__" | "__stderr__"):
                if id(node) not in asked:
                    yield node.lineno
            case ast.ImportFrom(module="rich" | "rich.console" | "sys" | "typer" | "click", names=names):
                if {one.name for one in names} & {
                    "Console",
                    "print",
                    "get_console",
                    "stdout",
                    "stderr",
                    "echo",
                    "secho",
                }:
                    yield node.lineno


ASKED = ("isatty", "fileno")


def test_nothing_reaches_a_terminal_but_through_the_writers() -> None:
    """The writers escape control characters; no other module prints, even if it considers its texts safe."""
    found = {name_of(path): list(ways_out(ast.parse(path.read_text()))) for path in product_modules()}

    assert {name: lines for name, lines in found.items() if lines and name not in WRITERS} == {}
    assert all(found[name] for name in WRITERS)


@pytest.mark.parametrize(
    "line",
    ["print(x)", "typer.echo(x)", "sys.stderr.write(x)", "out = sys.stdout", "from rich.console import Console",
     "from rich import print", "os.write(2, x)"],
)  # fmt: skip
def test_way_out_to_a_terminal_is_found(line: str) -> None:
    """`isatty` of a stream is not reported."""
    assert list(ways_out(ast.parse(line))) == [1]
    assert list(ways_out(ast.parse("sys.stdout.isatty()"))) == []
