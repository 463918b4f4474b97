"""`/docs`: the OpenAPI document as a page of plain HTML, without scripts and external resources."""

import json
from html import escape
from typing import Any, Final

POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'"
"""Content security policy of the page, which loads nothing."""

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #1b1b1f }
h2 { border-top: 1px solid #d5d5dc; padding-top: 1.2rem; font-size: 1.1rem }
code, pre { font: 13px/1.45 ui-monospace, monospace; background: #f3f3f6; border-radius: 3px }
code { padding: 0 .25em } pre { padding: .7rem; overflow: auto }
table { border-collapse: collapse } td, th { text-align: left; vertical-align: top; padding: .2rem 1rem .2rem 0 }
@media (prefers-color-scheme: dark) { body { background: #17171a; color: #e6e6ea } code, pre { background: #26262b } }
"""


def docs_page(document: dict[str, Any]) -> str:
    """Return the page's HTML."""
    info = document["info"]
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8>",
        f"<title>{escape(info['title'])}</title><style>{_STYLE}</style>",
        f"<h1>{escape(info['title'])}</h1><p>Version {escape(info['version'])}.</p>",
        '<p>This document as JSON: <a href="openapi.json">openapi.json</a>.</p>',
    ]
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            parts.append(_operation(path, method, operation))
    parts.append("<h2>Schemas</h2>")
    for name, schema in document["components"]["schemas"].items():
        name, shown = escape(name), escape(json.dumps(schema, indent=2, ensure_ascii=False))
        parts.append(f'<details id="{name}"><summary><code>{name}</code></summary><pre>{shown}</pre></details>')
    return "\n".join(parts)


def _operation(path: str, method: str, operation: dict[str, Any]) -> str:
    parts = [f"<h2><code>{method.upper()} {escape(path)}</code></h2>", f"<p>{escape(operation.get('summary', ''))}</p>"]
    if "description" in operation:
        parts.append(f"<p>{escape(operation['description'])}</p>")
    if parameters := operation.get("parameters"):
        rows = [(f"{one['name']} ({one['in']})", escape(one.get("description", ""))) for one in parameters]
        parts.append(_table(rows))
    if body := operation.get("requestBody"):
        kinds = ", ".join(f"<code>{escape(kind)}</code>" for kind in body["content"])
        parts.append(f"<p>Body: {kinds}</p>")
    parts.append(_table([(status, _answer(answer)) for status, answer in operation["responses"].items()]))
    return "\n".join(parts)


def _answer(answer: dict[str, Any]) -> str:
    names = [
        content["schema"]["$ref"].rpartition("/")[2]
        for content in answer.get("content", {}).values()
        if "$ref" in content.get("schema", {})
    ]
    links = "".join(f' <a href="#{escape(name)}">{escape(name)}</a>' for name in names)
    return escape(answer["description"]).replace("; `", "<br>`") + links


def _table(rows: list[tuple[str, str]]) -> str:
    return "<table>" + "".join(f"<tr><th>{escape(name)}</th><td>{text}</td></tr>" for name, text in rows) + "</table>"
