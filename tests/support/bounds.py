"""Bounds that are promised: each measurement is printed beside its bound, so that `make bounds` can list them."""

from __future__ import annotations

import sysconfig

#: Seconds on top of each bound of time: the machine that runs the tests may be busy.
SLACK = 0.3
#: Bytes on top of each bound of memory, which the allocator and Python keep for themselves; the
#: free-threaded build keeps more.
OVERHEAD = (12 if sysconfig.get_config_var("Py_GIL_DISABLED") else 8) << 20


def within(what: str, seconds: float, bound: float) -> None:
    print(f"bound: {what}: {seconds:.3f} s, at most {bound:g} s")
    assert seconds < bound + SLACK


def fits(what: str, size: int, bound: int) -> None:
    print(
        f"bound: {what}: {size / (1 << 20):.1f} MiB, at most {bound / (1 << 20):g} MiB and overhead"
    )
    assert size < bound + OVERHEAD
