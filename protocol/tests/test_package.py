"""package.json installs the whole package: by the real `mip` on the real MicroPython, from a local server."""

import functools
import http.server
import json
import os
import subprocess
import threading
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

PROTOCOL = Path(__file__).parents[1]
PACKAGE = json.loads((PROTOCOL / "package.json").read_text())


def test_package_lists_every_file_once() -> None:
    files = sorted(path.relative_to(PROTOCOL).as_posix() for path in (PROTOCOL / "meter_protocol").glob("*.py"))
    assert [target for target, _ in PACKAGE["urls"]] == files
    assert [source for _, source in PACKAGE["urls"]] == files


def test_version_is_that_of_the_distribution() -> None:
    project = tomllib.loads((PROTOCOL.parent / "pyproject.toml").read_text())["project"]
    assert PACKAGE["version"] == project["version"]


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """The test runner's output is not the place for it."""


@pytest.fixture
def served() -> Iterator[str]:
    handler = functools.partial(Quiet, directory=str(PROTOCOL))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_mip_installs_it(micropython: Path, served: str, tmp_path: Path) -> None:
    script = f"""
import mip, sys
mip.install("{served}/package.json", target="{tmp_path}", mpy=False)
sys.path.insert(0, "{tmp_path}")
from meter_protocol import messages, framing, merkle, topics, quantities, events
print("installed", messages.__file__, topics.up(bytes(8)))
"""
    completed = subprocess.run(
        [micropython, "-c", script],
        check=False,
        env=os.environ | {"MICROPYPATH": ".frozen"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    expected = f"installed {tmp_path}/meter_protocol/messages.py carbonmeter/1/0000000000000000/up"
    assert completed.stdout.splitlines()[-1] == expected, completed.stdout + completed.stderr
