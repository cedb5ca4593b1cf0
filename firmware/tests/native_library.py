"""firmware/native's C core as a shared library of the host, for tests: what es256.h has, and the nonces."""

import ctypes
import subprocess
from collections.abc import Iterator
from pathlib import Path

from meter_tools.bench import board_core

DONE, PRIVATE_KEY_OUT_OF_RANGE = 0, 1


class Es256:
    def __init__(self, library: Path) -> None:
        self._c = ctypes.CDLL(str(library))
        self._c.es256_verify.restype = ctypes.c_bool
        self._c.rfc6979_start.restype = ctypes.c_bool

    def public_key(self, private: bytes) -> bytes:
        pair = ctypes.create_string_buffer(64)
        return self._pair(self._c.es256_public_key(pair, sized(private, 32)), pair)

    def sign(self, private: bytes, digest: bytes) -> bytes:
        pair = ctypes.create_string_buffer(b"\xa5" * 64, 64)
        return self._pair(self._c.es256_sign(pair, sized(private, 32), sized(digest, 32)), pair)

    def verify(self, public: bytes, digest: bytes, signature: bytes) -> bool:
        verified: bool = self._c.es256_verify(sized(public, 64), sized(digest, 32), sized(signature, 64))
        return verified

    def nonces(self, private: bytes, digest: bytes) -> Iterator[bytes]:
        state = ctypes.create_string_buffer(32 + 32 + 8)
        assert self._c.rfc6979_start(state, sized(private, 32), sized(digest, 32))
        candidate = ctypes.create_string_buffer(32)
        while True:
            assert self._c.rfc6979_fill(state, candidate, ctypes.c_size_t(32)) == 0
            yield candidate.raw

    def _pair(self, result: int, pair: "ctypes.Array[ctypes.c_char]") -> bytes:
        if result == PRIVATE_KEY_OUT_OF_RANGE:
            raise ValueError("the private key is out of range")
        assert result == DONE
        return pair.raw


def sized(content: bytes, size: int) -> bytes:
    """C gets pointers: a test that passes another length would read what lies behind."""
    assert len(content) == size
    return content


def build(engine: str, mbedtls_source: Path, folder: Path, *options: str) -> Es256:
    library = folder / f"es256-{engine}.so"
    command = ["gcc", "-O1", "-std=gnu99", "-Wall", "-Wextra", "-Werror", "-fPIC", "-shared", *options]
    subprocess.run([*command, *board_core.compiler_arguments(engine, mbedtls_source), "-o", library], check=True)
    return Es256(library)
