"""How many processor cores this process may use."""

import os
from pathlib import Path

CGROUP_LIMIT = Path("/sys/fs/cgroup/cpu.max")


def available_cores(limit: Path = CGROUP_LIMIT) -> int:
    """Cores of the affinity mask, or of the container's quota where that is less; at least 1.

    An inference library that counts the machine's cores starts 64 threads in a container with a quota of 2,
    and the kernel then stops them all for most of each period.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = limit.read_text(encoding="ascii").split()
        cores = min(cores, -(-int(quota) // int(period)))
    except (OSError, ValueError):  # no cgroup v2, or "max": no quota
        pass
    return max(1, cores)
