// ESP32-C3-WROOM-02 or -MINI-1 with 4 MiB of flash.
#define MICROPY_HW_BOARD_NAME "carbonmeter esp32_c3"
#define MICROPY_HW_MCU_NAME "ESP32C3"

// A meter has no use for them, and they take flash and memory.
#define MICROPY_PY_BLUETOOTH (0)
#define MICROPY_PY_ESPNOW (0)
