#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The human monitor on a socket: its commands, and clients that come and go."""

import os
import re
import socket
import subprocess
import tempfile
import time

from yadotest import PATIENCE, SYSTEM, Timeout, attempt, done, guest_file, ok

FOLDER = tempfile.mkdtemp()
PATH = os.path.join(FOLDER, "monitor")
SERIAL = os.path.join(FOLDER, "serial")
PROMPT = "(qemu) "


class Monitor:
    def __init__(self):
        self.socket = socket.socket(socket.AF_UNIX)
        end = time.monotonic() + 20 * PATIENCE
        while True:
            try:
                self.socket.connect(PATH)
                break
            except OSError:
                if time.monotonic() > end:
                    raise Timeout("nobody listens for the monitor") from None
                time.sleep(0.02)
        self.socket.settimeout(20 * PATIENCE)
        self.greeting = self.read()

    def read(self):
        text = ""
        while not text.endswith(PROMPT):
            try:
                part = self.socket.recv(4096)
            except socket.timeout:
                raise Timeout("the monitor says only: " + text) from None
            if not part:
                break
            text += part.decode()
        return text.replace("\r", "")

    def command(self, line):
        """What the command answers, without its echo and the prompt."""
        self.socket.sendall(line.encode() + b"\n")
        return self.read().partition("\n")[2].removesuffix(PROMPT)

    def close(self):
        self.socket.close()


def serial_count(words):
    return open(SERIAL, encoding="utf-8", errors="replace").read().count(words)


def wait_serial(words, count):
    end = time.monotonic() + 60 * PATIENCE
    while serial_count(words) < count:
        if time.monotonic() > end:
            raise Timeout(f"the guest did not say {words!r} {count} times")
        time.sleep(0.05)


def commands():
    process = subprocess.Popen(
        [SYSTEM, "-S", "-display", "none", "-m", "256M", "-name", "lodger", "-kernel",
         guest_file("vmlinuz"), "-initrd", guest_file("initrd.gz"), "-append",
         "console=ttyS1 quiet", "-serial", "null", "-serial", f"file:{SERIAL}", "-monitor",
         f"unix:{PATH},server,nowait"], stdin=subprocess.DEVNULL)
    try:
        monitor = Monitor()
        ok("help" in monitor.greeting, "the monitor greets", monitor.greeting)
        answer = monitor.command("info status")
        ok("paused (prelaunch)" in answer, "-S: paused before the start", answer)
        monitor.command("cont")
        answer = monitor.command("info status")
        ok(answer == "VM status: running\n", "cont", answer)
        wait_serial("BusyBox", 1)
        ok(True, "the guest runs, on its second serial port")
        answer = monitor.command("infp status")
        ok("'info'" in answer, "an unknown command names the nearest", answer)
        answer = monitor.command("inof\b\b\bnfo name")
        ok("lodger\n" in answer, "backspace", answer)
        monitor.close()

        monitor = Monitor()
        monitor.command("stop")
        answer = monitor.command("info status")
        ok(answer == "VM status: paused\n", "another client; stop", answer)
        monitor.command("system_reset")
        answer = monitor.command("info status")
        ok(answer == "VM status: paused\n", "a stopped machine is reset and stays stopped", answer)
        monitor.command("c")
        wait_serial("BusyBox", 2)
        ok(True, "and starts anew when told to go on")
        monitor.command("help\x15system_powerdown")
        monitor.command("quit")
        ok(process.wait(10 * PATIENCE) == 0, "quit ends the program with status 0")
        ok(not os.path.exists(PATH), "and the socket is gone")
    finally:
        process.kill()
        process.wait()


REGISTERS = re.compile(
    r"\nCPU#0\nRAX=[0-9a-f]{16} RBX=[0-9a-f]{16} RCX=[0-9a-f]{16} RDX=[0-9a-f]{16}\n"
    r"RSI=.*\nR8 =.*\nR12=.* R15=[0-9a-f]{16}\n"
    r"RIP=[0-9a-f]{16} RFL=[0-9a-f]{8} \[[-DOSZAPC]{7}\] CPL=\d II=[01] A20=1 SMM=0 HLT=[01]\n"
    r"(?:[ECSDFG]S =[0-9a-f]{4} [0-9a-f]{16} [0-9a-f]{8} [0-9a-f]{8}.*\n){6}"
    r"LDT=.*\nTR =.* DPL=0 TSS64-busy\nGDT=     [0-9a-f]{16} [0-9a-f]{8}\nIDT=     .*\n"
    r"CR0=[0-9a-f]{8} CR2=[0-9a-f]{16} CR3=[0-9a-f]{16} CR4=[0-9a-f]{8}\n"
    r"DR0=.* DR3=[0-9a-f]{16} \nDR6=[0-9a-f]{16} DR7=[0-9a-f]{16}\nEFER=[0-9a-f]{16}\n"
    r"FCW=[0-9a-f]{4} FSW=[0-9a-f]{4} \[ST=\d\] FTW=[0-9a-f]{2} MXCSR=[0-9a-f]{8}\nFPR0=")

# Line, and what the answer looks like: QEMU 7.2's words for the same.
LOOKS = (
    ("foo", r"unknown command: 'foo'\n"),
    ("info foo", r"unknown command: 'info foo'\n"),
    ("p/x 10+20*2", r"0x32\n"), ("p 7&3+1", r"4\n"), ("p/d -1", r"-1\n"), ("p/c 65", r"'A'\n"),
    ("p 1/0", r'division by zero\nTry "help print" for more information\n'),
    ("p $foo", r"unknown register\n.*\n"),
    ("p/x $cs", r"0x10\n"),
    ("x", r'unexpected end of expression\nTry "help x" for more information\n'),
    ("x/5z 0", r"invalid char in format: 'z'\n.*\n"),
    ("x/2i $rip", r"(0x[0-9a-f]{16}: ( [0-9a-f]{2}){1,8} +\S.*\n){2,3}"),
    ("x/3xg $rsp", r"[0-9a-f]{16}:( 0x[0-9a-f]{16}){2}\n[0-9a-f]{16}: 0x[0-9a-f]{16}\n"),
    ("x/2dh 0xdead000000000000", r"dead000000000000: Cannot access memory\n"),
    ("xp/4wx 0", r"0{16}:( 0x[0-9a-f]{8}){4}\n"),
    ("xp 0xf000000000", r"000000f000000000: Cannot access memory\n"),
    ("gva2gpa $rip", r"gpa: 0x[0-9a-f]+\n"), ("gva2gpa 0x10", r"Unmapped\n"),
    ("gpa2hva 0", r"Host virtual address for 0x0 \(\S+\) is 0x[0-9a-f]+\n"),
    ("sum 0xff000000000 16", r"Error: .*\n"),
    ("info cpus", r"\* CPU #0: thread_id=\d+\n  CPU #1: thread_id=\d+\n"),
    ("cpu 9", r"invalid CPU index\n"),
    ("info registers 9", r"CPU#9 not available\n"),
    ("info mem", r"([0-9a-f]{16}-[0-9a-f]{16} [0-9a-f]{16} [-u]r[-w]\n)+"),
    ("info tlb", r"([0-9a-f]{16}: [0-9a-f]{16} [-X][-G][-P][-D][-A][-C][-T][-U][-W]\n)+"),
    ("info lapic", r"dumping local APIC state for CPU 0 ?\n\nLVT0\t 0x(.*\n)+ISR\t (.*\n)+"
                   r"APR 0x00 TPR 0x.*\n"),
    ("info pic", r"ioapic0: ver=0x20 id=0x00 sel=.*\n(  pin \d+ .*\n){24}  IRR .*\n"
                 r"  Remote IRR .*\npic1: irr=.*\npic0: irr=\w\w imr=.* fnm=0\n"),
    ("info qtree", r"bus: main-system-bus\n  type System\n(.*\n)+"),
    ("info mtree", r"address-space: memory\n(.*\n)*  0{16}-[0-9a-f]{16} \(prio 0, ram\): .*\n(.*\n)+"),
    ("info kvm", r"kvm support: disabled\n"),
    ("i/b 0x64", r"portb\[0x0064\] = 0x[0-9a-f]{2}\n"), ("o/b 0x80 1", r""),
    ("memsave 0 10", r'memsave: string expected\n.*\n|memsave: filename expected\n.*\n'),
    ("cont foo", r'cont\|c: extraneous characters at the end of line\n.*\n'),
    ("singlestep on", r""), ("singlestep off", r""),
    ("singlestep foo", r"unexpected option foo\n"),
    ("log foo", r"Log items \(comma separated\):\n(.*\n)+"),
    ("info chardev", r"(\S+: filename=\S+\n)+"), ("chardev-add null,id=hole", r""),
    ("chardev-add null,id=hole", r"Error: .*used twice\n"),
    ("chardev-send-break hole", r""), ("chardev-remove hole", r""),
    ("chardev-remove hole", r"Error: Chardev 'hole' not found\n"),
    ("chardev-remove serial0", r"Error: Chardev 'serial0' is busy\n"),
    ("help x", r"x /fmt addr -- .*\n"),
)


def inspection():
    process = subprocess.Popen(
        [SYSTEM, "-accel", "bt", "-display", "none", "-m", "256M", "-smp", "2", "-kernel",
         guest_file("vmlinuz"), "-initrd", guest_file("initrd.gz"), "-append",
         "console=ttyS0 quiet", "-serial", f"file:{SERIAL}-2", "-monitor",
         f"unix:{PATH},server,nowait"], stdin=subprocess.DEVNULL)
    try:
        monitor = Monitor()
        end = time.monotonic() + 60 * PATIENCE
        while "BusyBox" not in open(SERIAL + "-2", encoding="utf-8", errors="replace").read():
            if time.monotonic() > end:
                raise Timeout("the guest does not start")
            time.sleep(0.05)
        for line, looks in LOOKS:
            answer = monitor.command(line)
            ok(re.fullmatch(looks, answer), line, answer)
        answer = monitor.command("info registers")
        ok(REGISTERS.match(answer), "info registers has QEMU's layout", answer)
        answer = monitor.command("info registers -a")
        ok(answer.count("\nCPU#") == 2, "-a: of all vCPUs", answer)
        monitor.command("cpu 1")
        ok("* CPU #1" in monitor.command("info cpus"), "cpu 1")
        ok(monitor.command("info registers").startswith("\nCPU#1\n"), "is the chosen one then")
        saved = os.path.join(FOLDER, "saved")
        monitor.command("stop")
        monitor.command(f'memsave $rsp 64 "{saved}"')
        word = monitor.command("x/xg $rsp").split()[1]
        with open(saved, "rb") as file:
            data = file.read()
        ok(len(data) == 64 and int.from_bytes(data[:8], "little") == int(word, 16), "memsave", word)
        monitor.command("cont")
        log = os.path.join(FOLDER, "log")
        monitor.command(f'logfile "{log}"')
        monitor.command("log exec")
        end = time.monotonic() + 20 * PATIENCE
        while not os.path.getsize(log) and time.monotonic() < end:
            time.sleep(0.05)
        monitor.command("log none")
        with open(log, encoding="utf-8") as file:
            ok("Trace " in file.read(), "log exec while the guest runs")
        answer = monitor.command("inf\tstat\t")
        ok("VM status: running" in answer, "Tab completes commands and topics", answer)
        answer = monitor.command("\x1b[A\x1b[A\x01\x0binfo name\x17status")
        ok("VM status: running" in answer, "the history and editing keys", answer)
        monitor.command("quit")
        ok(process.wait(10 * PATIENCE) == 0, "quit")
    finally:
        process.kill()
        process.wait()


attempt("commands", commands)
attempt("inspection", inspection)
done()
