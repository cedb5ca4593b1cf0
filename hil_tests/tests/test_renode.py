"""What Renode is told of the chips, checked without Renode; and that it runs at all, where it is installed.

The Robot suites run on it as on any other: make hil EMULATOR=renode.
"""

import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from hil_tests.chips import filesystem, nucleo
from hil_tests.platforms import PlatformError, qemu, renode, renode_monitor
from meter_tools.mpycross import PROJECT

BOARDS = PROJECT / "boards"
MODELS = PROJECT / "hil_tests" / "platforms" / "renode_models"
PORT = BOARDS / "emulated_stm32" / "port"
DESCRIBED = ("emulated_stm32", "nucleo_f429zi")

RM0090 = {
    "nvic": (0xE000E000, ()),
    "flash": (0x08000000, ()),
    "sram": (0x20000000, ()),
    "ccm": (0x10000000, ()),
    "bit_band_sram": (0x22000000, ()),
    "bit_band_peripherals": (0x42000000, ()),
    "flash_controller": (0x40023C00, ()),
    "system_memory": (0x1FFF0000, ()),
    "rcc": (0x40023800, ()),
    "pwr": (0x40007000, ()),
    "rtc": (0x40002800, (41,)),
    "iwdg": (0x40003000, ()),
    "rng": (0x50060800, (80,)),
    "exti": (0x40013C00, (6, 7, 8, 9, 10, 1, 41, 42, 3)),
    "exti5to9": (None, (23,)),
    "exti10to15": (None, (40,)),
    "usart1": (0x40011000, (37,)),
    "usart2": (0x40004400, (38,)),
    "usart3": (0x40004800, (39,)),
    "uart4": (0x40004C00, (52,)),
    "uart5": (0x40005000, (53,)),
    "usart6": (0x40011400, (71,)),
    "i2c1": (0x40005400, ()),
    "i2c2": (0x40005800, ()),
    "spi1": (0x40013000, (35,)),
    "adc": (0x40012000, ()),
    "dma1": (0x40026000, (11, 12, 13, 14, 15, 16, 17, 47)),
    "dma2": (0x40026400, (56, 57, 58, 59, 60, 68, 69, 70)),
    "timer2": (0x40000000, (28,)),
    "timer3": (0x40000400, (29,)),
    "timer4": (0x40000800, (30,)),
    "timer5": (0x40000C00, (50,)),
    "timer6": (0x40001000, (54,)),
    "timer7": (0x40001400, (55,)),
    "ethernet": (0x40028000, (61,)),
    **{f"gpioPort{letter}": (0x40020000 + 0x400 * place, ()) for place, letter in enumerate("ABCDEFGH")},
}
"""Register boundary addresses (table 1) and positions in the vector table (tables 62 and 63) of ST's manual."""

OTHER_BUSES = {"cpu", "phy", "flash_chip", "scd30", "scd41", "bme280"}
"""They have no address of their own on the processor's bus."""


@dataclass(frozen=True)
class Entry:
    kind: str
    address: int | None
    interrupts: tuple[int, ...]
    settings: dict[str, str]


def entries(board: str) -> dict[str, Entry]:
    """Of its .repl: an entry begins at the line's start, what is indented belongs to it."""
    text = re.sub(r"//.*", "", (BOARDS / board / f"{board}.repl").read_text())
    found = {}
    for name, kind, rest in re.findall(
        r"^(\w+): ([\w.]+) @ ((?:.*\n)(?:[ }].*\n|(?=\n[ ]))*)", text, re.MULTILINE
    ):
        address = re.search(r"sysbus[ <]+(?:new .*?address: )?(0x[0-9A-Fa-f]+)", rest)
        interrupts = [number for said in re.findall(r"-> ?nvic@(\S.*)", rest) for number in _numbers(said)]
        settings = dict(re.findall(r"^ {4}(\w+): (.+)$", rest, re.MULTILINE))
        found[name] = Entry(kind, address and int(address[1], 16), tuple(interrupts), settings)
    return found


def _numbers(said: str) -> Iterator[int]:
    for first, last in re.findall(r"(\d+)(?:-(\d+))?", said):
        yield from range(int(first), int(last or first) + 1)


def constant(source: str, name: str) -> int:
    found = re.search(rf"^#define {name} \((\d+)u?\)", (PORT / source).read_text(), re.MULTILINE)
    assert found, f"{name} is not in {source}"
    return int(found[1])


@pytest.mark.parametrize("board", DESCRIBED)
def test_every_peripheral_is_where_the_manual_has_it(board: str) -> None:
    described = entries(board)
    assert {"cpu", "nvic", "flash", "sram", "usart1"} <= described.keys()
    for name in described.keys() - OTHER_BUSES:
        assert (described[name].address, described[name].interrupts) == RM0090[name], name


@pytest.mark.parametrize(("board", "sram_bytes"), [("emulated_stm32", 0x20000), ("nucleo_f429zi", 0x30000)])
def test_the_chip_has_all_of_its_memory(board: str, sram_bytes: int) -> None:
    """RM0090, 2.3.1. Without the core-coupled memory an update that runs in place ends in a MemoryError."""
    described = entries(board)
    assert int(described["sram"].settings["size"], 16) == sram_bytes
    assert int(described["ccm"].settings["size"], 16) == 0x10000


@pytest.mark.parametrize("board", DESCRIBED)
def test_core_and_timers_run_at_the_speed_of_the_chip(board: str) -> None:
    described = entries(board)
    assert described["nvic"].settings["systickFrequency"] == "168000000"
    for name in described:
        if name.startswith("timer") and board == "nucleo_f429zi":
            assert described[name].settings["frequency"] == "84000000", name


def test_the_spi_controller_asks_its_own_streams_for_bytes() -> None:
    """RM0090, table 43: channel 3 of stream 2 receives for SPI1, that of stream 5 sends."""
    text = (BOARDS / "nucleo_f429zi" / "nucleo_f429zi.repl").read_text()
    spi1 = re.search(r"^spi1: (?:.+\n)+", text, re.MULTILINE)
    assert spi1
    assert dict(re.findall(r"DMA(\w+) -> dma2@(\d)", spi1[0])) == {"Receive": "2", "Transmit": "5"}


def test_the_flash_chip_is_selected_by_the_pin_of_the_wiring() -> None:
    pins = (BOARDS / "nucleo_f429zi" / "pins.csv").read_text()
    select = re.search(r"^FLASH_SELECT,P([A-H])(\d+)$", pins, re.MULTILINE)
    assert select
    text = (BOARDS / "nucleo_f429zi" / "nucleo_f429zi.repl").read_text()
    port = re.search(rf"^gpioPort{select[1]}: (?:.+\n)+", text, re.MULTILINE)
    assert port
    assert re.search(rf"^    {select[2]} -> .*flash_chip@0$", port[0], re.MULTILINE)


def test_the_port_and_renode_agree_about_time() -> None:
    described = entries("emulated_stm32")
    assert int(described["timer2"].settings["frequency"]) == constant("virtual_time.c", "TIMER_HZ")
    assert int(described["nvic"].settings["systickFrequency"]) == constant("virtual_time.c", "CORE_HZ")


def test_the_port_and_renode_agree_about_serial_lines() -> None:
    described, source = entries("emulated_stm32"), (PORT / "uart.c").read_text()
    addresses = [int(address, 16) for address in re.findall(r"\(usart_t \*\)(0x[0-9a-f]+)", source)]
    numbers = re.findall(r"irqs\[UART_COUNT\] = \{([\d, ]+)\}", source)[0].split(", ")
    ports = [described[name] for name in ("usart1", "usart2", "usart3", "uart4", "uart5", "usart6")]
    assert [port.address for port in ports] == addresses
    assert [port.interrupts for port in ports] == [(int(number),) for number in numbers]


def test_renode_has_the_memory_that_the_image_is_linked_for() -> None:
    described, script = entries("emulated_stm32"), (PORT / "stm32f405.ld").read_text()
    ram = re.search(r"RAM \(rw\) : ORIGIN = (0x\w+), LENGTH = (\d+)K", script)
    assert ram
    assert described["sram"].address == int(ram[1], 16)
    assert int(described["sram"].settings["size"], 16) == int(ram[2]) << 10
    regions = re.findall(r"\(rx?\) : ORIGIN = (0x\w+), LENGTH = (\d+)([KM])", script)
    end = max(int(start, 16) + (int(size) << (10 if unit == "K" else 20)) for start, size, unit in regions)
    assert end <= 0x08000000 + int(described["flash"].settings["size"], 16)


def test_every_semihosting_operation_of_the_port_is_answered() -> None:
    asked = set(re.findall(r"SYS_\w+ = (0x[0-9a-f]+)", (PORT / "semihosting.c").read_text()))
    assert asked
    assert asked <= set(re.findall(r"const uint Sys\w+ = (0x[0-9a-f]+)", (MODELS / "HostFiles.cs").read_text()))


@pytest.mark.parametrize("board", DESCRIBED)
def test_a_script_includes_models_that_exist_and_all_that_it_needs(board: str) -> None:
    script = BOARDS / board / f"{board}.resc"
    included = [
        (script.parent / name).resolve()
        for name in re.findall(r"^include \$ORIGIN/(.+\.cs)$", script.read_text(), re.MULTILINE)
    ]
    source = "".join(path.read_text() for path in included)
    for entry in entries(board).values():
        if entry.kind.startswith("Carbonmeter."):
            assert f"class {entry.kind.removeprefix('Carbonmeter.')} " in source


def test_commands_that_are_given_to_renode_are_defined() -> None:
    source = "".join(path.read_text() for path in MODELS.glob("*.cs"))
    for command in ("AnswerSemihosting", "CreateHostLine", "AppendToHostFile"):
        assert f"public static void {command}(this " in source
    assert "public void SetInput(int channel, uint count)" in source
    assert "public void KeepIn(string path)" in source


def test_without_renode_the_remedy_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(PlatformError, match=r"\A[^\n]*install Renode 1\.15 or newer[^\n]*\Z"):
        renode_monitor.must_be_installed()


def test_the_filesystem_holds_what_the_program_imports_and_fits(tmp_path: Path, micropython: Path) -> None:
    image = filesystem.make(tmp_path, nucleo.PROGRAM)
    assert image.stat().st_size == filesystem.IMAGE_BYTES
    held = {
        path.relative_to(tmp_path / "filesystem").as_posix() for path in (tmp_path / "filesystem").rglob("*.*")
    }
    assert {"main.py", "chip_meter.mpy", "meter_firmware/sensors/scd30.mpy", "meter_protocol/cose.mpy"} <= held
    assert not any("journal" in name or "dlt645" in name for name in held)
    listed = f"""
import os, vfs
class Blocks:
    def __init__(self, content): self.content = content
    def readblocks(self, number, into): into[:] = self.content[512 * number : 512 * number + len(into)]
    def writeblocks(self, number, content): raise OSError(5)
    def ioctl(self, operation, _): return {{4: {filesystem.IMAGE_BYTES} // 512, 5: 512}}.get(operation, 0)
vfs.mount(vfs.VfsFat(Blocks(open({str(image)!r}, "rb").read())), "/made", readonly=True)
print(open("/made/main.py").read().strip(), len(open("/made/meter_protocol/cose.mpy", "rb").read()))
"""
    said = subprocess.run([micropython, "-c", listed], capture_output=True, text=True, check=True).stdout
    assert said.split() == [
        "import",
        "chip_meter",
        str((tmp_path / "filesystem/meter_protocol/cose.mpy").stat().st_size),
    ]


class Stopped(renode_monitor.Monitor):
    """A Renode whose machine does nothing."""

    def __init__(self) -> None:
        pass

    def time_us(self) -> int:
        return 1_234_000

    def do(self, command: str) -> str:
        return "0x1000" if command == "sysbus.cpu PC" else ""

    def check(self) -> None:
        pass


class EndedBoard(renode.Board):
    """Whose processor stands where it is; `code` is what its image ended with."""

    def __init__(self, folder: Path, code: int | None) -> None:
        self._exit_code = folder / "exit_code"
        if code is not None:
            self._exit_code.write_text(str(code))
        self._console = folder / "console.log"
        self._console.touch()
        self._console_start = 0
        self._process = self._progress = None
        self._power_is_on = True
        self._monitor = Stopped()
        self._debugger = renode_monitor.MonitorDebugger(self._monitor)

    @property
    def _idle_ranges(self) -> list[range]:
        return [range(0x100)]


def test_time_passes_over_a_board_whose_power_fails_meanwhile(tmp_path: Path) -> None:
    EndedBoard(tmp_path, qemu.POWER_CUT).advance(1000)


def test_a_firmware_that_ended_is_not_waited_for(tmp_path: Path) -> None:
    board = EndedBoard(tmp_path, qemu.FAILED)
    board.advance(1000)
    with pytest.raises(AssertionError, match="the firmware failed"):
        board.check()


def test_a_firmware_that_never_rests_is_said_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(qemu, "IDLE_S", 0)
    with pytest.raises(AssertionError, match="never idle"):
        EndedBoard(tmp_path, None).advance(1000)


class Slow(renode_monitor.Monitor):
    """Its virtual time is what `virtual_us` says."""

    def __init__(self) -> None:
        self.virtual_us = 0

    def time_us(self) -> int:
        return self.virtual_us

    def do(self, command: str) -> str:
        return ""


def test_the_bench_loses_the_time_that_renode_loses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now_ns = [5_000_000_000]
    monkeypatch.setattr(time, "monotonic_ns", lambda: now_ns[0])
    board = EndedBoard(tmp_path, None)
    board._monitor = slow = Slow()
    board._powered_on_us = now_ns[0] // 1000
    board._lost_us = board._lost_before_us = 0
    now_ns[0] += 3_000_000_000
    slow.virtual_us = 2_200_000
    assert board.lost_ms() == 800
    slow.virtual_us = 2_900_000
    assert board.lost_ms() == 100, "what it makes up for is not lost"
    board.cut_power()
    now_ns[0] += 9_000_000_000
    assert board.lost_ms() == 100, "without power it loses nothing"


def test_renode_says_its_virtual_time_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monitor = Slow()
    monkeypatch.setattr(monitor, "do", lambda _: "Elapsed Virtual Time: 01:02:03.456789000")
    assert renode_monitor.Monitor.time_us(monitor) == 3_723_456_789


def test_time_that_stands_still_is_the_emulators_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    progress = renode_monitor.Progress(Stopped())
    for now[0] in (0, 6, 12, 30):
        progress.check()
    now[0] = 40
    with pytest.raises(PlatformError, match="stands still at 1234 ms"):
        progress.check()


@pytest.fixture
def installed_renode() -> None:
    if shutil.which(renode_monitor.RENODE) is None:
        pytest.skip("Renode is not installed")


@pytest.mark.usefixtures("installed_renode")
def test_renode_takes_the_descriptions_and_the_models() -> None:
    renode_monitor.must_be_installed()
    monitor = renode_monitor.monitor()
    for model in sorted(MODELS.glob("*.cs")):
        monitor.do(f"include @{model}")
    for board in DESCRIBED:
        monitor.do("Clear")
        monitor.do("mach create")
        monitor.do(f"machine LoadPlatformDescription @{BOARDS / board / board}.repl")
        assert int(monitor.do("sysbus ReadDoubleWord 0x20000000"), 16) == 0
    monitor.do("Clear")
    with pytest.raises(PlatformError, match="refused"):
        monitor.do("no such command")


@pytest.mark.usefixtures("installed_renode")
def test_a_converter_and_a_sensor_answer_at_their_registers() -> None:
    """As MicroPython's drivers ask, word by word: a two-byte read has two true bytes."""
    monitor = renode_monitor.monitor()
    monitor.do("Clear")
    for model in sorted(MODELS.glob("*.cs")):
        monitor.do(f"include @{model}")
    monitor.do("mach create")
    monitor.do(f"machine LoadPlatformDescription @{BOARDS / 'nucleo_f429zi' / 'nucleo_f429zi'}.repl")
    monitor.do("sysbus.adc SetInput 3 1234")
    monitor.do("sysbus.adc SetInput 10 4095")
    for channel, count in ((3, 1234), (10, 4095), (3, 1234), (4, 0)):
        _write(monitor, 0x40012034, channel)
        _write(monitor, 0x40012008, 1 << 30 | 1)
        assert _read(monitor, 0x40012000) & 2
        assert _read(monitor, 0x4001204C) == count
        assert not _read(monitor, 0x40012000) & 2
    assert _two_bytes_of_firmware_version(monitor) == (0x03, 0x42)
    monitor.do("Clear")


I2C = 0x40005400
CR1, DR, SR1, SR2 = I2C, I2C + 0x10, I2C + 0x14, I2C + 0x18
PE, START, STOP, POS = 1, 1 << 8, 1 << 9, 1 << 11
SB, ADDR, BTF, TXE, AF = 1, 2, 4, 1 << 7, 1 << 10


def _two_bytes_of_firmware_version(monitor: renode_monitor.Monitor) -> tuple[int, int]:
    """Of the SCD30, by the sequence of RM0090 for a reception of two bytes."""
    _write(monitor, CR1, PE | START)
    assert _read(monitor, SR1) & SB
    _write(monitor, DR, 0x33 << 1)
    assert _read(monitor, SR1) & AF
    _write(monitor, CR1, PE | STOP)
    _write(monitor, CR1, PE | START)
    _write(monitor, DR, 0x61 << 1)
    assert _read(monitor, SR1) & ADDR
    _read(monitor, SR2)
    for octet in (0xD1, 0x00):
        assert _read(monitor, SR1) & TXE
        _write(monitor, DR, octet)
    _write(monitor, CR1, PE | STOP)
    _write(monitor, CR1, PE | START)
    _write(monitor, DR, 0x61 << 1 | 1)
    _write(monitor, CR1, PE | POS)
    _read(monitor, SR2)
    assert _read(monitor, SR1) & BTF
    _write(monitor, CR1, PE | POS | STOP)
    return _read(monitor, DR), _read(monitor, DR)


def _read(monitor: renode_monitor.Monitor, address: int) -> int:
    return int(monitor.do(f"sysbus ReadDoubleWord {address:#x}"), 16)


def _write(monitor: renode_monitor.Monitor, address: int, value: int) -> None:
    monitor.do(f"sysbus WriteDoubleWord {address:#x} {value:#x}")


@pytest.mark.usefixtures("installed_renode")
def test_a_suite_passes_in_renode(tmp_path: Path) -> None:
    try:
        renode.prepare()
    except PlatformError as error:
        pytest.skip(f"no image: {error}")
    command = [
        "robot",
        "--pythonpath",
        str(PROJECT),
        "--outputdir",
        str(tmp_path),
        "--variable",
        "PLATFORM:renode",
    ]
    suite = PROJECT / "hil_tests" / "boot_and_identity.robot"
    done = subprocess.run([*command, str(suite)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
