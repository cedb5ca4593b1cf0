// The six serial lines, received by interrupt into a ring each. A full ring masks its interrupt, and QEMU then
// keeps the bytes: nothing is overrun. (It is masked in the NVIC, because QEMU's USART takes its request back only
// when its data register is read.) There is no transmit buffer: QEMU takes a byte at once, however fast the
// line is said to be, and has the core wait when the program at the other end takes none.

#include "chip.h"

#define RING_BYTES (256)

typedef struct {
    uint16_t head;
    uint16_t tail;
    uint8_t bytes[RING_BYTES];
} ring_t;

static usart_t *const usarts[UART_COUNT] = {
    (usart_t *)0x40011000,
    (usart_t *)0x40004400,
    (usart_t *)0x40004800,
    (usart_t *)0x40004c00,
    (usart_t *)0x40005000,
    (usart_t *)0x40011400,
};
static const uint8_t irqs[UART_COUNT] = {37, 38, 39, 52, 53, 71};

// Heads are the handlers' alone, tails the readers'.
static volatile ring_t rings[UART_COUNT];

void uart_open(unsigned int number) {
    usarts[number]->CR1 = USART_CR1_UE | USART_CR1_RE | USART_CR1_TE | USART_CR1_RXNEIE;
    NVIC_ENABLE(irqs[number]) = 1u << (irqs[number] % 32);
}

static void receive(unsigned int number) {
    volatile ring_t *ring = &rings[number];
    usart_t *usart = usarts[number];
    if (!(usart->SR & USART_SR_RXNE)) {
        return;
    }
    uint16_t next = (uint16_t)((ring->head + 1) % RING_BYTES);
    if (next == ring->tail) {
        NVIC_DISABLE(irqs[number]) = 1u << (irqs[number] % 32);
        return;
    }
    ring->bytes[ring->head] = (uint8_t)usart->DR;
    ring->head = next;
}

size_t uart_waiting(unsigned int number) {
    return (size_t)(rings[number].head + RING_BYTES - rings[number].tail) % RING_BYTES;
}

size_t uart_take(unsigned int number, uint8_t *into, size_t size) {
    volatile ring_t *ring = &rings[number];
    size_t count = 0;
    while (count < size && ring->tail != ring->head) {
        into[count++] = ring->bytes[ring->tail];
        ring->tail = (uint16_t)((ring->tail + 1) % RING_BYTES);
    }
    if (count != 0) {
        NVIC_ENABLE(irqs[number]) = 1u << (irqs[number] % 32);
    }
    return count;
}

void uart_send(unsigned int number, const uint8_t *bytes, size_t size) {
    usart_t *usart = usarts[number];
    for (size_t place = 0; place < size; place++) {
        while (!(usart->SR & USART_SR_TXE)) {
        }
        usart->DR = bytes[place];
    }
}

void usart1_handler(void) {
    receive(0);
}

void usart2_handler(void) {
    receive(1);
}

void usart3_handler(void) {
    receive(2);
}

void uart4_handler(void) {
    receive(3);
}

void uart5_handler(void) {
    receive(4);
}

void usart6_handler(void) {
    receive(5);
}
