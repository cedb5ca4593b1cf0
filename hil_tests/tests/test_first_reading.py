"""docs/device-maker.md, "From a new board to its first verified reading": its files and commands, word for word.

Only the pseudo-terminals are named here, as a person names them; and the passphrases come from the environment.
"""

import json
import os
import re
import shlex
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from hil_tests.platforms import PlatformError, qemu
from hil_tests.tests.waiting import wait_until
from meter_tools.checks import SCRIPTS
from meter_tools.mpycross import PROJECT

pytestmark = pytest.mark.long

TITLE = "## From a new board to its first verified reading\n"
BLOCK = re.compile(r"```(sh|toml \S+)\n(.*?)```", re.DOTALL)
OWN_TERMINAL = "in its own terminal", "in a terminal of its own"
READY = {"board": "Ctrl-C cuts its power", "simulate": "Ctrl-C ends", "gateway": "gateway bench runs"}
"""What each command that goes on says when it has begun, by its first word."""


class Reader:
    """Does what the page says, in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lines: dict[str, str] = {}
        self.said: list[str] = []
        self._environment = {
            **os.environ,
            "CARBONMETER_LANG": "en",
            "CARBONMETER_CA_PASSPHRASE": "of the CA",
            "CARBONMETER_AUTHORITY_PASSPHRASE": "of the authority",
            "COLUMNS": "200",
        }
        self._running: list[subprocess.Popen[str]] = []

    def shell(self, line: str) -> None:
        command, _, comment = line.partition("#")
        words = [self._value(word) for word in shlex.split(command)]
        if words[0] == "export":
            self._environment |= dict(word.split("=", 1) for word in words[1:])
        elif any(terminal in comment for terminal in OWN_TERMINAL):
            self._begin(words[1:])
        elif "--waiting" in words:
            wait_until(lambda: "CM-000001" in self.run(*words[1:]), "meter that waits")
        elif words[0] == "carbonmeter":
            self.said.append(self.run(*words[1:]))
        else:
            assert {word.partition("=")[0] for word in words} == set(self.lines), line

    def run(self, *words: str) -> str:
        done = subprocess.run(
            [SCRIPTS / "carbonmeter", *words],
            cwd=self.folder,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{words}: {done.stderr}{done.stdout}"
        return done.stdout

    def write(self, name: str, text: str) -> None:
        (self.folder / name).write_text(re.sub(r'^port = "/dev/pts/\d+"', self._port, text, flags=re.MULTILINE))

    def _port(self, _: re.Match[str]) -> str:
        return f'port = "{self.lines["LINK"]}"'

    def _value(self, word: str) -> str:
        return self.lines[word[1:]] if word.startswith("$") else word

    def _begin(self, words: list[str]) -> None:
        log = self.folder / f"{words[0]}.log"
        with log.open("w") as said:
            process = subprocess.Popen(
                [SCRIPTS / "carbonmeter", *words],
                cwd=self.folder,
                env=self._environment,
                stdin=subprocess.PIPE,
                stdout=said,
                stderr=subprocess.STDOUT,
                text=True,
            )
        self._running.append(process)
        wait_until(lambda: READY[words[0]] in log.read_text(), words[0])
        if words[0] == "board":
            found = re.findall(r"^(\w+): (/dev/\S+)$", log.read_text(), re.MULTILINE)
            self.lines = {name.upper(): path for name, path in found if name != "serial0"}

    def close(self) -> None:
        for process in reversed(self._running):
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=60)


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    try:
        qemu.prepare()
    except PlatformError as error:
        pytest.skip(f"the image is missing: {error}")
    made = Reader(tmp_path)
    yield made
    made.close()


def test_a_new_board_gives_its_first_verified_reading_as_the_page_says(reader: Reader) -> None:
    page = (PROJECT / "docs" / "device-maker.md").read_text(encoding="utf-8")
    section = page.partition(TITLE)[2].partition("\n## ")[0]
    for kind, text in BLOCK.findall(section):
        if kind == "sh":
            for line in text.splitlines():
                reader.shell(line)
        else:
            reader.write(kind.removeprefix("toml "), text)

    assert any("CM-000001 is a meter" in said for said in reader.said)
    assert any(said.startswith("Enrolled meter CM-000001") for said in reader.said)
    assert {path.suffix for path in (reader.folder / "labels").iterdir()} == {".pdf", ".png"}

    def verified() -> bool:
        shown = json.loads(reader.run("readings", "--format", "json"))
        return any(entry["accepted"] and entry["value"] == "123456789" for entry in shown)

    wait_until(verified, "verified reading")
    findings = reader.run("readings")
    assert "key_native" in findings
    assert "certificate_missing" in findings
