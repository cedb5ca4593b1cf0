// Mbed TLS for the tests and the benchmark of curve_mbedtls.c: what it calls, configured as MicroPython's ports do
// (extmod/mbedtls/mbedtls_config_common.h); with FAST, as a board's mbedtls_config_board.h should.
#pragma once

#define MBEDTLS_ASN1_PARSE_C
#define MBEDTLS_ASN1_WRITE_C
#define MBEDTLS_BIGNUM_C
#define MBEDTLS_ECDSA_C
#define MBEDTLS_ECP_C
#define MBEDTLS_ECP_DP_SECP256R1_ENABLED
#define MBEDTLS_SHA256_C
#define MBEDTLS_SHA256_SMALLER

#ifdef FAST
#define MBEDTLS_HAVE_ASM
#define MBEDTLS_ECP_NIST_OPTIM
#endif
