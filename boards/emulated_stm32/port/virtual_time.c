// The chip's time, which is the emulator's virtual time. Timer 2 counts it: a tick that a busy host delays is not
// lost, as an interrupt per millisecond would be. SysTick only wakes the waiting core, takes the timer's place in
// 64 bits along before its 71 minutes are over, and stands in for the watchdog, which QEMU's STM32F405 lacks.

#include "py/mphal.h"
#include "py/runtime.h"

// QEMU runs timers at 1 GHz whatever the clock tree says, SysTick at the 168 MHz of the chip.
#define TIMER_HZ (1000000000u)
#define CORE_HZ (168000000u)

static volatile uint64_t elapsed_us;
static volatile uint32_t seen_us;
static volatile uint32_t watchdog_ms;
static volatile uint64_t watchdog_bites_us;

void virtual_time_init(void) {
    TIM2_PSC = TIMER_HZ / 1000000u - 1;
    TIM2_ARR = 0xffffffff;
    TIM2_EGR = 1;
    TIM2_CR1 = 1;
    seen_us = TIM2_CNT;
    SYSTICK_LOAD = CORE_HZ / 1000u - 1;
    SYSTICK_VAL = 0;
    SYSTICK_CTRL = SYSTICK_ENABLE | SYSTICK_INTERRUPT | SYSTICK_PROCESSOR_CLOCK;
}

uint64_t virtual_time_us(void) {
    uint32_t state = interrupts_off();
    uint32_t now = TIM2_CNT;
    elapsed_us += now - seen_us;
    seen_us = now;
    uint64_t result = elapsed_us;
    interrupts_restore(state);
    return result;
}

static void bite_if_due(void) {
    uint64_t now = virtual_time_us();
    if (watchdog_ms != 0 && now > watchdog_bites_us) {
        static const char said[] = "watchdog\r\n";
        console_write(said, sizeof(said) - 1);
        restart();
    }
}

void watchdog_start(uint32_t timeout_ms) {
    uint32_t state = interrupts_off();
    watchdog_bites_us = virtual_time_us() + 1000ull * timeout_ms;
    watchdog_ms = timeout_ms;
    interrupts_restore(state);
}

// Food that comes too late is none, even where the handler has not had its turn yet.
void watchdog_feed(void) {
    bite_if_due();
    watchdog_start(watchdog_ms);
}

void systick_handler(void) {
    bite_if_due();
}

mp_uint_t mp_hal_ticks_ms(void) {
    return (mp_uint_t)(virtual_time_us() / 1000);
}

mp_uint_t mp_hal_ticks_us(void) {
    return (mp_uint_t)virtual_time_us();
}

// Since the reset: the board has no calendar. LittleFS would stamp files with it if it were asked to.
uint64_t mp_hal_time_ns(void) {
    return virtual_time_us() * 1000;
}

void mp_hal_delay_ms(mp_uint_t ms) {
    uint64_t until = virtual_time_us() + 1000ull * ms;
    while (virtual_time_us() < until) {
        mp_handle_pending(true);
        wait_for_interrupt();
    }
}

void mp_hal_delay_us(mp_uint_t us) {
    uint64_t until = virtual_time_us() + us;
    while (virtual_time_us() < until) {
    }
}
