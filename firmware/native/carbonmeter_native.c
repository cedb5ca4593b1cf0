// The module `carbonmeter_native` of MicroPython (README.md beside this file): es256.c with its arguments checked.

#include "py/objstr.h"
#include "py/runtime.h"

#include "es256.h"

static bool has_length(mp_obj_t bytes, size_t length, const uint8_t **content) {
    mp_buffer_info_t buffer;
    mp_get_buffer_raise(bytes, &buffer, MP_BUFFER_READ);
    *content = buffer.buf;
    return buffer.len == length;
}

static const uint8_t *private_key_of(mp_obj_t bytes) {
    const uint8_t *content;
    if (!has_length(bytes, ES256_NUMBER, &content)) {
        mp_raise_ValueError(MP_ERROR_TEXT("the private key is not 32 bytes"));
    }
    return content;
}

static mp_obj_t pair_or_error(es256_result_t result, const uint8_t pair[ES256_PAIR]) {
    switch (result) {
        case ES256_DONE:
            return mp_obj_new_bytes(pair, ES256_PAIR);
        case ES256_PRIVATE_KEY_OUT_OF_RANGE:
            mp_raise_ValueError(MP_ERROR_TEXT("the private key is out of range"));
        default:
            mp_raise_msg(&mp_type_RuntimeError, MP_ERROR_TEXT("the library failed"));
    }
}

static mp_obj_t native_public_key(mp_obj_t private_key) {
    uint8_t pair[ES256_PAIR];
    es256_result_t result = es256_public_key(pair, private_key_of(private_key));
    return pair_or_error(result, pair);
}
static MP_DEFINE_CONST_FUN_OBJ_1(native_public_key_obj, native_public_key);

static mp_obj_t native_sign(mp_obj_t private_key, mp_obj_t digest) {
    uint8_t pair[ES256_PAIR];
    const uint8_t *hashed;
    if (!has_length(digest, ES256_NUMBER, &hashed)) {
        mp_raise_ValueError(MP_ERROR_TEXT("the digest is not 32 bytes"));
    }
    es256_result_t result = es256_sign(pair, private_key_of(private_key), hashed);
    return pair_or_error(result, pair);
}
static MP_DEFINE_CONST_FUN_OBJ_2(native_sign_obj, native_sign);

// Malformed arguments come from peers, and are no error of the caller's.
static mp_obj_t native_verify(mp_obj_t public_key, mp_obj_t digest, mp_obj_t signature) {
    const uint8_t *point, *hashed, *pair;
    bool formed = has_length(public_key, ES256_PAIR, &point);
    formed &= has_length(digest, ES256_NUMBER, &hashed);
    formed &= has_length(signature, ES256_PAIR, &pair);
    return mp_obj_new_bool(formed && es256_verify(point, hashed, pair));
}
static MP_DEFINE_CONST_FUN_OBJ_3(native_verify_obj, native_verify);

static const mp_rom_map_elem_t native_globals_table[] = {
    { MP_ROM_QSTR(MP_QSTR___name__), MP_ROM_QSTR(MP_QSTR_carbonmeter_native) },
    { MP_ROM_QSTR(MP_QSTR_public_key), MP_ROM_PTR(&native_public_key_obj) },
    { MP_ROM_QSTR(MP_QSTR_sign), MP_ROM_PTR(&native_sign_obj) },
    { MP_ROM_QSTR(MP_QSTR_verify), MP_ROM_PTR(&native_verify_obj) },
};
static MP_DEFINE_CONST_DICT(native_globals, native_globals_table);

const mp_obj_module_t carbonmeter_native_module = {
    .base = { &mp_type_module },
    .globals = (mp_obj_dict_t *)&native_globals,
};

MP_REGISTER_MODULE(MP_QSTR_carbonmeter_native, carbonmeter_native_module);
