"""Every board's own files run on MicroPython, with stand-ins for the modules that only a board has.

What is checked is what they build: buses, signer, link, watchdog, provisioning line, updates; and that the
stand-ins offer nothing that the port's stubs do not declare.
"""

import ast
import inspect
import json
import os
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import pytest

from meter_tools.checks import stubs_of

TESTS = Path(__file__).parent
BOARDS = TESTS.parents[1] / "boards"
NAMES = ["esp32_c3", "esp32_s3", "nucleo_f429zi", "stm32f4_meter"]
MAKER = uuid.uuid5(uuid.NAMESPACE_DNS, "carbonmeter.example")

BUSES = {
    "esp32_c3": {"modbus0": "modbus", "i2c0": "i2c", "pulse0": "pulse"},
    "esp32_s3": {"modbus0": "modbus", "i2c0": "i2c", "pulse0": "pulse"},
    "nucleo_f429zi": {"modbus0": "modbus", "i2c0": "i2c", "pulse0": "pulse"},
    "stm32f4_meter": {
        "modbus0": "modbus",
        "serial0": "serial",
        "spi0": "spi",
        "i2c0": "i2c",
        "pulse0": "pulse",
    },
}


def made(micropython: Path, board: str, state: str) -> dict[str, Any]:
    project = TESTS.parents[1]
    path = f".frozen:{project / 'protocol'}:{project / 'firmware'}"
    done = subprocess.run(
        [micropython, TESTS / "board_on_stand_ins.py", BOARDS / board, state],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "MICROPYPATH": path},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


@pytest.mark.parametrize("board", NAMES)
def test_a_board_with_its_factory_record(micropython: Path, board: str) -> None:
    answer = made(micropython, board, "provisioned")
    assert answer["model"] == board
    assert answer["buses"] == BUSES[board]
    assert not answer["finished"]
    assert answer["hardware_id"] == "000102030405060708090a0b"
    said = answer["said"]
    assert [what for what, _, _ in said].count("WDT") == 1
    assert ["WDT.feed", [], {}] in said
    # An ATECC608 that hangs is given up after 8.4 s, and an STM32's watchdog may run at 47 kHz in place of 32.
    assert next(keywords for what, _, keywords in said if what == "WDT")["timeout"] >= 20000
    assert ["reset", [], {}] not in said


@pytest.mark.parametrize("board", NAMES)
def test_a_board_without_a_record_has_a_line_for_first_contact(micropython: Path, board: str) -> None:
    answer = made(micropython, board, "new")
    assert not answer["factory"]
    assert answer["updates"] is None
    assert answer["line"] == ("Console" if board.startswith("esp32") else "Uart")


def test_signers(micropython: Path) -> None:
    signers = {board: made(micropython, board, "provisioned")["signer"] for board in NAMES}
    # Nobody answers for the stand-in's element: a board that wants one makes do with nothing else.
    assert signers.pop("stm32f4_meter") == "SignerError: no_response"
    assert set(signers.values()) == {"NativeSigner"}


def test_links(micropython: Path) -> None:
    whats = {board: {what for what, _, _ in made(micropython, board, "provisioned")["said"]} for board in NAMES}
    assert "LAN" in whats["nucleo_f429zi"]
    assert "WLAN" in whats["esp32_s3"]
    assert "WLAN" in whats["esp32_c3"]
    assert not {"LAN", "WLAN"} & whats["stm32f4_meter"]


def test_updates_are_for_this_model_and_fit_its_slots(micropython: Path) -> None:
    for board in NAMES:
        answer = made(micropython, board, "provisioned")
        if board == "esp32_c3":
            assert answer["updates"] is None
            continue
        assert answer["class"] == uuid.uuid5(MAKER, board).hex
        in_place = board in ("nucleo_f429zi", "stm32f4_meter")
        assert answer["updates"] is in_place
        if in_place:
            assert answer["image_bytes"] == slot_bytes(board)
            assert answer["image"] == list(image_span(board))


def spans_of(board: str) -> dict[str, tuple[int, int]]:
    """Start and length of the memories in the board's linker script."""
    spans = {}
    for line in (BOARDS / board / f"{board}.ld").read_text().splitlines():
        if "ORIGIN =" in line:
            name = line.split()[0]
            origin = line.split("ORIGIN =")[1].split(",")[0]
            length = line.split("LENGTH =")[1].split()[0]
            spans[name] = (int(origin, 16), int(length.removesuffix("K")) << 10)
    return spans


def slot_bytes(board: str) -> int:
    spans = spans_of(board)
    assert spans["ROMFS_A"][1] == spans["ROMFS_B"][1]
    return spans["ROMFS_A"][1]


def image_span(board: str) -> tuple[int, int]:
    return spans_of(board)["FLASH"]


@pytest.mark.parametrize("board", ["nucleo_f429zi", "stm32f4_meter"])
def test_image_and_slots_are_whole_sectors_side_by_side(board: str) -> None:
    """Sectors of an STM32F4 (RM0090, tables 5 and 6): four of 16 KiB, one of 64, seven of 128; twice in 2 MiB."""
    bank = [16, 16, 16, 16, 64, *[128] * 7]
    sectors = bank * (2 if board == "nucleo_f429zi" else 1)
    edges = [0x08000000]
    for kib in sectors:
        edges.append(edges[-1] + (kib << 10))
    spans = spans_of(board)
    end = 0x08000000
    for name in ("FLASH", "ROMFS_A", "ROMFS_B"):
        start, length = spans[name]
        assert start == end
        end = start + length
        assert start in edges
        assert end in edges
    assert end <= edges[-1]


NOT_IN_STUBS = {("LAN", "__init__"), ("LAN", "config"), ("LAN", "isconnected"), ("LAN", "status")}
"""What stm32's stubs lack of network.LAN; ports/stm32/network_lan.c has it."""


def declared(board: str) -> dict[str, dict[str, set[str]]]:
    """Of each class in the port's stubs: its methods, with the names of their arguments, bases included."""
    classes: dict[str, dict[str, set[str]]] = {}
    bases: dict[str, list[str]] = {}
    for path in sorted(stubs_of(BOARDS / board).glob("*.pyi")):
        if path.stem not in ("machine", "network", "pyb", "esp32"):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                found = classes.setdefault(node.name, {})
                bases.setdefault(node.name, []).extend(ast.unparse(base) for base in node.bases)
                for part in node.body:
                    if isinstance(part, ast.FunctionDef):
                        words = part.args
                        names = {word.arg for word in [*words.posonlyargs, *words.args, *words.kwonlyargs]}
                        if words.kwarg:
                            names.add("**")
                        found.setdefault(part.name, set()).update(names)
    for name, parents in bases.items():
        for parent in parents:
            for method, names in classes.get(parent, {}).items():
                classes[name].setdefault(method, set()).update(names)
    return classes


@pytest.mark.parametrize("board", ["nucleo_f429zi", "esp32_s3"])
def test_the_stand_ins_offer_nothing_that_the_stubs_do_not_declare(
    board: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(TESTS / "stand_ins"))
    import stand_in  # noqa: PLC0415  its folder is on the path only here

    stubs = declared(board)
    only = {"nucleo_f429zi": {"LAN", "USB_VCP"}, "esp32_s3": {"Partition", "WLAN"}}
    others = set().union(*(names for name, names in only.items() if name != board))
    checked = 0
    for name, kind in vars(stand_in).items():
        if not inspect.isclass(kind) or name == "Module" or name in others:
            continue
        assert name in stubs, name
        for method, function in inspect.getmembers(kind, inspect.isfunction):
            if (name, method) in NOT_IN_STUBS:
                continue
            assert method in stubs[name], f"{name}.{method}"
            keywords = {
                word.name
                for word in inspect.signature(function).parameters.values()
                if word.kind is inspect.Parameter.KEYWORD_ONLY
            }
            allowed = stubs[name][method]
            # The other port's own keywords are the other board's to use.
            ported = {"nucleo_f429zi": {"tx", "rx"}, "esp32_s3": {"hard"}}[board]
            assert "**" in allowed or keywords - ported <= allowed, f"{name}.{method}: {keywords - allowed}"
            checked += 1
    assert checked > 30
    sys.modules.pop("stand_in", None)
