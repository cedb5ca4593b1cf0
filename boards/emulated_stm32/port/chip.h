// The STM32F405's peripherals that QEMU models and this port uses (RM0090; ARMv7-M manual for the core's own).
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define REGISTER(address) (*(volatile uint32_t *)(address))

#define SYSTICK_CTRL REGISTER(0xe000e010)
#define SYSTICK_LOAD REGISTER(0xe000e014)
#define SYSTICK_VAL REGISTER(0xe000e018)
#define SYSTICK_ENABLE (1u << 0)
#define SYSTICK_INTERRUPT (1u << 1)
#define SYSTICK_PROCESSOR_CLOCK (1u << 2)

#define NVIC_ENABLE(irq) REGISTER(0xe000e100 + 4 * ((irq) / 32))
#define NVIC_DISABLE(irq) REGISTER(0xe000e180 + 4 * ((irq) / 32))
#define SCB_AIRCR REGISTER(0xe000ed0c)
#define AIRCR_RESET (0x05fa0000u | 1u << 2)

#define TIM2_CR1 REGISTER(0x40000000)
#define TIM2_EGR REGISTER(0x40000014)
#define TIM2_CNT REGISTER(0x40000024)
#define TIM2_PSC REGISTER(0x40000028)
#define TIM2_ARR REGISTER(0x4000002c)

typedef struct {
    volatile uint32_t SR;
    volatile uint32_t DR;
    volatile uint32_t BRR;
    volatile uint32_t CR1;
    volatile uint32_t CR2;
    volatile uint32_t CR3;
    volatile uint32_t GTPR;
} usart_t;

#define USART_SR_RXNE (1u << 5)
#define USART_SR_TXE (1u << 7)
#define USART_CR1_RE (1u << 2)
#define USART_CR1_TE (1u << 3)
#define USART_CR1_RXNEIE (1u << 5)
#define USART_CR1_UE (1u << 13)

// The linker script's.
extern uint32_t _image_start, _image_end, _heap_start, _heap_end, _stack_limit, _stack_top;

// What a board ends its emulator with when it does not start itself anew; QEMU itself ends with 0 or 1.
#define EXIT_FAILED (64)
#define EXIT_FAULT (65)

// Whether there is memory at `place`; what it held is lost.
bool memory_holds(uint32_t *place, uint32_t value);

static inline uint32_t interrupts_off(void) {
    uint32_t state;
    __asm__ volatile ("mrs %0, primask\n cpsid i" : "=r" (state) : : "memory");
    return state;
}

static inline void interrupts_restore(uint32_t state) {
    __asm__ volatile ("msr primask, %0" : : "r" (state) : "memory");
}

static inline void wait_for_interrupt(void) {
    __asm__ volatile ("wfi" : : : "memory");
}

static inline __attribute__((noreturn)) void restart(void) {
    __asm__ volatile ("dsb" : : : "memory");
    SCB_AIRCR = AIRCR_RESET;
    for (;;) {
    }
}

void console_init(void);
void console_write(const char *text, size_t length);

void virtual_time_init(void);
uint64_t virtual_time_us(void);
void watchdog_start(uint32_t timeout_ms);
void watchdog_feed(void);

#define UART_COUNT (6)

void uart_open(unsigned int number);
size_t uart_waiting(unsigned int number);
size_t uart_take(unsigned int number, uint8_t *into, size_t size);
void uart_send(unsigned int number, const uint8_t *bytes, size_t size);
