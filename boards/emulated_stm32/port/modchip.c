// The module `chip`: what the board has beside machine's peripherals.
//
//   Flash(name, block_size)   an erased chip, or one in use, in an existing file of the emulator's host: a block
//                             device of the extended protocol. A write that returned is with the host's kernel, so
//                             killing the emulator loses nothing.
//   read(name)                the content of a host's file: what the maker programmed into the board
//   image()                   the image in the processor's flash, as a memoryview
//   halt(code)                ends the emulator

#include "extmod/vfs.h"
#include "py/mperrno.h"
#include "py/mphal.h"
#include "py/objarray.h"
#include "py/runtime.h"

#include "flash_file.h"
#include "semihosting.h"

typedef struct {
    mp_obj_base_t base;
    int handle;
    uint32_t block_size;
    uint32_t block_count;
} flash_t;

static mp_obj_t flash_make_new(const mp_obj_type_t *type, size_t n_args, size_t n_kw, const mp_obj_t *args) {
    mp_arg_check_num(n_args, n_kw, 2, 2, false);
    flash_t *self = mp_obj_malloc(flash_t, type);
    self->block_size = (uint32_t)mp_obj_get_int(args[1]);
    self->handle = semihosting_open(mp_obj_str_get_str(args[0]), true);
    if (self->handle < 0) {
        mp_raise_OSError(MP_ENOENT);
    }
    self->block_count = (uint32_t)semihosting_length(self->handle) / self->block_size;
    return MP_OBJ_FROM_PTR(self);
}

// Errors are returned: an exception would leave LittleFS's code by a long jump.

static uint32_t position_of(flash_t *self, size_t n_args, const mp_obj_t *args) {
    uint32_t offset = n_args > 3 ? (uint32_t)mp_obj_get_int(args[3]) : 0;
    return (uint32_t)mp_obj_get_int(args[1]) * self->block_size + offset;
}

static mp_obj_t flash_readblocks(size_t n_args, const mp_obj_t *args) {
    flash_t *self = MP_OBJ_TO_PTR(args[0]);
    mp_buffer_info_t into;
    mp_get_buffer_raise(args[2], &into, MP_BUFFER_WRITE);
    bool done = semihosting_seek(self->handle, position_of(self, n_args, args))
        && semihosting_read(self->handle, into.buf, into.len) == into.len;
    return MP_OBJ_NEW_SMALL_INT(done ? 0 : -MP_EIO);
}
static MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(flash_readblocks_obj, 3, 4, flash_readblocks);

static mp_obj_t flash_writeblocks(size_t n_args, const mp_obj_t *args) {
    flash_t *self = MP_OBJ_TO_PTR(args[0]);
    mp_buffer_info_t from;
    mp_get_buffer_raise(args[2], &from, MP_BUFFER_READ);
    bool done = flash_file_change(self->handle, position_of(self, n_args, args), from.buf, from.len);
    return MP_OBJ_NEW_SMALL_INT(done ? 0 : -MP_EIO);
}
static MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(flash_writeblocks_obj, 3, 4, flash_writeblocks);

static mp_obj_t flash_ioctl(mp_obj_t self_in, mp_obj_t operation_in, mp_obj_t argument_in) {
    flash_t *self = MP_OBJ_TO_PTR(self_in);
    switch (mp_obj_get_int(operation_in)) {
        case MP_BLOCKDEV_IOCTL_INIT:
        case MP_BLOCKDEV_IOCTL_DEINIT:
        case MP_BLOCKDEV_IOCTL_SYNC:
            return MP_OBJ_NEW_SMALL_INT(0);
        case MP_BLOCKDEV_IOCTL_BLOCK_COUNT:
            return MP_OBJ_NEW_SMALL_INT(self->block_count);
        case MP_BLOCKDEV_IOCTL_BLOCK_SIZE:
            return MP_OBJ_NEW_SMALL_INT(self->block_size);
        case MP_BLOCKDEV_IOCTL_BLOCK_ERASE: {
            uint32_t block = (uint32_t)mp_obj_get_int(argument_in);
            bool done = flash_file_change(self->handle, block * self->block_size, NULL, self->block_size);
            return MP_OBJ_NEW_SMALL_INT(done ? 0 : -MP_EIO);
        }
        default:
            return mp_const_none;
    }
}
static MP_DEFINE_CONST_FUN_OBJ_3(flash_ioctl_obj, flash_ioctl);

static const mp_rom_map_elem_t flash_locals_table[] = {
    { MP_ROM_QSTR(MP_QSTR_readblocks), MP_ROM_PTR(&flash_readblocks_obj) },
    { MP_ROM_QSTR(MP_QSTR_writeblocks), MP_ROM_PTR(&flash_writeblocks_obj) },
    { MP_ROM_QSTR(MP_QSTR_ioctl), MP_ROM_PTR(&flash_ioctl_obj) },
};
static MP_DEFINE_CONST_DICT(flash_locals, flash_locals_table);

static MP_DEFINE_CONST_OBJ_TYPE(
    flash_type, MP_QSTR_Flash, MP_TYPE_FLAG_NONE, make_new, flash_make_new, locals_dict, &flash_locals);

static mp_obj_t chip_image(void) {
    size_t size = (size_t)((char *)&_image_end - (char *)&_image_start);
    return mp_obj_new_memoryview('B', size, &_image_start);
}
static MP_DEFINE_CONST_FUN_OBJ_0(chip_image_obj, chip_image);

static mp_obj_t chip_halt(mp_obj_t code_in) {
    semihosting_exit((int)mp_obj_get_int(code_in));
}
static MP_DEFINE_CONST_FUN_OBJ_1(chip_halt_obj, chip_halt);

static const mp_rom_map_elem_t chip_globals_table[] = {
    { MP_ROM_QSTR(MP_QSTR___name__), MP_ROM_QSTR(MP_QSTR_chip) },
    { MP_ROM_QSTR(MP_QSTR_Flash), MP_ROM_PTR(&flash_type) },
    { MP_ROM_QSTR(MP_QSTR_image), MP_ROM_PTR(&chip_image_obj) },
    { MP_ROM_QSTR(MP_QSTR_halt), MP_ROM_PTR(&chip_halt_obj) },
};
static MP_DEFINE_CONST_DICT(chip_globals, chip_globals_table);

const mp_obj_module_t chip_module = {
    .base = {&mp_type_module},
    .globals = (mp_obj_dict_t *)&chip_globals,
};

MP_REGISTER_MODULE(MP_QSTR_chip, chip_module);
