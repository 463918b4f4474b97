"""Every answer is one that the OpenAPI document names, in the documented form, and none is a 5xx."""

import asyncio
import json
import re
from collections.abc import Iterator
from typing import Any

import httpx
import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.processes.api import Api, client, ok, token
from support.processes.gateway import bearer

from schemas.api_token import Role
from schemas.config.settings import Settings

Document = dict[str, Any]

JUNK = st.sampled_from(
    [None, True, -1, 0, 2**63, 2**64, 10**400, 1.5, 1e308, "", "\x00", "any", "é\n'\";--%", "x" * 2000, [], [[]], {}, {"a": 1}]
)  # fmt: skip
TEXTS = st.sampled_from(
    ["s1", "1:e-1", "bridge.raw:0:1", "2h", "2026-11-21T14:00:00Z", "99999999d", "9999-12-31T23:59:59.999999+00:00",
     "0001-01-01T00:00:00-23:59", "currency", "properties.a", "/site_id", "a~b", "00" * 8, "x:2147483648:1", "any",
     "2026-11-21T14:00:00+00:00/bridge.raw:0:1", "00000000-0000-4000-8000-000000000000"]
) | st.text(st.characters(exclude_categories=["Cs"]), max_size=20)  # fmt: skip


def values(document: Document, schema: Document, depth: int = 0) -> st.SearchStrategy[Any]:
    """Values that mostly fit a schema."""
    if "$ref" in schema:
        return values(document, document["components"]["schemas"][schema["$ref"].rpartition("/")[2]], depth)
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if "anyOf" in schema:
        return st.one_of([values(document, one, depth) for one in schema["anyOf"]])
    if depth > 6:
        return JUNK
    kind = schema.get("type")
    least, most = schema.get("minimum", -5), schema.get("maximum", 10**6)
    made: st.SearchStrategy[Any] = JUNK
    if kind == "integer":
        made = st.integers(least, min(most, least + 50)) | st.just(most)
    elif kind == "number":
        made = st.floats(max(0, least), min(most, 1000), allow_nan=False)
    elif kind == "boolean":
        made = st.booleans()
    elif kind == "string":
        made = TEXTS
    elif kind == "null":
        made = st.none()
    elif kind == "array":
        made = st.lists(values(document, schema["items"], depth + 1), max_size=3)
    elif kind == "object":
        fields = {name: values(document, one, depth + 1) for name, one in schema.get("properties", {}).items()}
        needed = {name: fields[name] for name in schema.get("required", ()) if name in fields}
        made = st.fixed_dictionaries(needed, optional={name: one for name, one in fields.items() if name not in needed})
        if "properties" not in schema:
            made = st.dictionaries(TEXTS, JUNK | TEXTS, max_size=3) | OPERATIONS
    return made if depth == 0 else st.integers(0, 19).flatmap(lambda chance: JUNK if chance == 0 else made)


OPERATIONS = st.fixed_dictionaries(
    {
        "op": st.sampled_from(["add", "remove", "replace", "copy", "move", "test", "x", 1, None, []]),
        "path": st.sampled_from(["", "/", "/a", "/a/-", "/~2", "x", 5, None, [], {}]),
    },
    optional={"from": st.sampled_from(["", "/a", 5, None]), "value": JUNK | TEXTS},
)


@pytest.fixture
async def asking(running: Api, two_orgs: Settings) -> Iterator[tuple[httpx.Client, Document, str]]:
    """A plain client, the document, and an admin's token."""
    text = await token(two_orgs, "fuzzer", Role.ADMIN, 10)
    async with client(running, text) as one:
        document = ok(await one.get("/openapi.json"))
        plan_id = ok(await one.post("/v1/plans", json={"filter": {"site_id": [1]}}), 201)["replay_id"]
    with httpx.Client(base_url=running.url, timeout=60) as made:
        yield made, document, f"{text} {plan_id}"


def check(document: Document, operation: Document, answer: httpx.Response) -> None:
    """Check that the answer is documented and that its body fits its schema."""
    told = operation["responses"].get(str(answer.status_code))
    assert told is not None, (answer.request, answer.status_code, answer.text[:500])
    assert answer.status_code < 500, (answer.request.url, answer.request.content, answer.text)
    kind = answer.headers["content-type"].partition(";")[0]
    assert kind in told["content"], (kind, list(told["content"]))
    # An export has a document a line, and no line if nothing was found.
    if kind.endswith("json") and kind != "application/x-ndjson":
        schema = told["content"][kind]["schema"] | {"components": document["components"]}
        jsonschema.validate(answer.json(), schema, cls=jsonschema.Draft202012Validator)


async def test_every_answer_is_documented(asking: tuple[httpx.Client, Document, str]) -> None:
    """Requests that fit the schemas, and some that don't, sent to every operation."""
    one, document, secret = asking
    text, _, plan_id = secret.partition(" ")
    operations = [
        (path, method, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if path != "/metrics"
    ]

    @settings(max_examples=250, suppress_health_check=list(HealthCheck))
    @given(st.data())
    def asked(data: st.DataObject) -> None:
        path, method, operation = data.draw(st.sampled_from(operations))
        query: list[tuple[str, Any]] = []
        for parameter in operation.get("parameters", ()):
            drawn = data.draw(values(document, parameter["schema"]))
            if parameter["in"] == "path":
                known = plan_id if parameter["name"] == "plan_id" else "bridge.raw:0:1"
                chosen = data.draw(st.sampled_from([known, known, str(drawn) or "x"]))
                path = path.replace(
                    "{" + parameter["name"] + "}", httpx.QueryParams({"x": chosen})["x"].replace("/", "%2F")
                )
            elif data.draw(st.integers(0, 3)) == 0:
                query += [(parameter["name"], each) for each in (drawn if isinstance(drawn, list) else [drawn])]
        url = httpx.URL(
            one.base_url.join(re.sub(r"[?#\x00-\x20\x7f]", "_", path)),
            params=[(name, str(each)) for name, each in query],
        )
        content = None
        if "requestBody" in operation:
            schema = operation["requestBody"]["content"]["application/json"]["schema"]
            body = data.draw(values(document, schema))
            if isinstance(body, dict) and path.endswith("/replay"):
                body = body | {"wait_seconds": 0}
            content = json.dumps(body).encode()
        answer = one.request(
            method,
            url,
            content=content,
            headers=bearer(text) | ({"content-type": "application/json"} if content else {}),
        )
        check(document, operation, answer)

    await asyncio.to_thread(asked)


async def test_the_documents(asking: tuple[httpx.Client, Document, str]) -> None:
    """The document names every route and every refusal of a guarded route; the page loads nothing from outside."""
    one, document, _ = asking
    page = one.get("/docs")
    for path, methods in document["paths"].items():
        assert path in page.text
        for operation in methods.values():
            if path.startswith("/v1"):
                assert {"401", "429", "503"} <= set(operation["responses"]), path
                assert operation["security"] == [{"token": []}]
            if "requestBody" in operation:
                assert {"400", "403", "422"} <= set(operation["responses"])
    assert not re.search(r"(src|href)=[\"']?(https?:)?//|<script|@import|url\(", page.text)
    named = [operation["operationId"] for methods in document["paths"].values() for operation in methods.values()]
    assert len(set(named)) == len(named) > 10


@pytest.mark.parametrize(
    ("content", "headers", "status", "code"),
    [
        (b"{", {}, 400, "invalid_json"),
        (b"[" * 100_000, {}, 400, "invalid_json"),
        (b"\xff", {}, 400, "invalid_json"),
        (b'{"filter": {"site_id": [1]}, "set": {"a": NaN}, "reason": "x"}', {}, 422, "invalid_request"),
        (b'{"filter": {"site_id": [1]}, "set": {"a": "\\ud800"}, "reason": "x"}', {}, 422, "invalid_request"),
        (b'{"filter": {"site_id": [1]}, "set": {"a": "\\u0000"}, "reason": "x"}', {}, 422, "invalid_request"),
        (b'{"filter": {"site_id": [1]}, "reason": "\\ud800"}', {}, 422, "invalid_request"),
        (b'{"filter": {"site": [1]}}', {}, 422, "invalid_request"),
        (b'{"filter": {"site_id": [1]}, "set": {"currency": "EUR"}}', {}, 422, "invalid_request"),
        (b'{"filter": {"site_id": [1]}, "reason": "x", "patch": [%s]}' % b",".join([b'{"op":"copy","from":"","path":"/a"}'] * 9), {}, 422, "invalid_request"),
        (b"{}", {"content-type": "text/plain"}, 422, "invalid_request"),
        (b"x" * (1024 * 1024 + 1), {}, 413, "body_too_large"),
        (b"x", {"content-encoding": "br"}, 415, "unsupported_encoding"),
        (b"x", {"content-encoding": "gzip"}, 400, "invalid_payload_json"),
    ],
)  # fmt: skip
async def test_bodies_that_are_refused(
    running: Api, bound: httpx.AsyncClient, content: bytes, headers: dict[str, str], status: int, code: str
) -> None:
    """Each is refused with its mistake, and the service keeps answering."""
    answer = await bound.post("/v1/plans", content=content, headers={"content-type": "application/json"} | headers)
    assert (answer.status_code, answer.json()["error_code"]) == (status, code), answer.text
    assert '"level": "error"' not in running.log.read_text()
    assert (await bound.get("/v1/me")).status_code == 200
