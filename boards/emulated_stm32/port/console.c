// USART1 is the console. Its text is written to only; machine.UART(1) is the provisioning line on the same pins.

#include "py/mphal.h"

#define CONSOLE ((usart_t *)0x40011000)

void console_init(void) {
    CONSOLE->CR1 = USART_CR1_UE | USART_CR1_TE;
}

void console_write(const char *text, size_t length) {
    for (size_t place = 0; place < length; place++) {
        while (!(CONSOLE->SR & USART_SR_TXE)) {
        }
        CONSOLE->DR = (uint8_t)text[place];
    }
}

mp_uint_t mp_hal_stdout_tx_strn(const char *text, size_t length) {
    console_write(text, length);
    return length;
}
