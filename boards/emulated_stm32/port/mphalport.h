// What MicroPython asks of the chip beside py/mphal.h's own list.
#pragma once

#include <stdint.h>

#include "chip.h"

#define MICROPY_BEGIN_ATOMIC_SECTION() interrupts_off()
#define MICROPY_END_ATOMIC_SECTION(state) interrupts_restore(state)

// The next interrupt, a millisecond away at most, ends the wait: whoever waits looks again then.
#define MICROPY_INTERNAL_WFE(timeout_ms) wait_for_interrupt()

#define mp_hal_ticks_cpu() mp_hal_ticks_us()
