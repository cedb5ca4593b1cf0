# Read by MicroPython's stm32 port: `make BOARD_DIR=<this folder> USER_C_MODULES=<project>/firmware`.
include boards/NUCLEO_F429ZI/mpconfigboard.mk
LD_FILES = $(BOARD_DIR)/nucleo_f429zi.ld boards/common_basic.ld

# All the code lies in one piece.
TEXT0_ADDR = 0x08000000
TEXT1_ADDR =

MICROPY_VFS_FAT = 0
MICROPY_VFS_LFS2 = 1
MBEDTLS_CONFIG_FILE = '"mbedtls_config_board.h"'
FROZEN_MANIFEST = $(BOARD_DIR)/manifest.py
