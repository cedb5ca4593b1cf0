#include "order.h"

#include <string.h>

static const uint8_t order[32] = {
    0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
};
// Rounded down: n is odd.
static const uint8_t half_order[32] = {
    0x7f, 0xff, 0xff, 0xff, 0x80, 0x00, 0x00, 0x00, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xde, 0x73, 0x7d, 0x56, 0xd3, 0x8b, 0xcf, 0x42, 0x79, 0xdc, 0xe5, 0x61, 0x7e, 0x31, 0x92, 0xa8,
};

// Numbers are big-endian and of one length, so memcmp orders them. `difference` may be either operand.
static void subtract(uint8_t difference[32], const uint8_t from[32], const uint8_t number[32]) {
    unsigned int borrow = 0;
    for (int place = 31; place >= 0; place--) {
        unsigned int digit = (unsigned int)from[place] - number[place] - borrow;
        difference[place] = (uint8_t)digit;
        borrow = digit >> 8 & 1;
    }
}

void es256_order_reduce(uint8_t number[32]) {
    if (memcmp(number, order, 32) >= 0) {
        subtract(number, number, order);  // once is enough: 2 n > 2^256
    }
}

bool es256_order_is_lower(const uint8_t s[32]) {
    return memcmp(s, half_order, 32) <= 0;
}

void es256_order_lower(uint8_t s[32]) {
    if (!es256_order_is_lower(s)) {
        subtract(s, order, s);
    }
}
