"""The client's own wheel: one package with all dependencies declared, which works without the product."""

import json
import os
import subprocess
import sys
import venv
from importlib.metadata import distribution
from pathlib import Path
from zipfile import ZipFile

import pytest
from packaging.requirements import Requirement

CHECKOUT = Path(__file__).resolve().parents[2]
PACKAGE = "ghostlink_bridge_client"

PROGRAM = """
import gzip, http.server, importlib.util, json, sys, threading
from pathlib import Path
from ghostlink_bridge_client import BlockingBridgeClient, NotDelivered, Options

taken = []

class Gateway(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        body = gzip.decompress(body) if self.headers["content-encoding"] == "gzip" else body
        document = json.loads(body)
        events = document["events"] if isinstance(document, dict) else document
        taken.extend(events)
        results = [{"index": i, "event_id": one["event_id"], "status": "accepted"} for i, one in enumerate(events)]
        answer = json.dumps({"accepted": len(events), "rejected": 0, "results": results}).encode()
        self.send_response(202)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_): pass

server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Gateway)
threading.Thread(target=server.serve_forever, daemon=True).start()
options = Options(spool=Path("spool"), linger=0.01)
with BlockingBridgeClient(f"http://127.0.0.1:{server.server_port}", "shop", "sk_x_y", options) as client:
    sent = [client.track("signup", {"number": number}) for number in range(3)]
    client.flush(timeout=20)
server.shutdown()
print(json.dumps({
    "delivered": sorted(one["event_id"] for one in taken) == sorted(sent),
    "others": [name for name in ("bridge", "schemas", "telemetry", "sinks", "streams", "faust", "pydantic") if importlib.util.find_spec(name)],
}))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the checkout."""
    target = tmp_path_factory.mktemp("client")
    succeed(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(target), "deploy/client"], CHECKOUT
    )
    (built,) = target.glob("*.whl")
    return built


def succeed(words: list[str], directory: Path) -> str:
    clean = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    done = subprocess.run(
        words,
        cwd=directory,
        env=clean,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, f"{words} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
    return done.stdout


def borrow(needed: list[str], site_packages: Path) -> None:
    """Link the installed files of these distributions and of their dependencies only."""
    seen: set[str] = set()
    while needed:
        one = Requirement(needed.pop())
        if one.name in seen or (one.marker and not one.marker.evaluate({"extra": ""})):
            continue
        seen.add(one.name)
        found = distribution(one.name)
        needed += found.requires or ()
        for top in {file.parts[0] for file in found.files or () if file.parts[0] not in ("..", "__pycache__")}:
            place = site_packages / top
            if not place.exists():
                place.symlink_to(Path(str(found.locate_file(top))))


def test_client_wheel_holds_one_package_and_its_license(wheel: Path) -> None:
    """The wheel has no generic package name that another distribution could have, and imports none."""
    with ZipFile(wheel) as archive:
        names = archive.namelist()
        texts = {name: archive.read(name).decode() for name in names if name.endswith(".py")}
        (metadata,) = (archive.read(name).decode() for name in names if name.endswith("/METADATA"))
    assert {name.split("/")[0] for name in names} == {PACKAGE, f"{PACKAGE}-0.1.0.dist-info"}
    assert {f"{PACKAGE}/LICENSE", f"{PACKAGE}/py.typed"} <= set(names)
    assert [line for line in metadata.splitlines() if line.startswith("Requires-Dist")] == [
        "Requires-Dist: aiohttp>=3.13"
    ]
    for name, text in texts.items():
        compile(text, name, "exec")
        assert not [
            line for line in text.splitlines() if line.startswith(("from bridge", "from schemas", "import bridge"))
        ]


def test_client_wheel_delivers_where_nothing_else_is(wheel: Path, tmp_path: Path) -> None:
    """With its declared dependencies only, events are sent through a spool to a gateway."""
    home = tmp_path / "venv"
    venv.create(home, with_pip=False, symlinks=True)
    python = str(home / "bin" / "python")
    install = ["install", "--quiet", "--no-input", "--no-index", "--no-deps", str(wheel)]
    succeed([sys.executable, "-m", "pip", "--python", python, *install], tmp_path)
    (site_packages,) = home.glob("lib/python*/site-packages")
    borrow(["aiohttp"], site_packages)

    said = succeed([python, "-c", PROGRAM], tmp_path)

    assert json.loads(said) == {"delivered": True, "others": []}
