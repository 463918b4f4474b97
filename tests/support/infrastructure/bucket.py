"""A small server with the S3 protocol, for one bucket: objects, uploads in parts, lists, and one account."""

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from xml.etree import ElementTree as ET

from aiohttp import web

BUCKET = "backups-of-tests"
ACCOUNT = "an-account-of-tests"
OTHER_KEY = "a-key-that-only-tests-have"
_XMLNS = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'


@dataclass
class Bucket:
    """The bucket's content. `fail_after` is the number of requests after which the server answers 507."""

    port: int = 0
    objects: dict[str, bytes] = field(default_factory=dict)
    uploads: dict[str, dict[int, bytes]] = field(default_factory=dict)
    fail_after: int | None = None
    requests: int = 0

    def variables(self, account: str = ACCOUNT) -> dict[str, str]:
        return {
            "AWS_ACCESS_KEY_ID": account,
            "AWS_SECRET_ACCESS_KEY": OTHER_KEY,
            "AWS_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.port}",
            "AWS_ALLOW_HTTP": "true",
        }

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.requests += 1
        if f"Credential={ACCOUNT}/" not in request.headers.get("Authorization", ""):
            return _error(
                403, "InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist in our records."
            )
        if request.match_info["bucket"] != BUCKET:
            return _error(404, "NoSuchBucket", "The specified bucket does not exist")
        if self.fail_after is not None and self.requests > self.fail_after:
            return _error(403, "QuotaExceeded", "The quota of the bucket is used up.")
        name = request.match_info.get("name", "")
        if "delete" in request.query:
            gone = [one.text or "" for one in ET.fromstring(await request.text()).iter() if one.tag.endswith("Key")]
            for one in gone:
                self.objects.pop(one, None)
            return _xml(
                f"<DeleteResult {_XMLNS}>{''.join(f'<Deleted><Key>{one}</Key></Deleted>' for one in gone)}</DeleteResult>"
            )
        if not name:
            return self._list(request.query.get("prefix", ""))
        if "uploads" in request.query or "uploadId" in request.query:
            return await self._upload(request, name)
        if request.method == "PUT":
            self.objects[name] = await request.read()
            return web.Response(headers=_described(self.objects[name]))
        if request.method == "DELETE":
            self.objects.pop(name, None)
            return web.Response(status=204)
        if name not in self.objects:
            return _error(404, "NoSuchKey", "The specified key does not exist.")
        found = self.objects[name]
        length = {"Content-Length": str(len(found))} if request.method == "HEAD" else {}
        return web.Response(body=found, headers=_described(found) | length)

    async def _upload(self, request: web.Request, name: str) -> web.Response:
        upload = request.query.get("uploadId", "")
        if request.method == "POST" and not upload:
            upload = f"upload-{self.requests}"
            self.uploads[upload] = {}
            return _xml(f"<InitiateMultipartUploadResult {_XMLNS}><Bucket>{BUCKET}</Bucket><Key>{name}</Key>"
                        f"<UploadId>{upload}</UploadId></InitiateMultipartUploadResult>")  # fmt: skip
        if request.method == "DELETE":
            self.uploads.pop(upload)
            return web.Response(status=204)
        if request.method == "PUT":
            part = await request.read()
            self.uploads[upload][int(request.query["partNumber"])] = part
            return web.Response(headers=_described(part))
        listed = ET.fromstring(await request.text()).iter("PartNumber")
        parts = self.uploads.pop(upload)
        self.objects[name] = b"".join(parts[int(one.text or "")] for one in listed)
        return _xml(f"<CompleteMultipartUploadResult {_XMLNS}><Bucket>{BUCKET}</Bucket><Key>{name}</Key>"
                    f'<ETag>"{upload}"</ETag></CompleteMultipartUploadResult>')  # fmt: skip

    def _list(self, prefix: str) -> web.Response:
        found = "".join(
            f"<Contents><Key>{name}</Key><LastModified>{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.000Z}</LastModified>"
            f'<ETag>"x"</ETag><Size>{len(content)}</Size><StorageClass>STANDARD</StorageClass></Contents>'
            for name, content in sorted(self.objects.items())
            if name.startswith(prefix)
        )
        return _xml(
            f"<ListBucketResult {_XMLNS}><Name>{BUCKET}</Name><IsTruncated>false</IsTruncated>{found}</ListBucketResult>"
        )


def _described(content: bytes) -> dict[str, str]:
    moment = f"{datetime.now(UTC):%a, %d %b %Y %H:%M:%S} GMT"
    return {"ETag": f'"{hashlib.md5(content).hexdigest()}"', "Last-Modified": moment}


def _xml(text: str, status: int = 200) -> web.Response:
    return web.Response(
        text=f'<?xml version="1.0" encoding="UTF-8"?>{text}', status=status, content_type="application/xml"
    )


def _error(status: int, code: str, message: str) -> web.Response:
    return _xml(f"<Error><Code>{code}</Code><Message>{message}</Message></Error>", status)


@asynccontextmanager
async def serving_bucket() -> AsyncIterator[Bucket]:
    """Serve the bucket in the test's event loop, on a free port of the loopback address."""
    bucket = Bucket()
    app = web.Application(client_max_size=1 << 26)
    app.router.add_route("*", "/{bucket}", bucket.answer)
    app.router.add_route("*", "/{bucket}/{name:.*}", bucket.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        bucket.port = runner.addresses[0][1]
        yield bucket
    finally:
        await runner.cleanup()
