// The curve by p256-m (Mbed TLS's 3rdparty/p256-m): P-256 and nothing else, no memory beyond the stack.

#include "curve.h"

#include "p256-m.h"

#include "p256m_nonce.h"

// p256-m's random callback has no argument of its own. Only one signature is ever made at a time: MicroPython's lock
// is held while a C function runs.
static rfc6979_t *drawn_from;

int p256m_nonce(uint8_t *into, size_t size) {
    return drawn_from == NULL ? -1 : rfc6979_fill(drawn_from, into, size);
}

static es256_result_t outcome(int status) {
    switch (status) {
        case P256_SUCCESS:
            return ES256_DONE;
        case P256_INVALID_PRIVKEY:
            return ES256_PRIVATE_KEY_OUT_OF_RANGE;
        default:
            return ES256_LIBRARY_FAILED;
    }
}

es256_result_t es256_curve_public_key(uint8_t public_key[ES256_PAIR], const uint8_t private_key[ES256_NUMBER]) {
    return outcome(p256_public_from_private(public_key, private_key));
}

// Where r or s is 0, or four candidates in a row are out of range, p256-m gives up instead of drawing another: neither
// has ever been met by chance, nor can it be.
es256_result_t es256_curve_sign(
    uint8_t signature[ES256_PAIR], const uint8_t private_key[ES256_NUMBER], const uint8_t digest[ES256_NUMBER],
    rfc6979_t *nonces) {
    drawn_from = nonces;
    int status = p256_ecdsa_sign(signature, private_key, digest, ES256_NUMBER);
    drawn_from = NULL;
    return outcome(status);
}

bool es256_curve_verify(
    const uint8_t public_key[ES256_PAIR], const uint8_t digest[ES256_NUMBER], const uint8_t signature[ES256_PAIR]) {
    return p256_ecdsa_verify(signature, public_key, digest, ES256_NUMBER) == P256_SUCCESS;
}
