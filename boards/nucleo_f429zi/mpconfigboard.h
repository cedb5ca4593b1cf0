// NUCLEO-F429ZI: upstream's settings, and what a meter needs on top of them.
#include "boards/NUCLEO_F429ZI/mpconfigboard.h"

#undef MICROPY_HW_BOARD_NAME
#define MICROPY_HW_BOARD_NAME "carbonmeter nucleo_f429zi"

// The meter's flash is the chip on SPI1. Rewriting a sector of the internal one is not safe against power cuts.
#define MICROPY_HW_ENABLE_INTERNAL_FLASH_STORAGE (0)
#undef MICROPY_HW_HAS_FLASH
#define MICROPY_HW_HAS_FLASH (0)
#define MICROPY_HW_USB_MSC (0)

// Slots A and B of the software, which runs in place: the second bank (nucleo_f429zi.ld).
#define MICROPY_HW_ROMFS_ENABLE_INTERNAL_FLASH (1)
#define MICROPY_HW_ROMFS_ENABLE_PART0 (1)
#define MICROPY_HW_ROMFS_ENABLE_PART1 (1)

// What the wiring table names; the same as upstream's.
#undef MICROPY_HW_UART2_TX
#undef MICROPY_HW_UART2_RX
#undef MICROPY_HW_UART3_TX
#undef MICROPY_HW_UART3_RX
#undef MICROPY_HW_I2C1_SCL
#undef MICROPY_HW_I2C1_SDA
#undef MICROPY_HW_SPI1_SCK
#undef MICROPY_HW_SPI1_MISO
#undef MICROPY_HW_SPI1_MOSI
#define MICROPY_HW_UART2_TX (pin_D5)
#define MICROPY_HW_UART2_RX (pin_D6)
#define MICROPY_HW_UART3_TX (pin_D8)
#define MICROPY_HW_UART3_RX (pin_D9)
#define MICROPY_HW_I2C1_SCL (pin_B8)
#define MICROPY_HW_I2C1_SDA (pin_B9)
#define MICROPY_HW_SPI1_SCK (pin_B3)
#define MICROPY_HW_SPI1_MISO (pin_B4)
#define MICROPY_HW_SPI1_MOSI (pin_B5)

// What the meter has no use for, and whose pins pins.csv does not bring out.
#undef MICROPY_HW_ENABLE_SERVO
#define MICROPY_HW_ENABLE_SERVO (0)
#undef MICROPY_HW_UART1_TX
#undef MICROPY_HW_UART1_RX
#undef MICROPY_HW_UART4_TX
#undef MICROPY_HW_UART4_RX
#undef MICROPY_HW_UART5_TX
#undef MICROPY_HW_UART5_RX
#undef MICROPY_HW_I2C2_SCL
#undef MICROPY_HW_I2C2_SDA
#undef MICROPY_HW_I2C3_SCL
#undef MICROPY_HW_I2C3_SDA
#undef MICROPY_HW_SPI1_NSS
#undef MICROPY_HW_SPI4_NSS
#undef MICROPY_HW_SPI4_SCK
#undef MICROPY_HW_SPI4_MISO
#undef MICROPY_HW_SPI4_MOSI
#undef MICROPY_HW_SPI5_NSS
#undef MICROPY_HW_SPI5_SCK
#undef MICROPY_HW_SPI5_MISO
#undef MICROPY_HW_SPI5_MOSI
#undef MICROPY_HW_CAN1_TX
#undef MICROPY_HW_CAN1_RX
#undef MICROPY_HW_CAN2_TX
#undef MICROPY_HW_CAN2_RX
