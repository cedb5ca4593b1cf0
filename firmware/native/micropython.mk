# For ports built with make: `make USER_C_MODULES=.../firmware`, which is the folder above this one. A port that has
# Mbed TLS lends it; else MBEDTLS_SOURCE is the folder of an Mbed TLS 3.6 source, of which three files are compiled in.
# Not MBEDTLS_DIR: to MicroPython's own extmod.mk that is something else.

SRC_USERMOD_C += $(USERMOD_DIR)/carbonmeter_native.c
SRC_USERMOD_LIB_C += $(addprefix $(USERMOD_DIR)/, es256.c order.c rfc6979.c)
CFLAGS_USERMOD += -I$(USERMOD_DIR)

ifeq ($(MICROPY_PY_SSL)$(MICROPY_SSL_MBEDTLS),11)
SRC_USERMOD_LIB_C += $(USERMOD_DIR)/curve_mbedtls.c
else
ifeq ($(wildcard $(MBEDTLS_SOURCE)/3rdparty/p256-m/p256-m/p256-m.c),)
$(error MBEDTLS_SOURCE must be the folder of an Mbed TLS 3.6 source, with its 3rdparty/p256-m)
endif
SRC_USERMOD_LIB_C += $(addprefix $(USERMOD_DIR)/, curve_p256m.c p256m_library.c)
CFLAGS_USERMOD += -I$(MBEDTLS_SOURCE) -I$(MBEDTLS_SOURCE)/include -I$(MBEDTLS_SOURCE)/3rdparty/p256-m/p256-m
CFLAGS_USERMOD += -DMBEDTLS_CONFIG_FILE='"p256m_config.h"'
endif
