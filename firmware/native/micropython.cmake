# For ports built with CMake: `-DUSER_C_MODULES=.../firmware/native/micropython.cmake`. As micropython.mk: ESP-IDF and
# the ports that have Mbed TLS lend it, else MBEDTLS_SOURCE is the folder of an Mbed TLS 3.6 source.

add_library(usermod_carbonmeter_native INTERFACE)
set(native_sources carbonmeter_native.c es256.c order.c rfc6979.c)
target_include_directories(usermod_carbonmeter_native INTERFACE ${CMAKE_CURRENT_LIST_DIR})

if(ESP_PLATFORM OR MICROPY_SSL_MBEDTLS)
    list(APPEND native_sources curve_mbedtls.c)
else()
    set(p256m_folder ${MBEDTLS_SOURCE}/3rdparty/p256-m/p256-m)
    if(NOT EXISTS ${p256m_folder}/p256-m.c)
        message(FATAL_ERROR "MBEDTLS_SOURCE must be the folder of an Mbed TLS 3.6 source, with its 3rdparty/p256-m")
    endif()
    list(APPEND native_sources curve_p256m.c p256m_library.c)
    target_include_directories(
        usermod_carbonmeter_native INTERFACE ${MBEDTLS_SOURCE} ${MBEDTLS_SOURCE}/include ${p256m_folder}
    )
    target_compile_definitions(usermod_carbonmeter_native INTERFACE MBEDTLS_CONFIG_FILE="p256m_config.h")
endif()

list(TRANSFORM native_sources PREPEND ${CMAKE_CURRENT_LIST_DIR}/)
target_sources(usermod_carbonmeter_native INTERFACE ${native_sources})
target_link_libraries(usermod INTERFACE usermod_carbonmeter_native)
