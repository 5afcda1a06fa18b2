#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The gdb server's protocol where gdb itself does not show it: which packets there are and what they
answer, threads, resets and ends, clients that come, go and misbehave."""

import os
import re
import subprocess
import tempfile

from gdbtest import Debugged, Remote
from yadotest import BUILD, SYSTEM, attempt, done, ok

BIN = os.path.join(BUILD, "tests", "system", "debuggee.bin")
ELF = os.path.join(BUILD, "tests", "system", "debuggee.elf")
TRIPLE = os.path.join(BUILD, "tests", "guest", "triple64.elf")
LABELS = {name: int(address, 16) for address, _, name in
          (line.split() for line in subprocess.check_output(["nm", ELF], text=True).splitlines())}


def machine(*options):
    return Debugged(tempfile.mkdtemp(), ["-accel", "bt", "-m", "64M", *options])


def check(remote, packet, pattern, name=None):
    answer = remote.ask(packet)
    ok(re.fullmatch(pattern, answer, re.S), name or packet, answer)
    return answer


def packets():
    with machine("-S", "-bios", BIN, "-smp", "2") as guest:
        remote = Remote(guest.path)
        check(remote, "qSupported:multiprocess+;swbreak+;hwbreak+",
              r"PacketSize=[0-9a-f]+;.*qXfer:features:read\+.*swbreak\+.*")
        check(remote, "QStartNoAckMode", "OK")
        remote.no_ack = True
        check(remote, "?", r"T02thread:01;.*")
        check(remote, "qAttached", "1")
        check(remote, "qC", "QC01")
        check(remote, "qfThreadInfo", "m01,02")
        check(remote, "qsThreadInfo", "l")
        check(remote, "qXfer:threads:read::0,fff", r"l.*<thread id=\"2\" core=\"1\">CPU#1.*")
        check(remote, "T2", "OK")
        check(remote, "T3", "E..")
        check(remote, "vCont?", "vCont;c;C;s;S;r")
        check(remote, "vMustReplyEmpty", "")
        check(remote, "qqemu.sstepbits", "ENABLE=1,NOIRQ=2,NOTIMER=4")
        check(remote, "qqemu.sstep", "0x7")
        check(remote, "Qqemu.sstep=0x1", "OK")
        check(remote, "qqemu.sstep", "0x1")
        check(remote, "Qqemu.sstep=0x8", "E..")
        check(remote, "Qqemu.sstep=0x7", "OK")
        check(remote, "qqemu.PhyMemMode", "0")
        check(remote, "Qqemu.PhyMemMode:1", "OK")
        check(remote, "qqemu.PhyMemMode", "1")
        check(remote, "mfffffff0,5", "ea0000f0..|ea000000f0", "the reset vector, physically")
        check(remote, "xfffffff0,5", "\xea..\x00\xf0", "the same in bytes")
        check(remote, "x0,0", "OK")
        check(remote, "Qqemu.PhyMemMode:0", "OK")
        check(remote, "Mffffffff,0:", "OK", "nothing written")
        check(remote, "mzz,4", "E22")
        check(remote, "Z9,0,1", "E22")
        check(remote, "Z2,5000,0", "E22", "a watchpoint of no length")
        check(remote, "Z2,ffffffffffffffff,2", "E22", "or beyond the end")
        check(remote, "g", "[0-9a-f]+")
        check(remote, "p10", "f0ff000000000000", "rip")
        check(remote, "pffff", "E22")
        check(remote, "Hg2", "OK")
        check(remote, "qHostInfo", "triple:[0-9a-f]+;endian:little;ptrsize:8;")
        ok(remote.monitor("info status").startswith("VM status: paused"), "monitor")
        ok("unknown" in remote.monitor("arch z80"), "monitor arch with a wrong name")
        remote.close()
        remote = Remote(guest.path)
        check(remote, "?", r"T02thread:01;.*", "another client, which acknowledges again")
        check(remote, "vKill;1", "OK")
        ok(guest.process.wait(20) == 0, "and the program has ended")


def stepping():
    with machine("-S", "-bios", BIN) as guest:
        remote = Remote(guest.path)
        remote.ask("qSupported:swbreak+;hwbreak+")
        check(remote, f"Z1,{LABELS['loop64']:x},1", "OK")
        check(remote, "vCont;c", r"T05thread:01;hwbreak:;.*")
        check(remote, f"z1,{LABELS['loop64']:x},1", "OK")
        check(remote, f"vCont;r{LABELS['loop64']:x},{LABELS['read_counter']:x}:1",
              r"T05thread:01;.*", "a range step")
        rip = int.from_bytes(bytes.fromhex(remote.ask("p10")), "little")
        ok(rip == LABELS["function64"], "ends where it leaves the range", hex(rip))
        check(remote, "vCont;s:2", "E..", "a thread that does not exist")
        remote.send("vCont;c")
        remote.raw(b"\x03")
        ok(remote.receive().startswith(b"T02thread:01;"), "Ctrl-C")
        check(remote, "D", "OK")
        check(remote, "?", r"T02.*", "attached again on the same connection")
        remote.send("vCont;c")
        remote.close()      # while the guest runs
        remote = Remote(guest.path)
        check(remote, "?", r"T02.*", "a client after one that went without a word")


def ends():
    with machine("-kernel", TRIPLE, "-S", "-M", "microvm") as guest:
        remote = Remote(guest.path)
        remote.ask("qSupported:swbreak+")
        remote.send("vCont;c")
        first, second = remote.receive(), remote.receive()
        ok(bytes.fromhex(first[1:].decode()) == b"The machine was reset.\n"
           and second.startswith(b"T05thread:01;"), "a triple fault resets, and gdb hears of it",
           f"{first} {second}")
    with machine("-kernel", TRIPLE, "-S", "-M", "microvm", "-no-reboot") as guest:
        remote = Remote(guest.path)
        remote.send("vCont;c")
        ok(remote.receive().startswith(b"W"), "with -no-reboot it sees the end")
        guest.process.wait(20)


def options():
    for text, words in (("tcp:nowhere", "is not HOST:PORT"), ("chardev:x", "does not exist"),
                        ("udp::1", "no character device")):
        result = subprocess.run([SYSTEM, "-gdb", text, "-display", "none"], capture_output=True,
                                text=True, timeout=20, check=False)
        ok(result.returncode == 1 and words in result.stderr, f"-gdb {text}", result.stderr)


attempt("packets", packets)
attempt("stepping", stepping)
attempt("ends", ends)
attempt("options", options)
done()
