"""docs/board-costs.md: complete, within the goal, and read back as it was written; figures are made elsewhere."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from meter_tools.bench import board, board_page
from meter_tools.bench.board_page import Cost, Measured
from meter_tools.boards import description

TEXT = board_page.PAGE.read_text()
SIGN = 8_000_000


def number(cell: str) -> int:
    return int(cell.replace(",", ""))


def costs(seam: int = SIGN) -> Mapping[str, Cost]:
    signing = {
        f"{kind}_{name}": Cost(SIGN, SIGN, 0)
        for kind in ("native", "python")
        for name in ("public_key", "sign", "verify")
    }
    steps = {f"interval_{name}": Cost(1_000, 2_000, 48) for name in board_page.STEPS}
    return {
        **signing,
        **steps,
        "native_sign_seam": Cost(seam, seam, 0),
        "python_public_key_first": Cost(2 * SIGN, 2 * SIGN, 0),
        "interval": Cost(1_234_000, 2_345_000, 1_024),
    }


def measured(seam: int = SIGN) -> Measured:
    bare = {"public_key": SIGN, "sign": SIGN, "verify": SIGN, "bytes": 5_800}
    return Measured(
        built_with={"a compiler": "12"},
        bare=dict.fromkeys(board_page.ENGINES, bare),
        on_board=costs(seam),
        on_host=costs(),
        sizes={"text": 376_944, "data": 112, "bss": 2_528, "stack": 12_288, "heap": 116_144},
        boards={"emulated_stm32": "ci", "esp32_s3": "written", "wall": "built"},
    )


def test_the_page_tells_of_every_board_and_nothing_else() -> None:
    assert set(board_page.rows(TEXT, board_page.BOARDS)) == {f"`{name}`" for name in description.names()}


def test_the_page_tells_what_it_was_built_with() -> None:
    told = board_page.rows(TEXT, board_page.BUILT_WITH)
    assert {board_page.COMPILER, "MicroPython", "Mbed TLS"} < set(told)
    assert all(len(cells) == 1 and cells[0] for cells in told.values())


def test_every_signer_is_on_the_page_and_the_seam_within_the_goal() -> None:
    told = board_page.rows(TEXT, board_page.SIGNING)
    titles = [*board_page.ENGINES.values(), *board_page.SIGNERS.values(), board_page.SEAM]
    assert len(told) == len(titles)
    for title in titles:
        (cells,) = (cells for name, cells in told.items() if name.startswith(title))
        assert float(cells[1]) > 0
        assert title == board_page.SEAM or (float(cells[0]) > 0 and float(cells[2]) > 0)
    assert 1 <= float(told[board_page.SEAM][-1].split()[0]) <= board_page.GOAL


def test_the_steps_of_an_interval_make_up_the_whole() -> None:
    """Within a tenth of what is not signing, which is most of it."""
    told = board_page.rows(TEXT, board_page.INTERVAL)
    steps = [told[title] for title in board_page.STEPS.values()]
    assert set(told) == {*board_page.STEPS.values(), board_page.BETWEEN, board_page.WHOLE}
    for cells in steps:
        assert 0 < number(cells[0]) <= number(cells[1])
    for column in (0, 2, 3):
        parts = [number(cells[column]) for cells in [*steps, told[board_page.BETWEEN]]]
        assert min(parts) > 0
        assert abs(sum(parts) - number(told[board_page.WHOLE][column])) <= len(parts)
    rest = number(told[board_page.WHOLE][0]) - number(told[board_page.STEPS["sign"]][0])
    assert number(told[board_page.BETWEEN][0]) <= rest / 10


def test_the_sizes_of_the_image_are_on_the_page() -> None:
    (sizes,) = board_page.rows(TEXT, board_page.IMAGES).values()
    assert len(sizes) == len(board_page.SIZES)
    assert all(number(size) > 0 for size in sizes)


def test_the_page_has_the_words_of_today() -> None:
    words = (
        board_page.INTRODUCTION,
        board_page.ABOUT_SIGNING,
        board_page.ABOUT_INTERVAL,
        board_page.ABOUT_IMAGES,
    )
    for part in words:
        assert part in TEXT, "make bench-board writes it anew"


def test_what_was_measured_is_read_back() -> None:
    text = board_page.page(measured())
    assert board_page.rows(text, board_page.IMAGES)["`emulated_stm32`"] == [
        "376,944",
        "112",
        "2,528",
        "12,288",
        "116,144",
    ]
    interval = board_page.rows(text, board_page.INTERVAL)
    assert interval[board_page.STEPS["close"]] == ["1", "2", "48", "48"]
    assert interval[board_page.BETWEEN] == ["1,229", "", "784", "784"]
    assert interval[board_page.WHOLE] == ["1,234", "2,345", "1,024", "1,024"]
    boards = board_page.rows(text, board_page.BOARDS)
    assert boards["`esp32_s3`"] == ["nothing: it was never built"]
    assert "boards/wall/README.md" in boards["`wall`"][0]
    with pytest.raises(KeyError):
        board_page.rows(text, "Weather")


def test_the_interval_is_closed_and_measured_on_the_host(tmp_path: Path, monkeypatch, micropython: Path) -> None:
    """The benchmark's own code: it reaches into the firmware, which changes."""
    monkeypatch.setattr(board, "OUTPUT", tmp_path)
    found = board._costs(lambda folder: board._run_on_host(micropython, folder))
    steps = {name: found[f"interval_{name}"].heap_bytes for name in board_page.STEPS}
    assert set(found) == {"interval", *(f"interval_{name}" for name in steps)}
    assert min(steps.values()) > 0
    assert sum(steps.values()) < found["interval"].heap_bytes


@pytest.mark.parametrize(("seam", "code"), [(SIGN * 11 // 10, 0), (SIGN * 111 // 100, 1)])
def test_a_seam_that_costs_more_than_the_goal_fails(tmp_path, monkeypatch, capsys, seam: int, code: int) -> None:
    monkeypatch.setattr(board.toolchain, "want", lambda *arguments: None)
    monkeypatch.setattr(board, "_measure", lambda: measured(seam))
    monkeypatch.setattr(board, "PAGE", tmp_path / "page.md")
    assert board.main() == code
    assert (tmp_path / "page.md").read_text() == board_page.page(measured(seam))
    assert ("the goal is 1.1" in capsys.readouterr().err) == bool(code)
