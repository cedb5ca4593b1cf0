// The rest of machine, included by extmod/modmachine.c.

#include "py/mphal.h"

static void mp_machine_idle(void) {
    wait_for_interrupt();
}

static mp_obj_t machine_port_reset(void) {
    restart();
}
static MP_DEFINE_CONST_FUN_OBJ_0(machine_port_reset_obj, machine_port_reset);

#define MICROPY_PY_MACHINE_EXTRA_GLOBALS \
    { MP_ROM_QSTR(MP_QSTR_reset), MP_ROM_PTR(&machine_port_reset_obj) },
