#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What a user can get wrong before the guest runs. Each row must end at once with status 1 and exactly
one line on standard error, which contains the given words."""

import os
import random
import struct
import sys
import tempfile

from yadotest import GUEST, YADO, done, ok, run, skip

FOLDER = tempfile.mkdtemp()
KERNEL = os.path.join(GUEST, "vmlinuz")
INITRD = os.path.join(GUEST, "initrd.gz")


def made(name, content=b"", size=None, mode=0o644):
    path = os.path.join(FOLDER, name)
    with open(path, "wb") as file:
        file.write(content)
        if size is not None:
            file.truncate(size)
    os.chmod(path, mode)
    return path


def elf(phoff=64, phnum=2, file_size=64, memory_size=64, address=0x100000, entry=0x100000, note=4,
        note_size=20):
    """An x86-64 ELF executable with one PT_LOAD segment and the PVH note."""
    header = struct.pack("<4sBBBB8xHHIQQQIHHHHHH", b"\x7fELF", 2, 1, 1, 0, 2, 62, 1, address, phoff,
                         0, 0, 64, 56, phnum, 0, 0, 0)
    segments = struct.pack("<IIQQQQQQ", 1, 5, 200, address, address, file_size, memory_size, 4096)
    segments += struct.pack("<IIQQQQQQ", note, 4, 176, 0, 0, note_size, note_size, 4)
    return header + segments + struct.pack("<III4sI", 4, 4, 18, b"Xen", entry) + bytes(4) + bytes(64)


def kernels():
    image = open(KERNEL, "rb").read()
    noise = random.Random(1).randbytes(65536)
    setup_size = (image[0x1F1] + 1) * 512
    yield "100 bytes of a kernel", made("k1", image[:100])
    yield "600 bytes of a kernel", made("k2", image[:600])
    yield "the setup code of a kernel only", made("k3", image[:setup_size])
    yield "half of a kernel", made("k4", image[:len(image) // 2])
    code_size = struct.unpack_from("<I", image, 0x1F4)[0] * 16
    yield "a kernel whose end is missing", made("k5", image[:setup_size + code_size - 64])
    yield "noise", made("k6", noise)
    yield "an empty file", made("k7")
    yield "16 bytes of ELF header", made("k8", elf()[:16])
    yield "an ELF program without PVH note", made("k9", elf(note=5))
    yield "an ELF program whose headers are past its end", made("k10", elf(phoff=1 << 40))
    yield "an ELF program whose headers wrap around", made("k11", elf(phoff=(1 << 64) - 8))
    yield "an ELF program with 65535 headers", made("k12", elf(phnum=65535))
    yield "an ELF program bigger than the file", made("k13", elf(file_size=1 << 40,
                                                                memory_size=1 << 40))
    yield "an ELF program loaded past the memory", made("k14", elf(address=1 << 50))
    yield "an ELF program that wraps around memory", made("k15", elf(address=(1 << 64) - 32))
    yield "an ELF program with a note of 16 EiB", made("k17", elf(note_size=(1 << 64) - 1))
    yield "a folder", FOLDER
    yield "a file that is not there", os.path.join(FOLDER, "missing")
    yield "an empty name", ""


OPTIONS = [
    # options, words the message has to contain
    (["-m", "0"], "0"),
    (["-m", "100T"], "100T"),
    (["-m", "-1"], "-1"),
    (["-m", "16E"], "16E"),
    (["-m", "99999999999999999999"], "99999999999999999999"),
    (["-m", "12Q"], "12Q"),
    (["-m", "lots"], "lots"),
    (["-m", ""], "-m"),
    (["-m", "size="], "size"),
    (["-m", "512M,sise=3"], "sise"),
    (["-smp", "0"], "0"),
    (["-smp", "100000"], "100000"),
    (["-smp", "99999999999999999999"], "99999999999999999999"),
    (["-smp", "-3"], "-3"),
    (["-smp", "two"], "two"),
    (["-smp", "4,cores=3"], "cores"),
    (["-smp", "cpus=2,coers=2"], "coers"),
    (["-M", "pcc"], "'pc'"),
    (["-M", "microvn"], "'microvm'"),
    (["-machine", "pc,acel=bt"], "'accel'"),
    (["-machine", "pc,accel=bd"], "bd"),
    (["-accel", "kwm"], "'kvm'"),
    (["-accel", "bt,threads=x"], "threads"),
    (["-cpu", "qemu46"], "'qemu64'"),
    (["-cpu", "max,+avx9"], "avx9"),
    (["-cpu", "max,avx=perhaps"], "perhaps"),
    (["-cpu", ""], "-cpu"),
    (["-device", "isa-debugexit"], "'isa-debug-exit'"),
    (["-device", "isa-debug-exit,iobas=1"], "'iobase'"),
    (["-device", "isa-debug-exit,iobase=zz"], "zz"),
    (["-device", "isa-debug-exit,iobase=70000"], "70000"),
    (["-device", "isa-debugcon,chardev=none"], "none"),
    (["-device", ""], "-device"),
    (["-chardev", "sockt,id=a"], "'socket'"),
    (["-chardev", "socket,id=a"], "path"),
    (["-chardev", "null"], "id"),
    (["-chardev", "null,id=a", "-chardev", "null,id=a"], "'a'"),
    (["-chardev", "file,id=a"], "path"),
    (["-chardev", "file,id=a,path=/nonexistent/b"], "/nonexistent/b"),
    (["-serial", "fil:/tmp/a"], "fil"),
    (["-serial", "file:/nonexistent/a"], "/nonexistent/a"),
    (["-serial", "chardev:none"], "none"),
    (["-serial", "unix:/nonexistent/a"], "/nonexistent/a"),
    (["-serial", "tcp:127.0.0.1:1"], "127.0.0.1:1"),
    (["-serial", "tcp:127.0.0.1:99999"], "99999"),
    (["-display", "nonee"], "'none'"),
    (["-bios", "/nonexistent/bios"], "/nonexistent/bios"),
    (["-initrd", "/nonexistent/initrd"], "-kernel"),
    (["-append", "quiet"], "-kernel"),
    (["-uuid", "1234"], "1234"),
    (["-d", "guest_error"], "'guest_errors'"),
    (["-D", "/nonexistent/log"], "/nonexistent/log"),
    (["-pidfile", "/nonexistent/pid"], "/nonexistent/pid"),
    (["-kernal", "x"], "'-kernel'"),
    (["-frobnicate"], "-frobnicate"),
    (["disk.img"], "disk.img"),
    (["-m"], "-m"),
]

FRIENDLY = [
    (["frobnicate"], "frobnicate"),
    (["rum"], "'run'"),
    (["run", "--memroy", "2G"], "'--memory'"),
    (["run", "--memory", "0"], "0"),
    (["run", "--memory"], "--memory"),
    (["run", "--cpus", "none"], "none"),
    (["run", "--kernel", "/nonexistent/kernel"], "/nonexistent/kernel"),
    (["run", "extra"], "extra"),
]


def refused(name, arguments, words, **more):
    status, _, err = run(arguments, **more)
    lines = err.splitlines()
    ok(status == 1 and len(lines) == 1 and words in err, f"{name} is refused",
       f"status {status}, expected one line with \"{words}\" on standard error:\n{err[-2000:]}")


def refused_permission():
    path = made("secret", b"x" * 4096, mode=0)
    name = "a kernel we may not read"
    if os.geteuid():
        refused(name, ["-kernel", path], path)
        return
    os.chmod(FOLDER, 0o755)
    try:
        refused(name, ["-kernel", path], path, user=65534, group=65534, extra_groups=[])
    except PermissionError:
        skip(name, "root may read everything, and user 65534 may not enter the build folder")


def main():
    base = ["-display", "none", "-serial", "null"]
    bootable = ["-kernel", KERNEL, "-accel", "bt"] if os.path.exists(KERNEL) else []
    for options, words in OPTIONS:
        late = options[0] in ("-device", "-pidfile")  # looked at when the machine is made
        refused(" ".join(options), [*base, *(bootable if late else []), *options], words)
    base += ["-accel", "bt"]
    for arguments, words in FRIENDLY:
        refused("yado " + " ".join(arguments), arguments, words, program=YADO)
    refused_permission()

    if not os.path.exists(KERNEL) or not os.path.exists(INITRD):
        skip("broken kernels", f"{KERNEL} is missing; scripts/prepare-guest makes it")
        done()
    for name, path in kernels():
        refused(f"-kernel: {name}", [*base, "-m", "256M", "-kernel", path], path)
    huge = made("huge", size=300 << 20)
    refused("an initrd larger than memory",
            [*base, "-m", "256M", "-kernel", KERNEL, "-initrd", huge], huge)
    monster = made("monster", size=1 << 43)
    refused("an initrd of 8 TiB", [*base, "-m", "256M", "-kernel", KERNEL, "-initrd", monster],
            monster)
    refused("an initrd that is a folder", [*base, "-kernel", KERNEL, "-initrd", FOLDER], FOLDER)
    refused("an initrd that is not there", [*base, "-kernel", KERNEL, "-initrd", FOLDER + "/none"],
            FOLDER + "/none")
    refused("a kernel in too little memory", [*base, "-m", "2M", "-kernel", KERNEL], "2")
    refused("a command line of 64 KiB", [*base, "-kernel", KERNEL, "-append", "x" * 65536],
            "-append")
    refused("firmware of 1 GiB", [*base, "-bios", made("bios", size=1 << 30)], "bios")
    refused("empty firmware", [*base, "-bios", made("bios0")], "bios0")
    done()


if __name__ == "__main__":
    sys.exit(main())
