"""The unit is one that systemd understands, and locks the gateway in."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

UNIT = Path(__file__).parents[1] / "systemd" / "carbonmeter-gateway.service"
MOST_EXPOSED = 2.0
"""Of 10; systemd calls anything below 2 "OK"."""


@pytest.fixture
def systemd_analyze() -> str:
    found = shutil.which("systemd-analyze")
    if found is None:
        pytest.skip("systemd-analyze is not installed")
    return found


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """The unit with a program that exists on every machine."""
    text = re.sub(r"^ExecStart=\S+", "ExecStart=/bin/true", UNIT.read_text(), flags=re.MULTILINE)
    path = tmp_path / UNIT.name
    path.write_text(text)
    return path


def test_systemd_understands_every_line(systemd_analyze: str, unit: Path) -> None:
    done = subprocess.run([systemd_analyze, "verify", unit], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert done.returncode == 0


def test_little_is_exposed(systemd_analyze: str, unit: Path) -> None:
    command = [systemd_analyze, "security", "--offline=true", unit]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    level = re.search(r"Overall exposure level for \S+: ([0-9.]+)", done.stdout)
    if level is None:
        pytest.skip("this systemd-analyze cannot judge a unit offline")
    assert float(level[1]) < MOST_EXPOSED


def test_the_command_is_ours() -> None:
    text = UNIT.read_text()
    assert re.search(r"^ExecStart=\S+/carbonmeter gateway run --config \S+$", text, re.MULTILINE)
    assert re.search(r"^RestartPreventExitStatus=2$", text, re.MULTILINE)
