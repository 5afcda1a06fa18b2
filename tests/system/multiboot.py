#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Multiboot kernels: as ELF and with addresses in the header, with modules and command lines."""

import os
import subprocess
import tempfile

from yadotest import ENGINE, done, ok, run

SOURCE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "multiboot.S")
FOLDER = tempfile.mkdtemp()


def path_of(name):
    return os.path.join(FOLDER, name)


def build(name, *options):
    subprocess.run([os.environ.get("CC", "cc"), "-m32", "-nostdlib", "-static", "-no-pie",
                    "-Wl,-Ttext=0x100000", "-Wl,--build-id=none", "-Wl,-z,noexecstack",
                    *options, "-o", path_of(name), SOURCE], check=True)
    return path_of(name)


def made(name, content):
    with open(path_of(name), "wb") as file:
        file.write(content)
    return path_of(name)


def start(kernel, *options):
    return run(["-accel", ENGINE, "-m", "16M", "-nographic", "-monitor", "none", "-serial", "stdio",
                "-device", "isa-debug-exit,iobase=0xf4", "-kernel", kernel, *options])


one, two = made("one", b"contents of one\0"), made("two", b"contents of two\0")
elf = build("elf")
build("flat.elf", "-DFLAT")
subprocess.run(["objcopy", "-O", "binary", path_of("flat.elf"), path_of("flat")], check=True)
for kernel in (elf, path_of("flat")):
    name = os.path.basename(kernel)
    status, out, err = start(kernel, "-append", "a b", "-initrd", f"{one} first,{two} x,,y")
    ok(status == 15 and out.split("\n")[:6] == [
        f"{kernel} a b", f"{one} first", "contents of one", f"{two} x,y", "contents of two",
        "memory is right"], f"{name}: command line, modules and memory", out + err)
    status, out, err = start(kernel)
    ok(status == 15 and out.split("\n")[:2] == [kernel, "memory is right"],
       f"{name}: neither command line nor modules", out + err)
status, out, err = start(elf, "-initrd", f"{one},/nonexistent/two")
ok(status == 1 and "/nonexistent/two" in err, "a module that is missing", err)
with open(path_of("flat"), "rb") as file:
    flat = bytearray(file.read())
flat[16:20] = (0x200000).to_bytes(4, "little")
status, out, err = start(made("contradiction", bytes(flat)))
ok(status == 1 and "contradict" in err and len(err.splitlines()) == 1,
   "a header whose addresses contradict", err)
done()
