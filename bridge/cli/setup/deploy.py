"""`bridge deploy rules|limits`: Prometheus' alert rules for this installation."""

from pathlib import Path
from typing import Annotated

import typer

from bridge.cli.common import file_errors, result
from bridge.cli.lazy import group
from bridge.output.private_files import whole_file
from bridge.reference.rules import DASHBOARDS, LIMITS, RUNBOOKS, limits_of, place, render
from schemas.errors import InvalidInput

deploy_app = group("deploy", "Write files for programs that run beside the product, such as Prometheus.")


@deploy_app.command()
def rules(
    limits: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="File of limits, in the form that `bridge deploy limits` prints."),
    ] = None,
    limit: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=NUMBER", help="One limit; it takes precedence over the file. Repeatable."),
    ] = None,
    runbooks: Annotated[str, typer.Option(metavar="URL", help="Address of the runbooks.")] = RUNBOOKS,
    dashboards: Annotated[
        str, typer.Option(metavar="URL", help="Address under which Grafana shows a dashboard by its uid.")
    ] = DASHBOARDS,
    output: Annotated[str, typer.Option(metavar="PATH", help="The file; - is standard output.")] = "-",
) -> None:
    """Write the alert rules with the limits and links of this installation."""
    chosen = {} if limits is None else dict(limits_of(_read(limits), f"--limits {limits}"))
    for one in limit or ():
        chosen |= limits_of(one, f"--limit {one}")
    text = render(runbooks=place("--runbooks", runbooks), dashboards=place("--dashboards", dashboards), limits=chosen)
    if output == "-":
        result(*text.splitlines())
        return
    # Prometheus reads the file under another account.
    with file_errors(f"cannot write {output}", "--output"), whole_file(Path(output), mode=0o644) as stream:
        stream.write(text)


@deploy_app.command(name="limits")
def limits_() -> None:
    """Print the alerts' limits and their purposes, as a file for `bridge deploy rules --limits`."""
    result(*LIMITS.read_text(encoding="utf-8").splitlines())


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise InvalidInput(f"--limits: cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise InvalidInput(f"--limits: {path} is not UTF-8") from None
