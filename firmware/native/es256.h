// ES256 on raw bytes: ECDSA over P-256 with a SHA-256 digest (FIPS 186-5), numbers big-endian and 32 bytes each, as
// RFC 9053 §2.1 has them. Knows nothing of MicroPython, so that the same code is tested on any host.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define ES256_NUMBER (32)
#define ES256_PAIR (2 * ES256_NUMBER)

typedef enum {
    ES256_DONE,
    ES256_PRIVATE_KEY_OUT_OF_RANGE,
    // The library could not compute: no memory, or a hash unit that failed. Nothing was signed.
    ES256_LIBRARY_FAILED,
} es256_result_t;

// x || y of the private key's point.
es256_result_t es256_public_key(uint8_t public_key[ES256_PAIR], const uint8_t private_key[ES256_NUMBER]);

// r || s with the nonce of RFC 6979 and the lower of the two s.
es256_result_t es256_sign(
    uint8_t signature[ES256_PAIR], const uint8_t private_key[ES256_NUMBER], const uint8_t digest[ES256_NUMBER]);

// Whether it is the low-S signature of this key over this digest. A key that is no point of the curve verifies nothing.
bool es256_verify(
    const uint8_t public_key[ES256_PAIR], const uint8_t digest[ES256_NUMBER], const uint8_t signature[ES256_PAIR]);
