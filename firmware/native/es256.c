// What all libraries have in common: the nonce, and that only the lower s is ours (meter_firmware/low_s.py says why).

#include "es256.h"

#include <string.h>

#include "curve.h"
#include "order.h"
#include "rfc6979.h"

es256_result_t es256_public_key(uint8_t public_key[ES256_PAIR], const uint8_t private_key[ES256_NUMBER]) {
    return es256_curve_public_key(public_key, private_key);
}

es256_result_t es256_sign(
    uint8_t signature[ES256_PAIR], const uint8_t private_key[ES256_NUMBER], const uint8_t digest[ES256_NUMBER]) {
    rfc6979_t nonces;
    es256_result_t result = ES256_LIBRARY_FAILED;
    if (rfc6979_start(&nonces, private_key, digest)) {
        result = es256_curve_sign(signature, private_key, digest, &nonces);
    }
    rfc6979_wipe(&nonces);
    if (result == ES256_DONE) {
        es256_order_lower(signature + ES256_NUMBER);
    } else {
        memset(signature, 0, ES256_PAIR);
    }
    return result;
}

bool es256_verify(
    const uint8_t public_key[ES256_PAIR], const uint8_t digest[ES256_NUMBER], const uint8_t signature[ES256_PAIR]) {
    return es256_order_is_lower(signature + ES256_NUMBER) && es256_curve_verify(public_key, digest, signature);
}
