"""docs/status.md says what its sources say, of every board there is."""

import pytest

from meter_gateway.validated_toml import ConfigError
from meter_tools import status
from meter_tools.mpycross import PROJECT


def test_the_page_is_current() -> None:
    assert status.PAGE.read_text() == status.page(), "python -m meter_tools.status writes it anew"


def test_every_folder_below_boards_is_on_the_page() -> None:
    folders = [path.parent.name for path in PROJECT.glob("boards/*/main.py")]
    assert folders
    for folder in folders:
        assert f"[`{folder}`]" in status.PAGE.read_text()


def test_a_status_that_does_not_exist_is_refused_in_one_line(tmp_path, monkeypatch) -> None:
    wrong = tmp_path / "status.toml"
    wrong.write_text('[[part]]\nname = "x"\nstatus = "fine"\nevidence = "none"\n')
    monkeypatch.setattr(status, "SOURCE", wrong)
    with pytest.raises(ConfigError, match=r"status\.toml: part\[0\]\.status: .*ci") as raised:
        status.page()
    assert "\n" not in str(raised.value)
