"""The check for leaked secrets: each way to leak one fails the test, in one process and in several."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from support.processes.programs import CHECKOUT, environment

PLANTED = """
import logging, os, subprocess, sys, threading
from http.server import BaseHTTPRequestHandler, HTTPServer
import aiohttp, httpx, pytest

def test_sound(): subprocess.run([sys.executable, "-c", "print('sk_nothing')"], check=True)

KEY = "sk_" + "0123456789ab" + "_" + "0123456789abcdef" * 4
TOKEN = "eyJzY3JpcHQiOiJzaG9wIn0abc" + "." + "Jm9yaWdpbiI6Imh0dHBzOi8v"
SECRET = "qKx7-Zt2m-Bv9d-Lw4s"
OUT = [sys.executable, "-c", "import sys; sys.stdout.write(sys.argv[1] + chr(10))"]
ERR = [sys.executable, "-c", "import sys; sys.stderr.write(sys.argv[1] + chr(10))"]
GIVEN = [sys.executable, "-c", "import os; print(os.environ['BRIDGE_SECRET_KEY'])"]
URL = [sys.executable, "-c", "import os; print('cannot reach', os.environ['BRIDGE_DATABASE_URL'])"]

class Server(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/metrics" else 401)
        self.end_headers()
        self.wfile.write(f'rejected{{token="{KEY}"}} 1'.encode())
    def log_message(self, *words): pass

@pytest.fixture
def url():
    server = HTTPServer(("127.0.0.1", 0), Server)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()

def test_run(): subprocess.run([*OUT, KEY], capture_output=True)
def test_run_with_errors(): subprocess.run([*ERR, TOKEN], capture_output=True, text=True)
def test_output_only(): subprocess.run([*OUT, KEY], stdout=subprocess.PIPE)
def test_a_pipe_that_is_read():
    with subprocess.Popen([*OUT, KEY], stdout=subprocess.PIPE, text=True) as process: process.stdout.readline()
def test_nowhere(): subprocess.run([*OUT, KEY], stdout=subprocess.DEVNULL)
def test_a_file(tmp_path):
    with (tmp_path / "log").open("wb") as log: subprocess.Popen([*ERR, KEY], stdout=log, stderr=log).wait()
def test_what_a_process_was_given():
    subprocess.run(GIVEN, env={**os.environ, "BRIDGE_SECRET_KEY": SECRET}, capture_output=True)
def test_a_password():
    given = {"BRIDGE_DATABASE_URL": f"postgresql://app:{SECRET}@db/bridge"}
    subprocess.run(URL, env={**os.environ, **given}, capture_output=True)
def test_settings():
    from schemas.config.settings import Settings
    print(Settings(kafka_bootstrap_servers="k:1", database_url="postgresql://db/d", secret_key=SECRET).secret_key.get_secret_value())
def test_print(): print("the token is", TOKEN)
def test_log(): logging.getLogger("aiokafka").warning("refused %s", KEY)
def test_a_problem(url): httpx.get(url + "/token").read()
async def test_figures(url):
    async with httpx.AsyncClient() as client: await client.get(url + "/metrics")
async def test_other_client(url):
    async with aiohttp.ClientSession() as session, session.get(url + "/metrics") as answer: await answer.text()
"""


SECRETS = re.compile(r"sk_\w{12}_\w{64}|eyJ\w+\.\w+|qKx7-Zt2m")


@pytest.mark.parametrize("processes", [0, 2])
def test_a_secret_that_gets_out_fails_its_test(tmp_path: Path, processes: int) -> None:
    """A test without a leak passes; the report of a leak doesn't repeat the secret."""
    (tmp_path / "test_planted.py").write_text(PLANTED)
    words = (
        f"-m pytest -q --show-capture=no -n {processes} -p no:cacheprovider -p conftest --confcutdir={tmp_path}".split()
    )
    done = subprocess.run(
        [sys.executable, *words, "-c", str(CHECKOUT / "pyproject.toml"), str(tmp_path)],
        cwd=tmp_path,
        env=environment({"PYTHONPATH": f"{CHECKOUT / 'tests'}:{CHECKOUT}"}),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
    )

    planted = set(re.findall(r"^(?:async )?def (test_\w+)", PLANTED, re.MULTILINE)) - {"test_sound"}
    assert done.returncode == 1, done.stdout
    assert set(re.findall(r"::(test_\w+) let out a secret", done.stdout)) == planted
    assert SECRETS.search(done.stdout) is None
