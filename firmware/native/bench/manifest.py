# ruff: noqa: F821  names such as package() come from MicroPython's manifest tool
# The image of `make bench-board`: the firmware with the benchmark in the place of a board's main.py.
include("$(MPY_DIR)/extmod/asyncio")
include("../../manifest.py")
module("gauge.py")
module("interval.py")
module("main.py")
