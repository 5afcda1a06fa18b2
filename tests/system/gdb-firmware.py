#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""gdb follows a firmware (debuggee.S) from its first instruction through 16-, 32- and 64-bit code, with
break- and watchpoints of every kind, on the translator and on KVM as far as the host's can do it."""

import os
import re
import subprocess
import tempfile
import time

from gdbtest import Debugged, Gdb, need_gdb
from yadotest import BUILD, Timeout, done, kvm_missing, ok, skip

ELF = os.path.join(BUILD, "tests", "system", "debuggee.elf")
BIN = os.path.join(BUILD, "tests", "system", "debuggee.bin")
need_gdb()
LABELS = {name: int(address, 16) for address, _, name in
          (line.split() for line in subprocess.check_output(["nm", ELF], text=True).splitlines())}


class Lines:
    """Checks on one engine. The host's KVM may run only part of the firmware."""

    def __init__(self, engine, machine):
        self.engine, self.machine = engine, machine

    def ok(self, passed, name, text=""):
        if self.machine.process.poll() is not None:
            raise Timeout("the machine has ended")
        ok(passed, f"{self.engine}: {name}", text)


def register_value(gdb, name):
    return gdb.value(f"(unsigned long)${name}")


def sixteen_bits(lines, gdb):
    text = gdb.command("info registers rip cs")
    lines.ok("0xfff0" in text and "0xf000" in text, "stopped at the reset vector", text)
    text = gdb.command("show architecture")
    lines.ok("i386:x86-64" in text, "before anything runs, the widest architecture", text)
    gdb.command("break *0x200000")
    text = gdb.command("stepi")
    lines.ok("0x0000000000000000" in text, "stepi over the far jump", text)
    gdb.command("unset tdesc filename")
    text = gdb.command("show architecture")
    lines.ok('"i8086"' in text, "in 16-bit code, i8086 when it is asked for again", text)
    text = gdb.command("x/3i $cs*16+$eip")
    lines.ok("cli" in text and "cld" in text and "xor    %ax,%ax" in text, "which it disassembles", text)
    gdb.command(f"break *{LABELS['function16']}")
    text = gdb.command("continue")
    lines.ok("SIGTRAP" in text and register_value(gdb, "eip") == LABELS["function16"] % 0x10000,
             "a breakpoint at a linear address in real mode", text)
    sp = register_value(gdb, "esp")
    text = gdb.command("continue")
    lines.ok("SIGTRAP" in text and register_value(gdb, "esp") == sp
             and gdb.value("*(short *)0x5008") == 1,
             "is left by continue, and met by the second call", text)
    gdb.command("delete 2")


def thirty_two_bits(lines, gdb):
    gdb.command(f"break *{LABELS['function32']}")
    text = gdb.command("continue")
    lines.ok(register_value(gdb, "eip") == LABELS["function32"], "a breakpoint in 32-bit code", text)
    gdb.command("unset tdesc filename")
    text = gdb.command("show architecture")
    lines.ok('"i386"' in text, "which is i386", text)
    lines.ok(register_value(gdb, "ecx") == 0x12345678, "and has its registers")
    text = gdb.command("x/i $pc")
    lines.ok("incl   0x5010" in text, "and is disassembled so", text)
    gdb.command("set $ecx = 77")
    lines.ok(register_value(gdb, "ecx") == 77, "a register written")
    text = gdb.command("stepi")
    lines.ok(gdb.value("*(int *)0x5010") == 1, "stepi", text)


def sixty_four_bits(lines, gdb):
    text = gdb.command("continue")
    gdb.command("unset tdesc filename")
    lines.ok(register_value(gdb, "rip") == 0x200000,
             "a breakpoint set at power-on in code copied there later", text)
    text = gdb.command("show architecture")
    lines.ok('"i386:x86-64"' in text, "in 64-bit code", text)
    text = gdb.command("stepi 2")
    lines.ok(gdb.value("*(long *)0x5018") == 1, "stepi 2", text)
    gdb.command("delete")
    gdb.command(f"symbol-file {ELF}")
    gdb.command("hbreak *&loop64")
    text = gdb.command("continue")
    lines.ok("loop64" in text, "a hardware breakpoint", text)
    lines.ok(register_value(gdb, "rbx") == 0x1122334455667788, "a 64-bit register")
    text = gdb.command("info registers cr0 cr4 efer")
    lines.ok("PG" in text and "PAE" in text and "LMA" in text, "control registers by their bits", text)
    text = gdb.command("advance *&store_counter")
    lines.ok(register_value(gdb, "rax") == 0x1122334455667789, "advance over a call", text)
    gdb.command("delete")


def watch(lines, gdb, kind, what, behind, name):
    """`behind`: the label of the instruction behind which it stops."""
    gdb.command(f"{kind} {what}")
    text = gdb.command("continue")
    where = register_value(gdb, "rip")
    lines.ok("atchpoint" in text and LABELS[behind] < where <= LABELS[behind] + 9, name,
             f"at {where}\n{text}")
    gdb.command("delete")


def watchpoints(lines, gdb, every_kind):
    watch(lines, gdb, "watch", "*(long *)0x5000", "store_counter", "watch: a memory operand")
    watch(lines, gdb, "awatch", "*(long *)0x5020", "read_counter", "awatch: a read")
    watch(lines, gdb, "rwatch", "*(long *)0x5020", "read_counter", "rwatch")
    # gdb reports a write only if it changes something.
    gdb.command("set {long}0x5ff8 = 0")
    watch(lines, gdb, "watch", "*(long *)0x5ff8", "push_it", "watch: a push")
    if not every_kind:
        return
    gdb.command("set {long}0x5200 = 0")
    gdb.command("set {char}0x5300 = 1")
    watch(lines, gdb, "watch", "*(long *)0x5200", "store_vector", "watch: a vector store")
    gdb.command("set {long}0x5120 = 0")
    gdb.command("watch *(char *)0x5122")
    text = gdb.command("continue")
    lines.ok(register_value(gdb, "rip") == LABELS["fill_it"]
             and register_value(gdb, "rdi") == 0x5123,
             "watch: in the middle of rep stosb, after the iteration", text)
    gdb.command("delete")
    text = gdb.command("stepi")
    lines.ok(register_value(gdb, "rdi") == 0x5124, "stepi: one iteration more", text)


def memory(lines, gdb):
    gdb.command("set {long}0x6000 = 0x0123456789abcdef")
    lines.ok(gdb.value("*(long *)0x6000") == 0x0123456789abcdef, "memory written and read")
    text = gdb.command("x/x 0xffffffffdead0000")
    lines.ok("Cannot access memory" in text, "what is not mapped", text)
    gdb.command("maintenance packet Qqemu.PhyMemMode:1")
    lines.ok(gdb.value("*(long *)0x6000") == 0x0123456789abcdef, "physical memory")
    gdb.command("maintenance packet Qqemu.PhyMemMode:0")
    gdb.command("set $xmm2.uint128 = 0x42")
    gdb.command("set $st0 = 2.5")
    gdb.command("set $mxcsr = 0x1f80")
    text = gdb.command("p $xmm2.uint128") + gdb.command("p $st0")
    lines.ok("= 66" in text and "= 2.5" in text, "vector and x87 registers", text)
    text = gdb.command("find /g 0xf0000, 0xf0200, 0x1122334455667789")
    lines.ok("Pattern not found" in text, "find: nothing", text)
    text = gdb.command("find /g 0xf0000, 0xf0200, 0x1122334455667788")
    lines.ok("1 pattern found" in text, "find", text)


def reset(lines, gdb):
    gdb.command("hbreak *&loop64")
    gdb.command("monitor system_reset")
    text = gdb.command("continue")
    lines.ok("loop64" in text, "breakpoints outlive a reset that gdb asked for", text)
    text = gdb.command("monitor info status")
    lines.ok("paused (debug)" in text, "monitor commands", text)


def detach(lines, gdb, path):
    gdb.command("delete")
    before = gdb.value("*(long *)0x5000")
    text = gdb.command("detach")
    lines.ok("detached" in text, "detach", text)
    gdb.command(f"target remote {path}")
    end = time.monotonic() + 20
    while gdb.value("*(long *)0x5000") == before and time.monotonic() < end:
        gdb.command("detach")
        gdb.command(f"target remote {path}")
    lines.ok(gdb.value("*(long *)0x5000") > before, "the guest went on; attached again")
    gdb.begin("continue")
    text = gdb.interrupt()
    lines.ok("SIGINT" in text, "Ctrl-C", text)
    gdb.command("kill")


def session(engine):
    with tempfile.TemporaryDirectory() as folder, \
            Debugged(folder, ["-accel", engine, "-m", "64M", "-S", "-bios", BIN]) as machine, \
            Gdb() as gdb:
        lines = Lines(engine, machine)
        try:
            gdb.command(f"target remote {machine.path}")
            sixteen_bits(lines, gdb)
            thirty_two_bits(lines, gdb)
            sixty_four_bits(lines, gdb)
            if engine == "kvm" and os.path.exists("/sys/module/kvm_pvm"):
                skip("kvm: watchpoints", "the host's KVM (kvm_pvm) has no data breakpoints")
            else:
                watchpoints(lines, gdb, engine == "bt")
            memory(lines, gdb)
            reset(lines, gdb)
            detach(lines, gdb, machine.path)
            ok(machine.process.wait(20) == 0, f"{engine}: kill ends the program", machine.said())
        except Timeout as error:
            said = machine.said()
            if engine == "kvm" and re.search("KVM", said + gdb.text):
                skip("the rest on kvm", "the host's KVM cannot go on: " + said.strip()[-200:])
            else:
                ok(False, f"{engine}: the session", f"{error}\n{said}")


session("bt")
if kvm_missing():
    skip("kvm", kvm_missing())
else:
    session("kvm")
done()
