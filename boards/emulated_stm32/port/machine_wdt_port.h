// machine.WDT, included by extmod/machine_wdt.c. What bites is SysTick's handler (virtual_time.c).

#include "py/mphal.h"

struct _machine_wdt_obj_t {
    mp_obj_base_t base;
};

static const machine_wdt_obj_t machine_wdt = {{&machine_wdt_type}};

static machine_wdt_obj_t *mp_machine_wdt_make_new_instance(mp_int_t id, mp_int_t timeout_ms) {
    if (id != 0 || timeout_ms <= 0) {
        mp_raise_ValueError(NULL);
    }
    watchdog_start((uint32_t)timeout_ms);
    return (machine_wdt_obj_t *)&machine_wdt;
}

static void mp_machine_wdt_feed(machine_wdt_obj_t *self) {
    watchdog_feed();
}
