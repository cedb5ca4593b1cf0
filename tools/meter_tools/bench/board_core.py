"""The native signer's C core without a port: how a compiler gets it, and its cost on a bare Cortex-M4 in QEMU."""

import re
import subprocess
from pathlib import Path

from meter_tools.boards import emulator
from meter_tools.mpycross import PROJECT

NATIVE = PROJECT / "firmware" / "native"
ENGINES = ("p256-m", "mbedtls", "mbedtls-fast")
"""What computes on the curve: p256-m, Mbed TLS as MicroPython configures it, and with the options of its own that
make it fast (MBEDTLS_ECP_NIST_OPTIM and MBEDTLS_HAVE_ASM)."""

CORE_FILES = ("es256.c", "order.c", "rfc6979.c")
MBEDTLS_FILES = (
    "asn1parse.c",
    "asn1write.c",
    "bignum.c",
    "bignum_core.c",
    "constant_time.c",
    "ecdsa.c",
    "ecp.c",
    "ecp_curves.c",
    "platform_util.c",
    "sha256.c",
)
# Compiled as the emulated board's port is. The vectors come where the core looks for them, and variables lie in
# memory from the start: the emulator loads them there.
BARE = (
    *("-mthumb", "-mcpu=cortex-m4", "-mfloat-abi=soft", "-std=gnu99", "-Os"),
    *("-ffunction-sections", "-fdata-sections", "-nostartfiles", "--specs=nano.specs"),
    *("-Wl,--gc-sections", "-Wl,--undefined=vectors", "-Wl,-e,reset_handler"),
    *("-Wl,--section-start=.vectors=0x08000000", "-Wl,-Ttext=0x08000040", "-Wl,-Tdata=0x20000000"),
)
LOOP_INSTRUCTIONS = 2_000_000
"""What on_core.c's loop is known to take; reading the timer takes a few more."""

LIMIT_S = 120


class MeasurementError(Exception):
    """The emulator did not say what it was asked for."""


def compiler_arguments(engine: str, mbedtls: Path) -> list[str | Path]:
    """Include paths, definitions and files of what es256.h declares; `mbedtls` is the folder of its source."""
    common: list[str | Path] = [f"-I{NATIVE}", f"-I{mbedtls / 'include'}", *(NATIVE / name for name in CORE_FILES)]
    if engine == "p256-m":
        return [
            *common,
            '-DMBEDTLS_CONFIG_FILE="p256m_config.h"',
            f"-I{mbedtls}",
            f"-I{mbedtls / '3rdparty' / 'p256-m' / 'p256-m'}",
            NATIVE / "curve_p256m.c",
            NATIVE / "p256m_library.c",
        ]
    return [
        *common,
        '-DMBEDTLS_CONFIG_FILE="bench/mbedtls_config.h"',
        *(["-DFAST"] if engine == "mbedtls-fast" else []),
        NATIVE / "curve_mbedtls.c",
        *(mbedtls / "library" / name for name in MBEDTLS_FILES),
    ]


def measure(engine: str, mbedtls: Path, folder: Path) -> dict[str, int]:
    """Instructions of `public_key`, `sign` and `verify`, and `bytes` of program."""
    elf = folder / f"{engine}.elf"
    sources: list[str | Path] = [*compiler_arguments(engine, mbedtls), NATIVE / "bench" / "on_core.c"]
    subprocess.run(["arm-none-eabi-gcc", *BARE, *sources, "-o", elf], check=True)
    cost = {name: int(words[0]) for name, *words in emulate(elf, folder)}
    if not LOOP_INSTRUCTIONS <= cost.pop("loop", 0) <= LOOP_INSTRUCTIONS + 10:
        raise MeasurementError("the emulator's timer does not count instructions")
    sizes = subprocess.run(["arm-none-eabi-size", elf], capture_output=True, text=True, check=True).stdout
    text, data = map(int, sizes.splitlines()[1].split()[:2])
    return {**cost, "bytes": text + data}


def emulate(elf: Path, folder: Path) -> list[list[str]]:
    """The words of each line that the program says before it ends well.

    Virtual time follows its instructions and leaps where it waits, so that two runs are alike.
    """
    machine = emulator.MACHINE["emulated_stm32"]
    command: list[str | Path] = [emulator.QEMU, "-machine", machine, "-kernel", elf]
    command += ["-display", "none", "-monitor", "none"]
    clock = ["-icount", "shift=0,sleep=off", "-serial", "stdio", "-semihosting-config", "enable=on,target=native"]
    done = subprocess.run(
        [*command, *clock],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    lines = [line.split() for line in done.stdout.splitlines()]
    if done.returncode or not all(re.fullmatch(r"\w+( -?\d+)*", " ".join(words)) for words in lines):
        raise MeasurementError(f"{elf.name} ended with {done.returncode}: {done.stdout.strip()[-1000:]}")
    return lines
