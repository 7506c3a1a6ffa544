"""Properties of the processor: available cores and int8 instructions."""

import os
from pathlib import Path

CGROUP_LIMIT = Path("/sys/fs/cgroup/cpu.max")


CPU_INFO = Path("/proc/cpuinfo")
_INT8_FLAGS = frozenset({"avx512_vnni", "avx_vnni", "amx_int8"})


def has_int8_instructions(cpu_info: Path = CPU_INFO) -> bool:
    """Whether the processor has instructions for int8 products; False if this is unknown."""
    try:
        flags = next(line for line in cpu_info.read_text(encoding="ascii").splitlines() if line.startswith("flags"))
    except (OSError, UnicodeDecodeError, StopIteration):
        return False
    return not _INT8_FLAGS.isdisjoint(flags.split())


def available_cores(limit: Path = CGROUP_LIMIT) -> int:
    """The smaller of the affinity mask and the container's CPU quota; at least 1.

    An inference library that counts the machine's cores starts 64 threads in a container with a quota of 2, and the
    kernel then throttles all of them for most of each period.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = limit.read_text(encoding="ascii").split()
        cores = min(cores, -(-int(quota) // int(period)))
    except (OSError, ValueError):  # no cgroup v2, or "max": no quota
        pass
    return max(1, cores)
