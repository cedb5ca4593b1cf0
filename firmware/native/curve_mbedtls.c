// The curve by the port's own Mbed TLS 3, as the port configures it: the nonce comes from rfc6979.c, so that neither
// MBEDTLS_ECDSA_DETERMINISTIC nor its generator has to be in. It takes memory from the port's heap and wipes it.

#include "curve.h"

#include <string.h>

#include "mbedtls/ecdsa.h"
#include "mbedtls/ecp.h"

typedef struct {
    mbedtls_ecp_group group;
    mbedtls_ecp_point point;
    mbedtls_mpi scalar, r, s;
} numbers_t;

static bool begin(numbers_t *numbers) {
    mbedtls_ecp_group_init(&numbers->group);
    mbedtls_ecp_point_init(&numbers->point);
    mbedtls_mpi_init(&numbers->scalar);
    mbedtls_mpi_init(&numbers->r);
    mbedtls_mpi_init(&numbers->s);
    return mbedtls_ecp_group_load(&numbers->group, MBEDTLS_ECP_DP_SECP256R1) == 0;
}

static void end(numbers_t *numbers) {
    mbedtls_mpi_free(&numbers->s);
    mbedtls_mpi_free(&numbers->r);
    mbedtls_mpi_free(&numbers->scalar);
    mbedtls_ecp_point_free(&numbers->point);
    mbedtls_ecp_group_free(&numbers->group);
}

static bool read_number(mbedtls_mpi *number, const uint8_t *bytes) {
    return mbedtls_mpi_read_binary(number, bytes, ES256_NUMBER) == 0;
}

static bool write_pair(uint8_t *pair, const mbedtls_mpi *first, const mbedtls_mpi *second) {
    return mbedtls_mpi_write_binary(first, pair, ES256_NUMBER) == 0
        && mbedtls_mpi_write_binary(second, pair + ES256_NUMBER, ES256_NUMBER) == 0;
}

static es256_result_t begin_private(numbers_t *numbers, const uint8_t *private_key) {
    if (!begin(numbers) || !read_number(&numbers->scalar, private_key)) {
        return ES256_LIBRARY_FAILED;
    }
    return mbedtls_ecp_check_privkey(&numbers->group, &numbers->scalar) == 0
        ? ES256_DONE : ES256_PRIVATE_KEY_OUT_OF_RANGE;
}

es256_result_t es256_curve_public_key(uint8_t public_key[ES256_PAIR], const uint8_t private_key[ES256_NUMBER]) {
    // Blinding must not repeat a nonce of this key's: what no one has the digest of is hashed along.
    static const uint8_t label[ES256_NUMBER] = "carbonmeter blinds a public key";
    numbers_t numbers;
    rfc6979_t blinding;
    es256_result_t result = begin_private(&numbers, private_key);
    if (result == ES256_DONE) {
        bool done = rfc6979_start(&blinding, private_key, label)
            && mbedtls_ecp_mul(&numbers.group, &numbers.point, &numbers.scalar, &numbers.group.G,
                rfc6979_fill, &blinding) == 0
            && write_pair(public_key, &numbers.point.MBEDTLS_PRIVATE(X), &numbers.point.MBEDTLS_PRIVATE(Y));
        rfc6979_wipe(&blinding);
        result = done ? ES256_DONE : ES256_LIBRARY_FAILED;
    }
    end(&numbers);
    return result;
}

// Mbed TLS draws the nonce first and redraws one that is out of range; what it draws after that only blinds.
es256_result_t es256_curve_sign(
    uint8_t signature[ES256_PAIR], const uint8_t private_key[ES256_NUMBER], const uint8_t digest[ES256_NUMBER],
    rfc6979_t *nonces) {
    numbers_t numbers;
    es256_result_t result = begin_private(&numbers, private_key);
    if (result == ES256_DONE
        && (mbedtls_ecdsa_sign(&numbers.group, &numbers.r, &numbers.s, &numbers.scalar, digest, ES256_NUMBER,
            rfc6979_fill, nonces) != 0
            || !write_pair(signature, &numbers.r, &numbers.s))) {
        result = ES256_LIBRARY_FAILED;
    }
    end(&numbers);
    return result;
}

bool es256_curve_verify(
    const uint8_t public_key[ES256_PAIR], const uint8_t digest[ES256_NUMBER], const uint8_t signature[ES256_PAIR]) {
    uint8_t uncompressed[1 + ES256_PAIR] = {0x04};
    numbers_t numbers;
    memcpy(uncompressed + 1, public_key, ES256_PAIR);
    bool verified = begin(&numbers)
        && read_number(&numbers.r, signature)
        && read_number(&numbers.s, signature + ES256_NUMBER)
        && mbedtls_ecp_point_read_binary(&numbers.group, &numbers.point, uncompressed, sizeof(uncompressed)) == 0
        && mbedtls_ecp_check_pubkey(&numbers.group, &numbers.point) == 0
        && mbedtls_ecdsa_verify(&numbers.group, digest, ES256_NUMBER, &numbers.point, &numbers.r, &numbers.s) == 0;
    end(&numbers);
    return verified;
}
