// Where p256-m takes its random numbers from: named as the function of mbedTLS's PSA that it calls (p256m_library.c).
#pragma once

#include <stddef.h>
#include <stdint.h>

int p256m_nonce(uint8_t *into, size_t size);
