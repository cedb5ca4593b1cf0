"""Puts this folder on the path, so that tests share the modules beside them that are not tests."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
