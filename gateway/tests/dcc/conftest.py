"""Puts this folder on the path, so that its tests share `small_dcc.py`; finds the sample certificates."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

SAMPLES = Path("data/dcc/samples")


@pytest.fixture(scope="session")
def samples(shared: Path) -> Path:
    """PTB's sample certificates, in the folder of shared data."""
    folder = shared / SAMPLES
    if not folder.is_dir():
        pytest.skip(f"{SAMPLES} is missing in the folder of shared data: set CARBONMETER_SHARED")
    return folder


@pytest.fixture(scope="session")
def schemas(shared: Path) -> Path:
    folder = shared / "data" / "dcc" / "xsd"
    if not folder.is_dir():
        pytest.skip("data/dcc/xsd is missing in the folder of shared data: set CARBONMETER_SHARED")
    return folder
