"""The C module inside a real MicroPython: the Unix port built from source with it, without TLS, in build/native.

About half a minute the first time. The same module in the emulated board's image: `make bench-board`, `make hil`.
"""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from meter_tools import board_build, upstream
from meter_tools.mpycross import PROJECT

pytestmark = pytest.mark.long

TESTS = Path(__file__).parent
OUTPUT = PROJECT / "build" / "native"
WITHOUT = ("MICROPY_PY_SSL", "MICROPY_PY_FFI", "MICROPY_PY_BTREE", "MICROPY_PY_THREAD")
"""What needs libraries of the host or MicroPython's submodules."""

PASSED = {
    "test_arguments_are_checked",
    "test_nothing_is_taken_but_the_result",
    "test_rfc6979_signatures",
    "test_every_flipped_bit_is_refused",
    "test_wrong_lengths_are_refused",
    "test_signatures_are_verified_by_the_module",
}
"""Some of what has to be there: the script itself stops at the first test that fails."""


@pytest.fixture(scope="module")
def native_micropython() -> Path:
    for program in ("gcc", "make"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is missing")
    try:
        micropython = upstream.find(upstream.MICROPYTHON, board_build.SOURCES).folder
        mbedtls = upstream.find(upstream.MBEDTLS, board_build.SOURCES).folder
    except upstream.SourceError as error:
        pytest.skip(f"a source is missing: {error}")
    settings = {
        "BUILD": OUTPUT / "unix",
        "FROZEN_MANIFEST": "",
        "USER_C_MODULES": board_build.NATIVE.parent,
        "MBEDTLS_SOURCE": mbedtls,
        "COPT": "-O1",
        "STRIP": "",
        **dict.fromkeys(WITHOUT, "0"),
    }
    OUTPUT.mkdir(parents=True, exist_ok=True)
    log = OUTPUT / "unix.log"
    with log.open("w") as said:
        done = subprocess.run(
            ["make", f"-j{os.cpu_count() or 1}", *(f"{name}={value}" for name, value in settings.items())],
            cwd=micropython / "ports" / "unix",
            stdout=said,
            stderr=subprocess.STDOUT,
            check=False,
        )
    assert done.returncode == 0, log.read_text()[-2000:]
    return OUTPUT / "unix" / "micropython"


def test_the_seam_and_p256s_tests_on_the_module(native_micropython: Path) -> None:
    done = subprocess.run(
        [native_micropython, TESTS / "native_seam.py"],
        env=os.environ | {"MICROPYPATH": f"{PROJECT / 'protocol'}:{PROJECT / 'firmware'}:{TESTS}"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert set(done.stdout.split()) >= PASSED
