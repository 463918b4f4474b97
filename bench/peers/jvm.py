"""Shared parts of the peers on the Java machine."""

import sys
from pathlib import Path
from urllib.parse import urlsplit

from bench.peers.place import Place
from bridge.dev.stack.jars import Jars
from bridge.dev.stack.java import find_java

_LOG4J = Path(__file__).with_name("log4j2.properties")
# The garbage collector that leaves most of two cores to the work: with it Connect wrote 34 000 rows a second and Flink
# 33 000, with the default one 28 000 and 27 000 (300 000 events each). A heap of 1 GB cost Connect 6 % more CPU.
# Batches of 5 000 rows were faster for neither peer.
_FLAGS = ("-Xmx2g", "-XX:+UseParallelGC", "-XX:-UsePerfData", "--enable-native-access=ALL-UNNAMED")


def java(place: Place, jars: Jars, *flags: str) -> list[str]:
    """Return a Java command line with the jars, and with log and scratch files in the place's directory."""
    scratch = place.directory / "tmp"
    scratch.mkdir(parents=True, exist_ok=True)
    return [
        str(find_java()),
        *_FLAGS,
        *flags,
        f"-Djava.io.tmpdir={scratch}",
        f"-Dlog4j2.configurationFile={_LOG4J}",
        f"-Dpeer.log={place.directory / 'peer.log'}",
        "-cp",
        ":".join(map(str, jars.class_path(lambda message: print(message, file=sys.stderr)))),
    ]


def jdbc_url(place: Place) -> str:
    """Return the database's URL, with batches of rows in one statement, and text accepted for every column type."""
    found = urlsplit(place.database_url)
    return f"jdbc:postgresql://{found.netloc.partition('@')[2]}{found.path}?reWriteBatchedInserts=true&stringtype=unspecified"


def user(place: Place) -> str:
    """Return the role that writes the rows."""
    return urlsplit(place.database_url).username or ""
