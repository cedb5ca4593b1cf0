"""One process that checks ES256 signatures (see workers.py, which starts it): `python -m … TASKS ANSWERS`.

A task is a packet: its number, then key, digest and signature of each, 160 bytes together. The answer is the
number and one byte for each signature, 1 for good. It ends when the gateway's end of the socket is gone.
"""

import os
import signal
import socket
import sys

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

from meter_gateway.signatures import p256_public_key, p256_verifies

NUMBER = 4
KEY, DIGEST, SIGNATURE = 64, 32, 64
RECORD = KEY + DIGEST + SIGNATURE
LARGEST_PACKET = 1 << 16
NICENESS = 10
_KEYS_CACHED = 65536


def answer(task: bytes, known: dict[bytes, EllipticCurvePublicKey]) -> bytes:
    verdicts = bytearray(task[:NUMBER])
    for start in range(NUMBER, len(task), RECORD):
        digest_start = start + KEY
        signature_start = digest_start + DIGEST
        point = task[start:digest_start]
        key = known.get(point)
        if key is None:
            if len(known) >= _KEYS_CACHED:
                known.clear()
            key = known[point] = p256_public_key(point)
        signature = task[signature_start : start + RECORD]
        verdicts.append(p256_verifies(key, task[digest_start:signature_start], signature))
    return bytes(verdicts)


def main(tasks_descriptor: int, answers_descriptor: int) -> None:
    # Ingest feeds the workers and is one thread: where it has to share a core with them, they would soon wait.
    os.nice(NICENESS)
    # The terminal's Ctrl-C reaches all processes of the group; when to stop is for the gateway to say.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    known: dict[bytes, EllipticCurvePublicKey] = {}
    with socket.socket(fileno=tasks_descriptor) as tasks, socket.socket(fileno=answers_descriptor) as answers:
        while task := tasks.recv(LARGEST_PACKET):
            answers.send(answer(task, known))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
