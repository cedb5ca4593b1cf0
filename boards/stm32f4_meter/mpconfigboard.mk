# Read by MicroPython's stm32 port: `make BOARD_DIR=<this folder> USER_C_MODULES=<project>/firmware MBEDTLS_SOURCE=…`.
MCU_SERIES = f4
CMSIS_MCU = STM32F405xx
AF_FILE = boards/stm32f405_af.csv
LD_FILES = $(BOARD_DIR)/stm32f4_meter.ld boards/common_basic.ld
TEXT0_ADDR = 0x08000000

MICROPY_VFS_FAT = 0
MICROPY_VFS_LFS2 = 1
FROZEN_MANIFEST = $(BOARD_DIR)/manifest.py
