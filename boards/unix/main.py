from board import board

from meter_firmware.app import run

run(board())
