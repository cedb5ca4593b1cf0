"""Signing neither branches nor addresses memory by the private key: p256-m and our nonces under valgrind.

On the host's processor and its compiler's code, after Adam Langley's ctgrind. p256-m's own marks say what of its
results is public. Mbed TLS has no such marks outside its own tests, so it is not judged here.
"""

import shutil
import subprocess
from pathlib import Path

import pytest

from meter_tools import board_build, upstream
from meter_tools.bench import board_core

PROGRAM = Path(__file__).parent / "native_constant_time.c"
FOUND = 9


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("valgrind") is None:
        pytest.skip("valgrind is not installed; nothing else needs it")
    try:
        mbedtls = upstream.find(upstream.MBEDTLS, board_build.SOURCES)
    except upstream.SourceError as error:
        pytest.skip(f"the source of Mbed TLS is missing: {error}")
    built = tmp_path_factory.mktemp("native") / "constant_time"
    sources = board_core.compiler_arguments("p256-m", mbedtls.folder)
    subprocess.run(["gcc", "-g", "-Os", "-std=gnu99", "-DCT_VALGRIND", *sources, PROGRAM, "-o", built], check=True)
    return built


def valgrind(program: Path, *arguments: str) -> int:
    command = ["valgrind", "--quiet", f"--error-exitcode={FOUND}", program, *arguments]
    return subprocess.run(command, check=False, timeout=120).returncode


def test_nothing_depends_on_the_key(program: Path) -> None:
    assert valgrind(program) == 0


def test_what_does_is_found(program: Path) -> None:
    assert valgrind(program, "leak") == FOUND
