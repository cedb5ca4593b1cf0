// From reset to main, and what happens on a fault: it is told on the console and ends the emulator, because a test
// must not take a board that resets for one that works.

#include <string.h>

#include "chip.h"
#include "semihosting.h"

extern uint32_t _data_in_flash, _data_start, _data_end, _bss_start, _bss_end;

// Of the instructions by which memory_holds() asks.
#define PROBE_BYTES (2)

int main(void);
void systick_handler(void);
void usart1_handler(void);
void usart2_handler(void);
void usart3_handler(void);
void uart4_handler(void);
void uart5_handler(void);
void usart6_handler(void);

__attribute__((noreturn)) void reset_handler(void) {
    memcpy(&_data_start, &_data_in_flash, (size_t)((char *)&_data_end - (char *)&_data_start));
    memset(&_bss_start, 0, (size_t)((char *)&_bss_end - (char *)&_bss_start));
    main();
    semihosting_exit(EXIT_FAILED);
}

static void say_hex(const char *name, uint32_t value) {
    char digits[8];
    for (int place = 0; place < 8; place++) {
        digits[place] = "0123456789abcdef"[value >> (28 - 4 * place) & 15];
    }
    console_write(name, strlen(name));
    console_write(digits, sizeof(digits));
}

static volatile bool is_probing;

// `frame` is what the core pushed: r0 to r3, r12, lr, pc, xpsr.
__attribute__((used)) static void judge_fault(uint32_t *frame) {
    if (is_probing) {
        is_probing = false;
        frame[6] += PROBE_BYTES;
        return;
    }
    say_hex("\r\nfault at pc ", frame[6]);
    say_hex(" lr ", frame[5]);
    say_hex(" cause ", REGISTER(0xe000ed28));
    say_hex(" address ", REGISTER(0xe000ed38));
    console_write("\r\n", 2);
    semihosting_exit(EXIT_FAULT);
}

__attribute__((naked)) static void fault_handler(void) {
    __asm__ volatile ("mrs r0, msp\n b judge_fault");
}

bool memory_holds(uint32_t *place, uint32_t value) {
    uint32_t held = ~value;
    is_probing = true;
    __asm__ volatile ("str.n %0, [%1]" : : "l" (value), "l" (place) : "memory");
    if (is_probing) {
        __asm__ volatile ("ldr.n %0, [%1]" : "+l" (held) : "l" (place) : "memory");
    }
    bool answered = is_probing;
    is_probing = false;
    return answered && held == value;
}

typedef void (*vector_t)(void);

__attribute__((section(".vectors"), used)) static const struct {
    uint32_t *stack_top;
    vector_t core[15];
    vector_t interrupts[82];
} vectors = {
    .stack_top = &_stack_top,
    .core = {
        [0] = reset_handler,
        [1 ... 13] = fault_handler,
        [14] = systick_handler,
    },
    .interrupts = {
        [0 ... 36] = fault_handler,
        [37] = usart1_handler,
        [38] = usart2_handler,
        [39] = usart3_handler,
        [40 ... 51] = fault_handler,
        [52] = uart4_handler,
        [53] = uart5_handler,
        [54 ... 70] = fault_handler,
        [71] = usart6_handler,
        [72 ... 81] = fault_handler,
    },
};
