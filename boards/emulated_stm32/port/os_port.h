// os.urandom, included by extmod/modos.c. QEMU's STM32F405 has no random number generator: the host's is asked.

#include "py/mperrno.h"
#include "py/objstr.h"

#include "semihosting.h"

static mp_obj_t mp_os_urandom(mp_obj_t count_in) {
    mp_int_t count = mp_obj_get_int(count_in);
    vstr_t drawn;
    vstr_init_len(&drawn, (size_t)count);
    int source = semihosting_open("/dev/urandom", false);
    size_t got = source < 0 ? 0 : semihosting_read(source, drawn.buf, (size_t)count);
    if (source >= 0) {
        semihosting_close(source);
    }
    if (got != (size_t)count) {
        mp_raise_OSError(MP_EIO);
    }
    return mp_obj_new_bytes_from_vstr(&drawn);
}
static MP_DEFINE_CONST_FUN_OBJ_1(mp_os_urandom_obj, mp_os_urandom);
