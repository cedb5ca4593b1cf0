"""What this machine can do by itself, and what processes take from it. Linux only: it reads /proc."""

import os
import re
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

CORES = len(os.sched_getaffinity(0))
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


class OpenSsl(NamedTuple):
    version: str
    verify_rate: float
    """P-256 verifications a second on all cores together."""

    @property
    def verify_us(self) -> float:
        """On one core."""
        return 1e6 * CORES / self.verify_rate


def measure_openssl(seconds: int) -> OpenSsl:
    """`openssl speed` counts its processor time, so what else the machine does hardly lowers this limit."""
    version = subprocess.run(["openssl", "version"], capture_output=True, text=True, check=True).stdout.strip()
    command = ["openssl", "speed", "-seconds", str(seconds), "-multi", str(CORES), "ecdsap256"]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    # "256 bits ecdsa (nistp256)   0.0000s   0.0000s 136284.7  46759.3": sign/s and verify/s come last.
    (rate,) = re.findall(r"nistp256\).* ([0-9.]+)$", output, re.MULTILINE)
    return OpenSsl(version, float(rate))


def processor() -> str:
    found = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return found[1] if found else os.uname().machine


def cpu_s(pids: Iterable[int]) -> float:
    """Processor time of these processes so far, user and system."""
    ticks = 0
    for pid in pids:
        # The name in parentheses may hold anything; what follows it are numbers.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / _TICKS_PER_S


def busy_s() -> float:
    """Processor time that all of the machine has used so far, and what a hypervisor took from it (proc(5))."""
    user, nice, system, _idle, _iowait, irq, softirq, steal, *_ = map(
        int, Path("/proc/stat").read_text().partition("\n")[0].split()[1:]
    )
    return (user + nice + system + irq + softirq + steal) / _TICKS_PER_S


def memory_mib(pids: Iterable[int]) -> float:
    """Resident memory of these processes; pages that they share count in each."""
    return sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in pids) * _PAGE / 2**20
