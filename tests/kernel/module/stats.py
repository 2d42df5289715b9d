# SPDX-License-Identifier: GPL-2.0-only
"""Runs in L1: a guest of three exits, and its statistics from all three places, as JSON.

A second guest halts until a signal comes.
"""

import ctypes
import fcntl
import glob
import json
import mmap
import os
import signal
import struct
import subprocess

CODE = bytes.fromhex("0fa2"     # cpuid
                     "e680"     # out 80h, al
                     "e680"
                     "f4")
DEBUGFS = "/sys/kernel/debug/kvm"
TYPES = ("cumulative", "instant", "peak", "linear", "log")
UNITS = ("none", "bytes", "seconds", "cycles", "boolean")


def parse(fd):
    """{id, stats: name -> {type, unit, exponent, values}, size} of a stats file."""
    flags, name_size, count, id_at, descs_at, data_at = struct.unpack("6I", os.pread(fd, 24, 0))
    assert flags == 0
    stats, size = {}, data_at
    for i in range(count):
        at = descs_at + i * (16 + name_size)
        flags, exponent, length, offset, bucket = struct.unpack("IhHII", os.pread(fd, 16, at))
        name = os.pread(fd, name_size, at + 16).split(b"\0")[0].decode()
        data = os.pread(fd, 8 * length, data_at + offset)
        stats[name] = {"type": TYPES[flags & 15], "unit": UNITS[flags >> 4 & 15],
                       "base": flags >> 8, "exponent": exponent, "bucket": bucket,
                       "values": struct.unpack(f"{length}Q", data)}
        size = max(size, data_at + offset + 8 * length)
    return {"id": os.pread(fd, name_size, id_at).split(b"\0")[0].decode(), "stats": stats,
            "size": size}


def debugfs(pattern):
    [folder] = glob.glob(f"{DEBUGFS}/{pattern}")
    return {name: int(open(f"{folder}/{name}").read()) for name in os.listdir(folder)
            if os.path.isfile(f"{folder}/{name}")}


def read_all(fd):
    """Everything, in odd pieces, from wherever the file stands."""
    pieces = iter(lambda: os.read(fd, 37), b"")
    return b"".join(pieces)


def error(call, *arguments):
    try:
        call(*arguments)
    except OSError as e:
        return e.errno
    return 0


def guest(kvm, code, irqchip=False):
    """VM, vCPU and memory, for real-mode code."""
    vm = fcntl.ioctl(kvm, 0xAE01, 0)
    if irqchip:
        fcntl.ioctl(vm, 0xAE60, 0)
    ram = mmap.mmap(-1, 0x10000)
    ram[0x1000:0x1000 + len(code)] = code
    address = ctypes.addressof(ctypes.c_char.from_buffer(ram))
    fcntl.ioctl(vm, 0x4020AE46, struct.pack("IIQQQ", 0, 0, 0, 0x10000, address))
    vcpu = fcntl.ioctl(vm, 0xAE41, 0)
    sregs = bytearray(312)
    fcntl.ioctl(vcpu, 0x8138AE83, sregs)
    struct.pack_into("QIH", sregs, 0, 0, 0xFFFF, 0)     # CS
    fcntl.ioctl(vcpu, 0x4138AE84, sregs)
    fcntl.ioctl(vcpu, 0x4090AE82, struct.pack("18Q", *[0] * 16, 0x1000, 2))
    return vm, vcpu, ram


def halted(kvm, seconds):
    """The statistics of a vCPU that waited so long in HLT, and how its run ended."""
    vm, vcpu, ram = guest(kvm, b"\xf4", irqchip=True)
    signal.signal(signal.SIGALRM, lambda *_: None)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    status = error(fcntl.ioctl, vcpu, 0xAE80, 0)        # KVM_RUN
    stats = fcntl.ioctl(vcpu, 0xAECE, 0)
    found = parse(stats)
    for fd in (stats, vcpu, vm):
        os.close(fd)
    return status, found


kvm = os.open("/dev/kvm", os.O_RDWR)
status_halted, waited = halted(kvm, 0.2)
vm, vcpu, ram = guest(kvm, CODE)
for _ in range(2):                                      # up to its second OUT, entered three times
    fcntl.ioctl(vcpu, 0xAE80, 0)
of_vm, of_vcpu = fcntl.ioctl(vm, 0xAECE, 0), fcntl.ioctl(vcpu, 0xAECE, 0)
result = {
    "pid": os.getpid(),
    "halted": [status_halted, waited],
    "capability": fcntl.ioctl(kvm, 0xAE03, 203),
    "vm": parse(of_vm), "vcpu": parse(of_vcpu),
    "debugfs vcpu": debugfs(f"{os.getpid()}-*/vcpu0"),
    "debugfs vm": debugfs(f"{os.getpid()}-*"),
    "debugfs": debugfs(""),
    "write": error(os.write, of_vm, b"x"),
    "seek": [os.lseek(of_vm, 24, os.SEEK_SET), os.lseek(of_vm, 0, os.SEEK_END),
             error(os.lseek, of_vm, -1, os.SEEK_SET)],
    "past the end": len(os.pread(of_vm, 1, 1 << 40)),
}
whole = os.pread(of_vcpu, 1 << 20, 0)
os.lseek(of_vcpu, 0, os.SEEK_SET)
result["whole"] = [len(whole), whole == read_all(of_vcpu)]
fcntl.ioctl(vm, 0x4020AE46, struct.pack("IIQQQ", 0, 0, 0, 0, 0))    # the slot goes
result["vm without memory"] = parse(of_vm)
os.close(kvm)
os.close(vm)
os.close(vcpu)
result["vcpu closed"] = parse(of_vcpu)
os.close(of_vm)
result["rmmod"] = subprocess.run(["rmmod", "kvm_amd"], capture_output=True, text=True).stderr
os.close(of_vcpu)
result["debugfs afterwards"] = debugfs("")
result["folders"] = len(glob.glob(f"{DEBUGFS}/{os.getpid()}-*"))
print(json.dumps(result))
