"""The contracts as JSON Schemas and AsyncAPI, and the reference pages that are generated from the code."""

from pathlib import Path
from typing import Any, Final, get_args, get_origin

import msgspec
from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from bridge.cli.common import file_errors, write_json
from bridge.reference.asyncapi import asyncapi
from bridge.reference.markdown import page, table
from bridge.reference.schema_page import schema_page
from schemas.config.environment import environment_names
from schemas.config.settings import Settings
from schemas.documents.audit_report import AuditReport
from schemas.documents.dead_letter_filter import DeadLetterFilter
from schemas.documents.doctor_report import DoctorReport
from schemas.documents.gate import GateChange
from schemas.documents.replay import PlanSummary, ReplaySummary
from schemas.documents.run_summary import ProcessSummary, RunSummary
from schemas.events.bridge_event import BridgeEvent
from schemas.events.raw_event import RawEvent, RawEventV2
from schemas.kafka import headers
from schemas.kafka.dead_letter import DeadLetter
from schemas.reasons import ERRORS, DroppedReason
from sinks.kafka.topics import declared
from telemetry import metrics

_MODELS: Final[dict[str, type[BaseModel]]] = {
    "raw_event_v1": RawEvent,
    "raw_event_v2": RawEventV2,
    "dead_letter": DeadLetter,
    "dead_letter_filter": DeadLetterFilter,
    "run_summary": RunSummary,
    "process_summary": ProcessSummary,
    "plan_summary": PlanSummary,
    "replay_summary": ReplaySummary,
    "gate_change": GateChange,
    "audit_report": AuditReport,
    "doctor_report": DoctorReport,
    "settings": Settings,
}


def contracts() -> dict[str, Any]:
    """Return the data contracts by name: each is a JSON Schema, or a table (such as the error codes) as JSON."""
    models = {name: model.model_json_schema() for name, model in _MODELS.items()}
    # Producers may send more fields than the model has: the upcaster moves those to `properties._extra` before.
    models["raw_event_v1"]["additionalProperties"] = True
    # The default settings, independent of this process's environment.
    settings = Settings.model_construct()
    specs = declared(settings)
    return models | {
        "bridge_event": msgspec.json.schema(BridgeEvent),
        "headers": _header_names(),
        "errors": _errors(),
        "topics": [spec._asdict() for spec in specs],
        "asyncapi": asyncapi(models, specs, settings),
    }


def _header_names() -> dict[str, Any]:
    names = {name.lower(): value for name, value in vars(headers).items() if name.isupper() and isinstance(value, str)}
    return {
        "names": names,
        "set_by_the_stream": sorted(headers.STREAM_SETS),
        "error_text_bytes": headers.ERROR_TEXT_BYTES,
    }


def _errors() -> dict[str, Any]:
    return {
        "classes": {
            error.value: {"action": rule.action.value, "meaning": rule.meaning, "look_at": rule.look_at}
            for error, rule in ERRORS.items()
        },
        "dropped_reasons": [reason.value for reason in DroppedReason],
    }


def export_contracts(directory: Path) -> list[Path]:
    """Write each contract to `<name>.json`; returns the files. Raises PreconditionFailed if one can't be written."""
    _make(directory)
    written = {directory / f"{name}.json": document for name, document in sorted(contracts().items())}
    for path, document in written.items():
        write_json(document, str(path))
    return list(written)


def write_pages(directory: Path) -> list[Path]:
    """Write the reference pages; returns the files. Raises PreconditionFailed if one can't be written."""
    _make(directory)
    written = {directory / name: text for name, text in pages().items()}
    for path, text in written.items():
        with file_errors(f"cannot write {path}", "--dir"):
            path.write_text(text, encoding="utf-8")
    return list(written)


def _make(directory: Path) -> None:
    with file_errors(f"cannot make {directory}", "--dir"):
        directory.mkdir(parents=True, exist_ok=True)


def pages() -> dict[str, str]:
    """Return each generated page's text by its file name."""
    return {
        "errors.md": errors_page(),
        "metrics.md": metrics_page(),
        "schema.md": schema_page(),
        "settings.md": settings_page(),
    }


def errors_page() -> str:
    """Return the table of errors as Markdown."""
    rows = [(f"`{error.value}`", rule.action.value, rule.meaning, rule.look_at) for error, rule in ERRORS.items()]
    return page(
        "Errors",
        "Every way an attempt can fail, what the stream then does, and what to look at. `drop` writes a dead letter\n"
        "and a ledger row, `ledger` a ledger row only, `retry` publishes to the next retry tier, and `pause` holds the\n"
        "partition because nothing is wrong with the event.",
        *table(("error class", "done", "means", "look at"), rows),
        "",
        f"A dropped event's `dropped_reason` is one of {', '.join(f'`{reason}`' for reason in DroppedReason)};",
        "with `retry_exhausted`, the class of the last error is stored as well.",
    )


def settings_page() -> str:
    """Return the table of settings as Markdown. The defaults of secrets are not shown."""
    rows = [
        (", ".join(f"`{name}`" for name in environment_names(name, field)), _default(field), field.description or "")
        for name, field in Settings.model_fields.items()
    ]
    return page(
        "Settings",
        "Read from the environment once, when a process starts; a wrong one ends it with exit code 3 and a line that\n"
        "names it. Durations are written as `500ms`, `15s`, `5m` or `1h`. Where there are two names, the first one wins.",
        *table(("setting", "default", "what for"), rows),
    )


def metrics_page() -> str:
    """Return the table of metrics as Markdown, with the names that a Prometheus query uses."""
    rows = [(f"`{one.name}`", one.kind, ", ".join(f"`{label}`" for label in one.labels), one.merged, one.documentation)
            for one in metrics.defined()]  # fmt: skip
    return page(
        "Metrics",
        "Every process serves its own metrics at `/metrics`. A histogram has `_bucket`, `_sum` and `_count`. All workers show the same\n"
        "state of Postgres (waiting retries, open dead letters, gate, circuit breaker, runs), so take the `max` of these. The usual\n"
        "`process_*` metrics of the client library exist too.\n\n"
        "A command with several processes (`--processes`) serves one page for all. The column *together* is how their series\n"
        "become one: the `sum`, the `highest` or the `lowest`, or the `latest`, which is the value that was set last. Each\n"
        "process reads the state of Postgres, so the latest reading counts. A partition belongs to one process, so its series\n"
        "are that process's.\n\n"
        "Terms: a *lane* is a worker's task that processes the batches of one partition in order. The *ledger* is the table of\n"
        "failed events, one row for each. The *gate* is the rule that judges the share of dropped and retried events; its\n"
        "*verdict* is pass or fail. A *script* is a registered source of a site's events. The *sender* class is `server` (an API\n"
        "key), `visitor` (a browser's token), `direct` (a Kafka producer) or, in metrics, `replay` (a dead letter that was sent\n"
        "again, whoever sent the event).",
        *table(("metric", "kind", "labels", "together", "what it is"), rows),
    )


def _default(field: FieldInfo) -> str:
    if _is_secret(field.annotation):
        return "(secret)"
    default = field.get_default(call_default_factory=False)
    if default in (None, "", {}) or default is PydanticUndefined:
        return ""
    return f"`{','.join(default)}`" if isinstance(default, tuple) else f"`{default}`"


def _is_secret(annotation: Any) -> bool:
    return annotation is SecretStr or (get_origin(annotation) is not None and SecretStr in get_args(annotation))
