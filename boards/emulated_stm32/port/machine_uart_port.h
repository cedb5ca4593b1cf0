// machine.UART(1 … 6, baud), included by extmod/machine_uart.c. It never blocks: a read gives what has come. Speed
// and parity are accepted as a board's would be and change nothing, because QEMU models neither.

#include "py/mperrno.h"
#include "py/mphal.h"
#include "py/stream.h"

#define MICROPY_PY_MACHINE_UART_CLASS_CONSTANTS

// USART1 is the console's as well: what is read is the reader's, what is written goes between the console's lines.
#define FIRST_UART (1)

struct _machine_uart_obj_t {
    mp_obj_base_t base;
    unsigned int index;
};

static machine_uart_obj_t machine_uarts[UART_COUNT];

static void mp_machine_uart_print(const mp_print_t *print, mp_obj_t self_in, mp_print_kind_t kind) {
    machine_uart_obj_t *self = MP_OBJ_TO_PTR(self_in);
    mp_printf(print, "UART(%u)", self->index + 1);
}

static void mp_machine_uart_init_helper(
    machine_uart_obj_t *self, size_t n_args, const mp_obj_t *pos_args, mp_map_t *kw_args) {
    enum { ARG_baudrate, ARG_bits, ARG_parity, ARG_stop };
    static const mp_arg_t allowed[] = {
        { MP_QSTR_baudrate, MP_ARG_INT, {.u_int = 9600} },
        { MP_QSTR_bits, MP_ARG_INT, {.u_int = 8} },
        { MP_QSTR_parity, MP_ARG_OBJ, {.u_rom_obj = MP_ROM_NONE} },
        { MP_QSTR_stop, MP_ARG_INT, {.u_int = 1} },
    };
    mp_arg_val_t values[MP_ARRAY_SIZE(allowed)];
    mp_arg_parse_all(n_args, pos_args, kw_args, MP_ARRAY_SIZE(allowed), allowed, values);
    if (values[ARG_baudrate].u_int <= 0 || values[ARG_bits].u_int != 8) {
        mp_raise_ValueError(NULL);
    }
    uart_open(self->index);
}

static mp_obj_t mp_machine_uart_make_new(const mp_obj_type_t *type, size_t n_args, size_t n_kw, const mp_obj_t *args) {
    mp_arg_check_num(n_args, n_kw, 1, MP_OBJ_FUN_ARGS_MAX, true);
    mp_int_t number = mp_obj_get_int(args[0]);
    if (number < FIRST_UART || number > UART_COUNT) {
        mp_raise_ValueError(NULL);
    }
    machine_uart_obj_t *self = &machine_uarts[number - 1];
    self->base.type = type;
    self->index = (unsigned int)number - 1;
    mp_map_t keywords;
    mp_map_init_fixed_table(&keywords, n_kw, args + n_args);
    mp_machine_uart_init_helper(self, n_args - 1, args + 1, &keywords);
    return MP_OBJ_FROM_PTR(self);
}

static void mp_machine_uart_deinit(machine_uart_obj_t *self) {
}

static mp_int_t mp_machine_uart_any(machine_uart_obj_t *self) {
    return (mp_int_t)uart_waiting(self->index);
}

static bool mp_machine_uart_txdone(machine_uart_obj_t *self) {
    return true;
}

static mp_uint_t mp_machine_uart_read(mp_obj_t self_in, void *into, mp_uint_t size, int *errcode) {
    machine_uart_obj_t *self = MP_OBJ_TO_PTR(self_in);
    size_t count = uart_take(self->index, into, size);
    if (count == 0 && size != 0) {
        *errcode = MP_EAGAIN;
        return MP_STREAM_ERROR;
    }
    return count;
}

static mp_uint_t mp_machine_uart_write(mp_obj_t self_in, const void *from, mp_uint_t size, int *errcode) {
    machine_uart_obj_t *self = MP_OBJ_TO_PTR(self_in);
    uart_send(self->index, from, size);
    return size;
}

static mp_uint_t mp_machine_uart_ioctl(mp_obj_t self_in, mp_uint_t request, uintptr_t argument, int *errcode) {
    machine_uart_obj_t *self = MP_OBJ_TO_PTR(self_in);
    if (request == MP_STREAM_POLL) {
        mp_uint_t ready = argument & MP_STREAM_POLL_WR;
        if (uart_waiting(self->index) != 0) {
            ready |= argument & MP_STREAM_POLL_RD;
        }
        return ready;
    }
    if (request == MP_STREAM_FLUSH) {
        return 0;
    }
    *errcode = MP_EINVAL;
    return MP_STREAM_ERROR;
}
