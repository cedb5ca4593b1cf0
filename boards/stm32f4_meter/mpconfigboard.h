// The meter board of our own design: STM32F405RG at 168 MHz from a crystal of 8 MHz.
#define MICROPY_HW_BOARD_NAME "carbonmeter stm32f4_meter"
#define MICROPY_HW_MCU_NAME "STM32F405RG"

#define MICROPY_HW_HAS_FLASH (0)
#define MICROPY_HW_ENABLE_RNG (1)
#define MICROPY_HW_ENABLE_RTC (1)
#define MICROPY_HW_ENABLE_USB (1)

// The meter's flash is the chip on SPI2. Rewriting a sector of the internal one is not safe against power cuts.
#define MICROPY_HW_ENABLE_INTERNAL_FLASH_STORAGE (0)

// Slots A and B of the software, which runs in place: the upper half of the flash (stm32f4_meter.ld).
#define MICROPY_HW_ROMFS_ENABLE_INTERNAL_FLASH (1)
#define MICROPY_HW_ROMFS_ENABLE_PART0 (1)
#define MICROPY_HW_ROMFS_ENABLE_PART1 (1)

#define MICROPY_HW_CLK_PLLM (8)
#define MICROPY_HW_CLK_PLLN (336)
#define MICROPY_HW_CLK_PLLP (RCC_PLLP_DIV2)
#define MICROPY_HW_CLK_PLLQ (7)
#define MICROPY_HW_FLASH_LATENCY FLASH_LATENCY_5

#define MICROPY_HW_UART2_TX (pin_A2)
#define MICROPY_HW_UART2_RX (pin_A3)
#define MICROPY_HW_UART3_TX (pin_C10)
#define MICROPY_HW_UART3_RX (pin_C11)
#define MICROPY_HW_UART6_TX (pin_C6)
#define MICROPY_HW_UART6_RX (pin_C7)

#define MICROPY_HW_I2C1_SCL (pin_B8)
#define MICROPY_HW_I2C1_SDA (pin_B9)
#define MICROPY_HW_I2C2_SCL (pin_B10)
#define MICROPY_HW_I2C2_SDA (pin_B11)

#define MICROPY_HW_SPI1_SCK (pin_A5)
#define MICROPY_HW_SPI1_MISO (pin_A6)
#define MICROPY_HW_SPI1_MOSI (pin_A7)
#define MICROPY_HW_SPI2_SCK (pin_B13)
#define MICROPY_HW_SPI2_MISO (pin_B14)
#define MICROPY_HW_SPI2_MOSI (pin_B15)

// Console and first contact; no disk to a host: what is in the flash is nobody's to write there.
#define MICROPY_HW_USB_FS (1)
#define MICROPY_HW_USB_MSC (0)
#define MICROPY_HW_USB_VBUS_DETECT_PIN (pin_A9)

// The image has half a megabyte. What neither the firmware nor its maker's bench asks for:
#define MICROPY_EMIT_THUMB (0)
#define MICROPY_EMIT_INLINE_THUMB (0)
#define MICROPY_PY_BUILTINS_HELP (0)
#define MICROPY_PY_CMATH (0)
#define MICROPY_PY_FRAMEBUF (0)
#define MICROPY_PY_HEAPQ (0)
#define MICROPY_PY_JSON (0)
#define MICROPY_PY_ONEWIRE (0)
#define MICROPY_PY_PYB_LEGACY (0)
#define MICROPY_PY_RE (0)
#define MICROPY_PY_STM (0)
