// Run under valgrind by test_native_constant_time.py: the private key counts as uninitialised memory, so that every
// branch and every address that depends on it is an error. With an argument one such branch is there on purpose.

#include <stdio.h>
#include <valgrind/memcheck.h>

#include "es256.h"

int main(int count, char **arguments) {
    (void)arguments;
    uint8_t private_key[ES256_NUMBER] = "a key of 32 bytes, known to all.";
    const uint8_t digest[ES256_NUMBER] = "and a digest of the same size...";
    uint8_t public_key[ES256_PAIR], signature[ES256_PAIR];
    // Before the key becomes a secret: p256-m says which of its results are public in signing only.
    es256_result_t known = es256_public_key(public_key, private_key);

    VALGRIND_MAKE_MEM_UNDEFINED(private_key, sizeof(private_key));
    es256_result_t signed_it = es256_sign(signature, private_key, digest);
    if (count > 1 && private_key[0] == 'a') {
        puts("it begins with an a");
    }
    return known == ES256_DONE && signed_it == ES256_DONE && es256_verify(public_key, digest, signature) ? 0 : 1;
}
