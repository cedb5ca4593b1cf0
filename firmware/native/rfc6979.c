#include "rfc6979.h"

#include <string.h>

#include "mbedtls/platform_util.h"
#include "mbedtls/sha256.h"

#include "order.h"

#define BLOCK (64)

// HMAC-SHA256 (RFC 2104) of the whole message under a key of 32 bytes; `code` may be part of either.
static bool hmac(uint8_t code[32], const uint8_t key[32], const uint8_t *message, size_t size) {
    uint8_t padded[BLOCK];
    uint8_t inner[32];
    mbedtls_sha256_context hash;
    int failed = 0;
    for (int turn = 0; turn < 2; turn++) {
        const uint8_t pad = turn == 0 ? 0x36 : 0x5c;
        memset(padded, pad, sizeof(padded));
        for (int place = 0; place < 32; place++) {
            padded[place] = key[place] ^ pad;
        }
        mbedtls_sha256_init(&hash);
        failed |= mbedtls_sha256_starts(&hash, 0);
        failed |= mbedtls_sha256_update(&hash, padded, sizeof(padded));
        failed |= turn == 0 ? mbedtls_sha256_update(&hash, message, size)
            : mbedtls_sha256_update(&hash, inner, sizeof(inner));
        failed |= mbedtls_sha256_finish(&hash, turn == 0 ? inner : code);
        mbedtls_sha256_free(&hash);
    }
    mbedtls_platform_zeroize(padded, sizeof(padded));
    mbedtls_platform_zeroize(inner, sizeof(inner));
    return failed == 0;
}

// K = HMAC(K, V || tag || seed), V = HMAC(K, V): steps d, e and f, g; and step h's, whose seed is empty.
static bool stir(rfc6979_t *nonces, uint8_t tag, const uint8_t *seed, size_t seed_size) {
    uint8_t message[32 + 1 + 64];
    memcpy(message, nonces->value, 32);
    message[32] = tag;
    memcpy(message + 33, seed, seed_size);
    bool done = hmac(nonces->key, nonces->key, message, 33 + seed_size)
        && hmac(nonces->value, nonces->key, nonces->value, 32);
    mbedtls_platform_zeroize(message, sizeof(message));
    return done;
}

bool rfc6979_start(rfc6979_t *nonces, const uint8_t private_key[32], const uint8_t digest[32]) {
    uint8_t seed[64];
    memcpy(seed, private_key, 32);
    memcpy(seed + 32, digest, 32);
    es256_order_reduce(seed + 32);  // bits2octets, §2.3.4
    memset(nonces->value, 0x01, 32);
    memset(nonces->key, 0x00, 32);
    nonces->used = false;
    bool done = stir(nonces, 0x00, seed, sizeof(seed)) && stir(nonces, 0x01, seed, sizeof(seed));
    mbedtls_platform_zeroize(seed, sizeof(seed));
    return done;
}

int rfc6979_fill(void *state, unsigned char *into, size_t size) {
    rfc6979_t *nonces = state;
    while (size != 0) {
        size_t part = size < 32 ? size : 32;
        if (nonces->used && !stir(nonces, 0x00, NULL, 0)) {
            return -1;
        }
        if (!hmac(nonces->value, nonces->key, nonces->value, 32)) {
            return -1;
        }
        nonces->used = true;
        memcpy(into, nonces->value, part);
        into += part;
        size -= part;
    }
    return 0;
}

void rfc6979_wipe(rfc6979_t *nonces) {
    mbedtls_platform_zeroize(nonces, sizeof(*nonces));
}
