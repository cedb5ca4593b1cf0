// es256.h's functions on a bare Cortex-M4 in QEMU (machine netduinoplus2, -icount shift=0): what the library alone
// costs, for `make bench-board`. Prints a line "name instructions" for each, through ARM semihosting, and ends it.
//
// An instruction is a nanosecond of virtual time then, and QEMU runs timer 2 at 1 GHz: its count is instructions.

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "es256.h"

#define REGISTER(address) (*(volatile uint32_t *)(address))
#define TIM2_CR1 REGISTER(0x40000000)
#define TIM2_EGR REGISTER(0x40000014)
#define TIM2_CNT REGISTER(0x40000024)
#define TIM2_PSC REGISTER(0x40000028)
#define TIM2_ARR REGISTER(0x4000002c)

#define SYS_WRITE0 (0x04)
#define SYS_EXIT_EXTENDED (0x20)
#define APPLICATION_EXIT (0x20026)

#define LOOPS (1000000)

static const uint8_t private_key[ES256_NUMBER] = "a key of 32 bytes, known to all.";
static const uint8_t digest[ES256_NUMBER] = "and a digest of the same size...";

static void semihosting(uint32_t operation, const void *argument) {
    register uint32_t r0 __asm__ ("r0") = operation;
    register const void *r1 __asm__ ("r1") = argument;
    __asm__ volatile ("bkpt 0xab" : "+r" (r0) : "r" (r1) : "memory");
}

static __attribute__((noreturn)) void leave(int code) {
    const uint32_t arguments[] = {APPLICATION_EXIT, (uint32_t)code};
    semihosting(SYS_EXIT_EXTENDED, arguments);
    for (;;) {
    }
}

static void tell(const char *name, uint32_t instructions) {
    char line[16] = {0};
    size_t place = sizeof(line) - 1;
    line[--place] = '\n';
    do {
        line[--place] = (char)('0' + instructions % 10);
        instructions /= 10;
    } while (instructions != 0);
    line[--place] = ' ';
    semihosting(SYS_WRITE0, name);
    semihosting(SYS_WRITE0, line + place);
}

static void require(bool holds) {
    if (!holds) {
        leave(1);
    }
}

// Two instructions a turn: what the counter is checked with.
static void loop(uint32_t turns) {
    __asm__ volatile ("1: subs %0, #1\n bne 1b" : "+r" (turns) : : "cc");
}

static void measure(void) {
    uint8_t public_key[ES256_PAIR], signature[ES256_PAIR];
    TIM2_PSC = 0;
    TIM2_ARR = 0xffffffff;
    TIM2_EGR = 1;
    TIM2_CR1 = 1;

    uint32_t start = TIM2_CNT;
    loop(LOOPS);
    tell("loop", TIM2_CNT - start);

    start = TIM2_CNT;
    require(es256_public_key(public_key, private_key) == ES256_DONE);
    tell("public_key", TIM2_CNT - start);

    start = TIM2_CNT;
    require(es256_sign(signature, private_key, digest) == ES256_DONE);
    tell("sign", TIM2_CNT - start);

    start = TIM2_CNT;
    require(es256_verify(public_key, digest, signature));
    tell("verify", TIM2_CNT - start);

    signature[ES256_PAIR - 1] ^= 1;
    require(!es256_verify(public_key, digest, signature));
}

// Memory for Mbed TLS's numbers, which malloc hands out.
void *_sbrk(ptrdiff_t size);
void *_sbrk(ptrdiff_t size) {
    static char heap[32 * 1024];
    static size_t used;
    if (used + (size_t)size > sizeof(heap)) {
        return (void *)-1;
    }
    used += (size_t)size;
    return heap + used - size;
}

// The emulator loads .data where it belongs, and memory starts out as zeros.
__attribute__((noreturn)) void reset_handler(void) {
    measure();
    leave(0);
}

__attribute__((noreturn)) static void fault_handler(void) {
    leave(2);
}

extern void (*const vectors[16])(void);
__attribute__((section(".vectors"))) void (*const vectors[16])(void) = {
    (void (*)(void))0x20020000,  // the stack's top
    reset_handler,
    [2 ... 15] = fault_handler,
};
