"""A seccomp filter as bytes: what a program in the quarantine may not ask the kernel for.

Assembled by hand, because no library for it is among what Airlock needs anyway. Everything is
allowed but what loads code into the kernel, changes namespaces or mounts, looks into other
processes, or opens a socket other than a local one; such calls fail with EPERM. Another
architecture than the machine's own is killed. See seccomp(2) and bpf(4).
"""

from __future__ import annotations

import platform
import struct

_ALLOW, _KILL, _EPERM, _ENOSYS = 0x7FFF0000, 0x80000000, 0x00050001, 0x00050026
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT = 0, 4, 16
_AF_UNIX = 1
_NEW_NAMESPACES = 0x7E020080
_X32 = 0x40000000

# The same numbers everywhere: io_uring, the new mount calls, pidfd_getfd.
_COMMON = (425, 426, 427, 428, 429, 430, 431, 432, 433, 438, 442)

#: machine -> (architecture, socket, clone, refused calls)
_MACHINES: dict[str, tuple[int, int, int, tuple[int, ...]]] = {
    "x86_64": (
        0xC000003E,
        41,
        56,
        # ptrace, syslog, personality, vhangup, modify_ldt, pivot_root, adjtimex, chroot, acct,
        # settimeofday, mount, umount2, swapon, swapoff, reboot, iopl, ioperm, init_module,
        # delete_module, quotactl, lookup_dcookie, clock_settime, kexec_load, add_key, request_key,
        # keyctl, unshare, perf_event_open, name_to_handle_at, open_by_handle_at, clock_adjtime,
        # setns, process_vm_readv, process_vm_writev, kcmp, finit_module, kexec_file_load, bpf,
        # userfaultfd
        (
            *(101, 103, 135, 153, 154, 155, 159, 161, 163, 164, 165, 166, 167, 168, 169, 172),
            *(173, 175, 176, 179, 212, 227, 246, 248, 249, 250, 272, 298, 303, 304, 305, 308),
            *(310, 311, 312, 313, 320, 321, 323),
        ),
    ),
    "aarch64": (
        0xC00000B7,
        198,
        220,
        (
            *(117, 116, 92, 58, 41, 171, 51, 89, 170, 40, 39, 224, 225, 142, 105, 106, 60, 18),
            *(112, 104, 217, 218, 219, 97, 241, 264, 265, 266, 268, 270, 271, 272, 273, 294),
            *(280, 282),
        ),
    ),
}
_CLONE3 = 435  # its flags lie in memory a filter cannot read; the C library then uses clone


def supported() -> bool:
    """Say whether there is a filter for this machine."""
    return platform.machine() in _MACHINES


def program(machine: str = "") -> bytes:
    """Return the filter for *machine*, by default this one."""
    architecture, socket, clone, refused = _MACHINES[machine or platform.machine()]
    code = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_EQUAL, 1, 0, architecture),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER),
        (_AT_LEAST, 0, 1, _X32),
        (_RETURN, 0, 0, _EPERM),
        (_EQUAL, 0, 1, _CLONE3),
        (_RETURN, 0, 0, _ENOSYS),
    ]
    for number in (*refused, *_COMMON):
        code += [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, _EPERM)]
    code += [
        (_EQUAL, 0, 4, socket),
        (_LOAD, 0, 0, _FIRST_ARGUMENT),
        (_EQUAL, 1, 0, _AF_UNIX),
        (_RETURN, 0, 0, _EPERM),
        (_RETURN, 0, 0, _ALLOW),
        (_EQUAL, 0, 3, clone),
        (_LOAD, 0, 0, _FIRST_ARGUMENT),
        (_ANY_BIT, 0, 1, _NEW_NAMESPACES),
        (_RETURN, 0, 0, _EPERM),
        (_RETURN, 0, 0, _ALLOW),
    ]
    return b"".join(struct.pack("<HBBI", *instruction) for instruction in code)
