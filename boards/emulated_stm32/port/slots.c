// The slots of updates, for vfs.rom_ioctl (extmod/vfs.h has its operations): sectors 8 and 9 of the processor's flash,
// and 10 and 11, 128 KiB each.
//
// QEMU has this memory and no controller that programs it. Its content is the host's file SLOTS_FILE, which the
// emulator loads at power-on (README.md). What is changed is changed in the file and then read from there to where
// the processor sees it: the emulator's host writes where the processor itself cannot. Whether it did is checked.

#include "slots.h"

#include <string.h>

#include "extmod/vfs.h"
#include "py/mperrno.h"
#include "py/objarray.h"
#include "py/runtime.h"

#include "flash_file.h"
#include "semihosting.h"

#define SLOTS_FILE "slots.bin"
#define SLOT_COUNT (2)
#define SECTOR_BYTES (0x20000u)
#define SLOT_BYTES (2 * SECTOR_BYTES)
#define PROGRAM_UNIT (4)

extern uint8_t _slots_start[];

static const MP_DEFINE_MEMORYVIEW_OBJ(slot_a, 'B', 0, SLOT_BYTES, _slots_start);
static const MP_DEFINE_MEMORYVIEW_OBJ(slot_b, 'B', 0, SLOT_BYTES, _slots_start + SLOT_BYTES);
static const mp_obj_array_t *const slots[SLOT_COUNT] = {&slot_a, &slot_b};

static bool is_open;
static int handle = -1;

void slots_open(void) {
    is_open = true;
}

static bool change(uint32_t position, const uint8_t *from, uint32_t size) {
    if (handle < 0) {
        handle = semihosting_open(SLOTS_FILE, true);
    }
    if (handle < 0 || !flash_file_change(handle, position, from, size)) {
        return false;
    }
    uint8_t *seen = _slots_start + position;
    if (!semihosting_seek(handle, position) || semihosting_read(handle, seen, size) != size) {
        return false;
    }
    for (uint32_t place = 0; place < size; place++) {
        const uint8_t wanted = from == NULL ? 0xff : from[place];
        if (((volatile uint8_t *)seen)[place] != wanted) {
            return false;
        }
    }
    return true;
}

static bool erase(uint32_t start, uint32_t size) {
    for (uint32_t done = 0; done < size; done += SECTOR_BYTES) {
        if (!change(start + done, NULL, SECTOR_BYTES)) {
            return false;
        }
    }
    return true;
}

static mp_int_t prepare(uint32_t start, mp_int_t size) {
    if (size < 0 || size > (mp_int_t)SLOT_BYTES) {
        return -MP_EINVAL;
    }
    return erase(start, (uint32_t)size) ? PROGRAM_UNIT : -MP_EIO;
}

static mp_int_t program(uint32_t start, mp_int_t offset, mp_obj_t from_in) {
    mp_buffer_info_t from;
    mp_get_buffer_raise(from_in, &from, MP_BUFFER_READ);
    if (offset < 0 || from.len % PROGRAM_UNIT || from.len > SLOT_BYTES || offset > (mp_int_t)(SLOT_BYTES - from.len)) {
        return -MP_EINVAL;
    }
    return change(start + (uint32_t)offset, from.buf, from.len) ? 0 : -MP_EIO;
}

mp_obj_t mp_vfs_rom_ioctl(size_t n_args, const mp_obj_t *args) {
    mp_int_t operation = mp_obj_get_int(args[0]);
    if (operation == MP_VFS_ROM_IOCTL_GET_NUMBER_OF_SEGMENTS) {
        return MP_OBJ_NEW_SMALL_INT(is_open ? SLOT_COUNT : 0);
    }
    mp_int_t number = n_args > 1 ? mp_obj_get_int(args[1]) : -1;
    mp_int_t status = -MP_EINVAL;
    if (is_open && number >= 0 && number < SLOT_COUNT) {
        const uint32_t start = (uint32_t)number * SLOT_BYTES;
        if (operation == MP_VFS_ROM_IOCTL_GET_SEGMENT) {
            return MP_OBJ_FROM_PTR(slots[number]);
        }
        if (operation == MP_VFS_ROM_IOCTL_WRITE_PREPARE && n_args == 3) {
            status = prepare(start, mp_obj_get_int(args[2]));
        } else if (operation == MP_VFS_ROM_IOCTL_WRITE && n_args == 4) {
            status = program(start, mp_obj_get_int(args[2]), args[3]);
        } else if (operation == MP_VFS_ROM_IOCTL_WRITE_COMPLETE) {
            status = 0;
        }
    }
    return MP_OBJ_NEW_SMALL_INT(status);
}
