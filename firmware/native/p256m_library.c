// Those sources of Mbed TLS 3 that a port without it needs, found in MBEDTLS_SOURCE and compiled unchanged: the wiping
// of memory, SHA-256, and the curve, which comes last because the others make the members of its headers accessible.

// As p256-m comes with Mbed TLS, it draws from PSA's generator. Here there is no PSA: it draws the nonce that we give.
#define psa_generate_random p256m_nonce

#include "library/platform_util.c"
#include "library/sha256.c"
#include "3rdparty/p256-m/p256-m/p256-m.c"
