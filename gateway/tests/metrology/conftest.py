"""The shared vectors and the independent libraries that these tests are held against.

It puts this folder on the path, so that its tests share `published.py` and its like.
"""

import importlib
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="session")
def vectors(shared: Path) -> dict[str, Any]:
    """Published data and numbers, block by block, with their status."""
    blocks: dict[str, Any] = json.loads((shared / "data/vectors/metrology_vectors.json").read_text("utf-8"))
    return blocks


@pytest.fixture(scope="session")
def gtc() -> ModuleType:
    """GUM Tree Calculator. A fixture, because its import costs a second and only these tests need it."""
    return importlib.import_module("GTC")


@pytest.fixture(scope="session")
def stats() -> ModuleType:
    return importlib.import_module("scipy.stats")


@pytest.fixture(scope="session")
def optimize() -> ModuleType:
    return importlib.import_module("scipy.optimize")
