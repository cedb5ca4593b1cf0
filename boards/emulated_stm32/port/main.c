// Runs the frozen main.py. It returns only when the board is done; whatever it raises ends the emulator.

#include <stdlib.h>
#include <string.h>

#include "py/gc.h"
#include "py/mphal.h"
#include "py/runtime.h"
#include "py/stackctrl.h"
#include "shared/runtime/gchelper.h"

#include "semihosting.h"
#include "slots.h"

// For the frames between the check and what they call.
#define STACK_MARGIN (1024)

// The 64 KiB of core-coupled memory, where a STM32F405 has them, and where QEMU before 8.1 has them: behind the RAM.
static uint32_t *const core_coupled[] = {(uint32_t *)0x10000000, (uint32_t *)0x20020000};
#define CORE_COUPLED_WORDS (65536 / 4)
#define PATTERN (0x5aa5c33c)

// An emulator may lack them: the golden copy needs none, an update that runs in place does.
static void take_core_coupled_memory(void) {
    for (size_t place = 0; place < MP_ARRAY_SIZE(core_coupled); place++) {
        if (memory_holds(core_coupled[place], PATTERN)) {
            gc_add(core_coupled[place], core_coupled[place] + CORE_COUPLED_WORDS);
            return;
        }
    }
}

static int run(void) {
    nlr_buf_t nlr;
    if (nlr_push(&nlr) == 0) {
        mp_import_name(MP_QSTR_main, mp_const_none, MP_OBJ_NEW_SMALL_INT(0));
        nlr_pop();
        return 0;
    }
    mp_obj_print_exception(&mp_plat_print, MP_OBJ_FROM_PTR(nlr.ret_val));
    return EXIT_FAILED;
}

// All the memory there is, or as much of it as a bench gives the board: `heap=65536` in the semihosting options.
static void make_heap(void) {
    char line[64];
    semihosting_command_line(line, sizeof(line));
    char *limit = strstr(line, "heap=");
    if (limit != NULL) {
        gc_init(&_heap_start, (char *)&_heap_start + strtoul(limit + 5, NULL, 10));
    } else {
        gc_init(&_heap_start, &_heap_end);
        take_core_coupled_memory();
    }
}

int main(void) {
    console_init();
    virtual_time_init();
    mp_stack_set_top(&_stack_top);
    mp_stack_set_limit((mp_uint_t)((char *)&_stack_top - (char *)&_stack_limit) - STACK_MARGIN);
    make_heap();
    mp_init();
    slots_open();
    semihosting_exit(run());
}

void gc_collect(void) {
    gc_collect_start();
    gc_helper_collect_regs_and_stack();
    gc_collect_end();
}

void nlr_jump_fail(void *value) {
    static const char said[] = "exception outside of every handler\r\n";
    console_write(said, sizeof(said) - 1);
    semihosting_exit(EXIT_FAULT);
}
