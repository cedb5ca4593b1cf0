# Read by MicroPython's esp32 port: `make BOARD_DIR=<this folder> USER_C_MODULES=<project>/firmware/native/micropython.cmake`.
set(IDF_TARGET esp32c3)

# ESP-IDF takes a relative name for one in its project's folder, which is the port's.
set(METER_PARTITIONS ${CMAKE_BINARY_DIR}/sdkconfig.partitions)
file(WRITE ${METER_PARTITIONS}
    "CONFIG_PARTITION_TABLE_CUSTOM_FILENAME=\"${MICROPY_BOARD_DIR}/partitions.csv\"\n")

set(SDKCONFIG_DEFAULTS
    boards/sdkconfig.base
    ${MICROPY_BOARD_DIR}/sdkconfig.board
    ${METER_PARTITIONS}
)

set(MICROPY_FROZEN_MANIFEST ${MICROPY_BOARD_DIR}/manifest.py)
