"""This folder on the path, so that its tests share `plant_of.py`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
