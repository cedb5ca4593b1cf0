// Numbers beside the order n of P-256 (SEC 2 §2.4.2). All of them are public: digests, and the s of signatures.
#pragma once

#include <stdbool.h>
#include <stdint.h>

// number mod n
void es256_order_reduce(uint8_t number[32]);
// s or n - s, whichever is lower; s is below n.
void es256_order_lower(uint8_t s[32]);
bool es256_order_is_lower(const uint8_t s[32]);
