// The deterministic nonces of RFC 6979 §3.2, with HMAC-SHA256 and for P-256: no board's random numbers need be trusted.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
    uint8_t key[32];
    uint8_t value[32];
    bool used;
} rfc6979_t;

// Steps a to g. False where the hash unit failed.
bool rfc6979_start(rfc6979_t *nonces, const uint8_t private_key[32], const uint8_t digest[32]);
// Step h: the next candidate in each 32 bytes asked for. In the form in which mbedTLS asks for random numbers:
// `nonces` is a rfc6979_t, 0 is success. The caller is who refuses a candidate that is not in [1, n - 1].
int rfc6979_fill(void *nonces, unsigned char *into, size_t size);
void rfc6979_wipe(rfc6979_t *nonces);
