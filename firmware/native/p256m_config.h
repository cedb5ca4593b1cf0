// Mbed TLS's configuration for p256m_library.c and who calls it.
#pragma once

#define MBEDTLS_PSA_P256M_DRIVER_ENABLED
#define MBEDTLS_SHA256_C
// Unrolled, it would be 1.5 times as fast and four times as large; a signature is 100 times the work of its hashing.
#define MBEDTLS_SHA256_SMALLER
