include("../../firmware/manifest.py")
module("board.py")
module("clocks.py")
