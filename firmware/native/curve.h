// The seam to the library that computes on the curve, in time that does not depend on secrets: curve_mbedtls.c where
// the port has mbedTLS, else curve_p256m.c. Arguments are as in es256.h; s may be either of the two.
#pragma once

#include "es256.h"
#include "rfc6979.h"

es256_result_t es256_curve_public_key(uint8_t public_key[ES256_PAIR], const uint8_t private_key[ES256_NUMBER]);
// Takes its nonce from `nonces`, and any blinding after it.
es256_result_t es256_curve_sign(
    uint8_t signature[ES256_PAIR], const uint8_t private_key[ES256_NUMBER], const uint8_t digest[ES256_NUMBER],
    rfc6979_t *nonces);
bool es256_curve_verify(
    const uint8_t public_key[ES256_PAIR], const uint8_t digest[ES256_NUMBER], const uint8_t signature[ES256_PAIR]);
