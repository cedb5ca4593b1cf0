"""Puts this folder on the path, so that its tests share `scenario.py`, and the protocol's for its strategies."""

import importlib
import sys
from pathlib import Path
from types import ModuleType

import pytest

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parents[2] / "protocol" / "tests")]


@pytest.fixture(scope="session")
def gtc() -> ModuleType:
    """GUM Tree Calculator, the oracle. A fixture, because its import costs a second."""
    return importlib.import_module("GTC")
