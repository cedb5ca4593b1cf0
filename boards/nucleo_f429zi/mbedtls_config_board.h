// The port's Mbed TLS, with P-256 at a quarter of its time, and without the calendar: this board learns the time from
// its gateway, over the very connection that a certificate's dates would have to be judged for. Who the broker is,
// is checked all the same.
#include "ports/stm32/mbedtls/mbedtls_config_port.h"

#undef MBEDTLS_HAVE_TIME_DATE
#define MBEDTLS_ECP_NIST_OPTIM
#define MBEDTLS_HAVE_ASM
