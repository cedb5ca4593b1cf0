// ESP32-S3-WROOM-1 with 16 MiB of flash and 8 MiB of PSRAM (N16R8).
#define MICROPY_HW_BOARD_NAME "carbonmeter esp32_s3"
#define MICROPY_HW_MCU_NAME "ESP32S3"

// A meter has no use for them, and they take flash and memory.
#define MICROPY_PY_BLUETOOTH (0)
#define MICROPY_PY_ESPNOW (0)
