"""`bridge doctor`: checks everything that the product depends on, and reports what is wrong and how to fix it."""

from typing import Annotated

import typer

from bridge.cli.common import JsonOutput, Verbose, command_settings, run, write_result
from bridge.output.tables import print_text
from schemas.config.service import PROCESSES, Service
from schemas.documents.doctor_report import Diagnosis, DoctorReport, Health
from schemas.errors import InvalidInput

SECONDS = 15.0


def doctor(
    timeout_sec: Annotated[
        float, typer.Option(min=0.1, help="Most seconds for each check, including the time that it waits to begin.")
    ] = SECONDS,
    urls: Annotated[
        list[str] | None, typer.Option("--url", help="A worker or gateway to check, as http://host:port. Repeatable.")
    ] = None,
    upgrade: Annotated[
        bool,
        typer.Option(
            "--upgrade",
            help="Only check for settings and data that this release or the following one refuses, and older ones accepted.",
        ),
    ] = False,
    services: Annotated[
        list[Service] | None,
        typer.Option(
            "--service", help="The service whose account BRIDGE_DATABASE_URL contains. Repeatable with --upgrade."
        ),
    ] = None,
    json_output: JsonOutput = None,
    verbose: Verbose = False,
) -> None:
    """Check settings, Kafka, topics, backups, Postgres, clocks, disks and the stream; nothing is written.

    Before an upgrade, run the new release's `bridge doctor --upgrade` in the environment of each service. It reports
    what the new release would refuse. The exit code is 0 if no check failed, 1 if one failed, and 3 if the settings
    can't be read. Warnings don't change it.
    """
    settings = command_settings(verbose=verbose, guarded=True, mute_kafka=True)
    from bridge.doctor.examine import checks_of, examine
    from bridge.doctor.gateway import refused_check
    from bridge.doctor.health import ready_check
    from bridge.doctor.upgrade import upgrade_checks

    if len(services or ()) > 1 and not upgrade:
        raise InvalidInput("--service: several services are only possible with --upgrade; give one")
    own = upgrade_checks(services or PROCESSES) if upgrade else checks_of(services[0] if services else None)
    asked = urls or ()
    checks = (*own, *map(ready_check, asked), *map(refused_check, () if upgrade else asked))
    report = run(examine(settings, timeout_sec=timeout_sec, checks=checks))
    if write_result(report.model_dump(mode="json"), json_output):
        show(report)
    raise typer.Exit(1 if report.health is Health.FAIL else 0)


def show(report: DoctorReport) -> None:
    """Print the report for people, on standard output: one line for each check, in columns, never wrapped.

    Checks with the same finding share one line: the first check's line, with the names of the other checks appended.
    """
    group = max(len(one.group) for one in report.diagnoses)
    check = max(len(one.check) for one in report.diagnoses)
    alike: dict[tuple[Health, str, str], list[Diagnosis]] = {}
    for one in report.diagnoses:
        alike.setdefault((one.health, one.found, one.mend), []).append(one)
    for (health, found, mend), (first, *others) in alike.items():
        line = f"{health.value:4}  {first.group:{group}}  {first.check:{check}}  {found}"
        names = list(dict.fromkeys(one.check for one in others))
        print_text("; ".join([line, *([mend] if mend else []), *([f"likewise {', '.join(names)}"] if names else [])]))
    print_text(", ".join(f"{sum(one.health is health for one in report.diagnoses)} {health}" for health in Health))
