"""docs/board-costs.md: what `make bench-board` measured, as the page that a change's diff shows.

It holds nothing that differs between two runs of the same sources and compiler, such as a date.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from meter_tools import toolchain
from meter_tools.boards.description import Status
from meter_tools.mpycross import PROJECT
from meter_tools.upstream import Source

PAGE = PROJECT / "docs" / "board-costs.md"
BOARD = "emulated_stm32"
"""The board whose core the emulator counts."""

HOST = "unix"
COMPILER = "arm-none-eabi-gcc"
GOAL = 1.1

ENGINES = {
    "p256-m": "p256-m, bare C",
    "mbedtls": "Mbed TLS as MicroPython configures it, bare C",
    "mbedtls-fast": "Mbed TLS with ECP_NIST_OPTIM and HAVE_ASM, bare C",
}
SIGNERS = {"native": "`carbonmeter_native` called from Python", "python": "`p256.py`, pure Python"}
SEAM = "`NativeSigner.sign`, what the firmware calls"
STEPS = {
    "close": "close the ten channels",
    "encode": "encode, and check against the schema",
    "hash": "SHA-256 of the Sig_structure",
    "sign": "sign",
    "append": "append to the journal, to the flash",
}
BETWEEN = "between them: header, COSE, totals"
WHOLE = "the whole, measured in one piece"
SIZES = ("text", "data", "bss", "stack", "heap")

INTRODUCTION = """\
Made by `make bench-board`, all of it. Whoever changes what a board runs makes it anew, so that growth shows in the
diff: `hil_tests/tests/test_board_costs.py` builds the image and holds its sizes against this page.

Counted are the instructions of a Cortex-M4 that QEMU emulates (`-icount shift=0`), not seconds: what a real board
waits for, its flash and a secure element, comes on top."""

BUILT_WITH = "Built with"
SIGNING = "Signing"
ABOUT_SIGNING = f"""\
P-256 with nonces by RFC 6979, on a digest, in million instructions. The bytes are those of a bare program that
does nothing else. Goal: what the firmware calls costs at most {GOAL} × the bare call."""

INTERVAL = "One interval"
ABOUT_INTERVAL = f"""\
Ten channels, three registers and seven means of fifteen samples, as the firmware's own loop closes them
(`firmware/native/bench/interval.py`). Instructions are in thousands, on `{BOARD}` with the key in its flash,
the native module, and LittleFS on the emulated chip. Medians of many intervals, and the largest: LittleFS rewrites
a directory now and then. Bytes are all that is taken from the heap, with nothing swept meanwhile; the next sweep
frees them. `{HOST}` signs in pure Python, with objects of 64 bits."""

IMAGES = "Images"
ABOUT_IMAGES = f"""\
Bytes; stack and heap are what the linker leaves for them. What a running meter has in use of its heap:
[boards/{BOARD}](../boards/{BOARD}/README.md)."""

BOARDS = "Boards"
WORDS = "---"


@dataclass(frozen=True)
class Cost:
    instructions: int
    """The median."""

    largest: int | None
    heap_bytes: int


@dataclass(frozen=True)
class Measured:
    built_with: Mapping[str, str]
    """Compiler and sources by name, each with its version."""

    bare: Mapping[str, Mapping[str, int]]
    """Instructions by function, and `bytes` of program, of each engine."""

    on_board: Mapping[str, Cost]
    on_host: Mapping[str, Cost]
    """Of a host's times nothing is told."""

    sizes: Mapping[str, int]
    """Of the shipping image."""

    boards: Mapping[str, Status]
    """Every board's name and status."""

    @property
    def seam(self) -> float:
        """A signature through the firmware's seam, in signatures by the bare library."""
        return self.on_board["native_sign_seam"].instructions / self.bare["p256-m"]["sign"]


def built_with(micropython: Source, mbedtls: Source) -> dict[str, str]:
    """What the sizes of an image follow from, beside this project."""
    sources = {source.upstream.name: source.version for source in (micropython, mbedtls)}
    return {COMPILER: toolchain.version(COMPILER), **sources}


def page(measured: Measured) -> str:
    parts = (
        "# What signing, an interval and an image cost a board",
        INTRODUCTION,
        _section(BUILT_WITH, _table(("", ""), list(measured.built_with.items()), WORDS)),
        _signing(measured),
        _interval(measured.on_board, measured.on_host),
        _images(measured.sizes),
        _section(
            BOARDS,
            _table(
                ("", "measured"),
                [(f"`{board}`", _said_of(board, status)) for board, status in sorted(measured.boards.items())],
                WORDS,
            ),
        ),
    )
    return "\n\n".join(parts) + "\n"


def rows(text: str, heading: str) -> dict[str, list[str]]:
    """The cells behind each row's first one, of a page's table; KeyError if it has no such section."""
    sections = dict(re.findall(r"^## (.+)\n((?:(?!## ).*\n?)*)", text, re.MULTILINE))
    lines = [line.strip("|").split("|") for line in sections[heading].splitlines() if line.startswith("|")]
    return {name.strip(): [cell.strip() for cell in cells] for name, *cells in lines[2:]}


def _signing(measured: Measured) -> str:
    base = measured.bare["p256-m"]["sign"]
    lines = []
    for engine, title in ENGINES.items():
        cost = measured.bare[engine]
        counts = [cost[name] for name in ("public_key", "sign", "verify")]
        lines.append((f"{title} ({cost['bytes']:,} B)", *map(_millions, counts), _times(cost["sign"], base)))
    for kind, title in SIGNERS.items():
        counts = [measured.on_board[f"{kind}_{name}"].instructions for name in ("public_key", "sign", "verify")]
        lines.append((title, *map(_millions, counts), _times(counts[1], base)))
    seam = measured.on_board["native_sign_seam"].instructions
    lines.append((SEAM, "", _millions(seam), "", _times(seam, base)))
    first = (
        measured.on_board["python_public_key_first"].instructions
        - measured.on_board["python_public_key"].instructions
    )
    return _section(
        SIGNING,
        ABOUT_SIGNING,
        _table(("", "public key", "sign", "verify", "sign, beside bare p256-m"), lines),
        f"`p256.py` makes a table at its first use: {_millions(first)} million more, once a boot. Its numbers\n"
        "fill the heap many times over: the sweeps are in its figures.",
    )


def _interval(on_board: Mapping[str, Cost], on_host: Mapping[str, Cost]) -> str:
    steps = [(title, on_board[f"interval_{step}"], on_host[f"interval_{step}"]) for step, title in STEPS.items()]
    between = (BETWEEN, _between(on_board), _between(on_host))
    whole = (WHOLE, on_board["interval"], on_host["interval"])
    return _section(
        INTERVAL,
        ABOUT_INTERVAL,
        _table(
            ("", "instructions", "largest", f"heap bytes, `{BOARD}`", f"heap bytes, `{HOST}`"),
            [_interval_row(*row) for row in (*steps, between, whole)],
        ),
    )


def _between(costs: Mapping[str, Cost]) -> Cost:
    """What the whole takes beside its steps; which interval took the most for it, nothing tells."""
    whole, steps = costs["interval"], [costs[f"interval_{step}"] for step in STEPS]
    return Cost(
        whole.instructions - sum(step.instructions for step in steps),
        None,
        whole.heap_bytes - sum(step.heap_bytes for step in steps),
    )


def _images(sizes: Mapping[str, int]) -> str:
    return _section(
        IMAGES,
        ABOUT_IMAGES,
        _table(("", *SIZES), [(f"`{BOARD}`", *(f"{sizes[name]:,}" for name in SIZES))]),
    )


def _said_of(board: str, status: Status) -> str:
    if board == BOARD:
        return "instructions, heap and sizes, above"
    if board == HOST:
        return "heap, above; a host's instructions say nothing of a board"
    if status == "written":
        return "nothing: it was never built"
    return f"nothing; [its README](../boards/{board}/README.md) has the sizes of an image that was linked"


def _interval_row(title: str, on_board: Cost, on_host: Cost) -> tuple[str, ...]:
    return (
        title,
        _thousands(on_board.instructions),
        "" if on_board.largest is None else _thousands(on_board.largest),
        f"{on_board.heap_bytes:,}",
        f"{on_host.heap_bytes:,}",
    )


def _section(heading: str, *parts: str) -> str:
    return "\n\n".join([f"## {heading}", *parts])


def _table(heads: Sequence[str], lines: Iterable[Sequence[str]], ruler: str = "---:") -> str:
    """Numbers stand to the right, words not."""
    marks = ["---", *[ruler] * (len(heads) - 1)]
    return "\n".join([_row(heads), f"|{'|'.join(marks)}|", *map(_row, lines)])


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _millions(instructions: int) -> str:
    return f"{instructions / 1e6:.2f}"


def _thousands(instructions: int) -> str:
    """What the board's clock resolves."""
    return f"{instructions / 1000:,.0f}"


def _times(instructions: int, base: int) -> str:
    return f"{instructions / base:.3f} ×"
