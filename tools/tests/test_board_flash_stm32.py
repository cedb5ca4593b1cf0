"""STM32 boards by dfu-util and pyOCD: which device, which chip, which command. No device was ever there, no probe.

What the programs print is from their sources (dfu-util 0.11, `list_dfu_interfaces`; pyOCD 0.46, `json` and
`read32`); where dfu-util is installed, the real one is asked, and says that there is none.
"""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from meter_tools.boards import dfu_writer, program, pyocd_writer
from meter_tools.boards.program import Outcome

F429 = "/0x08000000/04*016Kg,01*064Kg,07*128Kg,04*016Kg,01*064Kg,07*128Kg"
F405 = "/0x08000000/04*016Kg,01*064Kg,07*128Kg"


def listing(*found: tuple[str, str]) -> str:
    beginning = "dfu-util 0.11\n\nCopyright 2005-2009 Weston Schmidt, Harald Welte and OpenMoko Inc.\n\n"
    lines = []
    for serial, layout in found:
        place = 'Found DFU: [0483:df11] ver=2200, devnum=7, cfg=1, intf=0, path="1-2"'
        others = ("@Option Bytes  /0x1FFFC000/01*016 e", "@OTP Memory /0x1FFF7800/01*512 e,01*016 e")
        for alt, name in reversed(list(enumerate([f"@Internal Flash  {layout}", *others]))):
            lines.append(f'{place}, alt={alt}, name="{name}", serial="{serial}"\n')
    return beginning + "".join(lines)


@pytest.fixture
def image(board_of: Callable[..., Path]) -> Path:
    output = board_of(chip="STM32F429ZI", port="stm32", base="NUCLEO_F429ZI", flash="dfu")
    (output / "firmware.dfu").write_bytes(b"DfuSe")
    return output


@pytest.fixture
def dfu_util(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[list[str]]]:
    """Puts answers in dfu-util's place, the first for the listing; gives the commands that were run."""

    def make(*answers: Outcome) -> list[list[str]]:
        run: list[list[str]] = []
        coming = iter(answers)

        def answer(command: list[str], hear: program.Hear = program.deaf, folder: Path | None = None) -> Outcome:
            run.append(command)
            outcome = next(coming)
            hear(outcome.text)
            return outcome

        monkeypatch.setattr(program, "run", answer)
        monkeypatch.setattr(program, "find", lambda name, remedy: name)
        return run

    return make


def test_devices_are_read_from_the_listing_each_once() -> None:
    assert dfu_writer.devices(listing(("3270376A3133", F429), ("2061", F405))) == {
        "3270376A3133": F429[1:],
        "2061": F405[1:],
    }
    assert dfu_writer.devices(listing()) == {}


@pytest.mark.parametrize(
    ("chip", "layout"),
    [("STM32F429ZI", F429[1:]), ("STM32F405RG", F405[1:]), ("STM32F407VE", F405[1:].replace("07", "03"))],
)
def test_the_layout_follows_from_the_part_number(chip: str, layout: str) -> None:
    assert dfu_writer.layout_of(chip) == layout
    assert dfu_writer.layout_of("STM32H743ZI") is None


def test_the_only_device_is_written_by_its_serial_number(image: Path, dfu_util, carbonmeter) -> None:
    wrote = "Download\t[=====] 100%  262144 bytes\nFile downloaded successfully\n"
    run = dfu_util(Outcome(0, listing(("3270376A3133", F429))), Outcome(0, wrote))
    done = carbonmeter("board", "flash", "wall")
    assert done.exit_code == 0, done.output
    options = ["--device", "0483:df11", "--serial", "3270376A3133", "--alt", "0", "--dfuse-address", ":leave"]
    assert run == [["dfu-util", "--list"], ["dfu-util", *options, "--download", str(image / "firmware.dfu")]]


def test_a_chip_with_another_flash_is_refused(image: Path, dfu_util, carbonmeter, refused) -> None:
    run = dfu_util(Outcome(0, listing(("2061", F405))))
    line = refused(carbonmeter("board", "flash", "wall"), "board.wrong_chip")
    assert F405[1:] in line
    assert len(run) == 1


def test_several_devices_are_listed_and_one_can_be_named(image: Path, dfu_util, carbonmeter, refused) -> None:
    two = listing(("3270376A3133", F429), ("2061", F405))
    dfu_util(Outcome(0, two))
    line = refused(carbonmeter("board", "flash", "wall"), "board.several_ports")
    assert "3270376A3133 (0483:df11" in line
    assert "2061 (0483:df11" in line
    run = dfu_util(Outcome(0, two), Outcome(0, "File downloaded successfully"))
    assert carbonmeter("board", "flash", "wall", "--port", "3270376A3133").exit_code == 0
    assert "3270376A3133" in run[1]
    dfu_util(Outcome(0, two))
    refused(carbonmeter("board", "flash", "wall", "--port", "9999"), "board.no_dfu_there")


def test_a_device_that_goes_while_it_is_written_is_told(image: Path, dfu_util, carbonmeter, refused) -> None:
    broke = "Download\t[==   ]  42%  110592 bytes\ndfu-util: Error during download get_status\n"
    dfu_util(Outcome(0, listing(("3270376A3133", F429))), Outcome(74, broke))
    line = refused(carbonmeter("board", "flash", "wall"), "board.half_written", code=1)
    assert "Error during download get_status" in line


def test_no_device_and_one_that_may_not_be_opened(image: Path, dfu_util, carbonmeter, refused) -> None:
    dfu_util(Outcome(0, listing()))
    assert "hold BOOT0" in refused(carbonmeter("board", "flash", "wall"), "board.no_dfu")
    forbidden = "dfu-util: Cannot open DFU device 0483:df11 found on devnum 7 (LIBUSB_ERROR_ACCESS)\n"
    dfu_util(Outcome(0, forbidden))
    assert "udev rule" in refused(carbonmeter("board", "flash", "wall"), "board.dfu_forbidden")


def test_the_real_dfu_util_is_asked(image: Path, carbonmeter, refused) -> None:
    if shutil.which("dfu-util") is None:
        pytest.skip("dfu-util is not installed")
    refused(carbonmeter("board", "flash", "wall"), "board.no_dfu")


@pytest.fixture
def probed(board_of: Callable[..., Path]) -> Path:
    output = board_of(chip="STM32F429ZI", port="stm32", base="NUCLEO_F429ZI", flash="pyocd")
    (output / "firmware.elf").write_bytes(b"\x7fELF")
    return output


PROBES = json.dumps({"status": 0, "boards": [{"unique_id": "066CFF", "info": "STM32 STLink [Nucleo-F429ZI]"}]})


def test_pyocd_asks_the_chip_and_erases_only_sectors(probed: Path, dfu_util, carbonmeter) -> None:
    run = dfu_util(Outcome(0, PROBES), Outcome(0, "e0042000:  20036419    | .d.|\n"), Outcome(0, "[===] 100%\n"))
    done = carbonmeter("board", "flash", "wall")
    assert done.exit_code == 0, done.output
    ask = ["--target", "cortex_m", "--uid", "066CFF", "--command", "read32 0xE0042000"]
    assert run[1] == ["pyocd", "commander", *ask]
    write = ["--target", "stm32f429xi", "--uid", "066CFF", "--erase", "sector"]
    assert run[2] == ["pyocd", "load", *write, str(probed / "firmware.elf")]


def test_another_chip_behind_the_probe_is_refused(probed: Path, dfu_util, carbonmeter, refused) -> None:
    run = dfu_util(Outcome(0, PROBES), Outcome(0, "e0042000:  10076413    |..d.|\n"))
    assert "DEV_ID 0x413" in refused(carbonmeter("board", "flash", "wall"), "board.wrong_chip")
    assert len(run) == 2
    dfu_util(Outcome(0, PROBES), Outcome(1, "Error: no device connected\n"))
    refused(carbonmeter("board", "flash", "wall"), "board.no_answer_probe")
    dfu_util(Outcome(0, json.dumps({"status": 0, "boards": []})))
    refused(carbonmeter("board", "flash", "wall"), "board.no_probe")


def test_no_probe_is_an_empty_list() -> None:
    assert pyocd_writer.probes('{"boards": []}') == []
