#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""gdb and Debian's kernel, with KASLR: the five lines of docs/debugging.md as they are written there, then
what one does all day, with one and with four CPUs."""

import base64
import os
import re
import subprocess
import tempfile
import time

from gdbtest import Debugged, Gdb, free_port, need_gdb
from yadotest import GUEST, PATIENCE, YADO, Machine, Timeout, attempt, done, guest_file, ok

SOURCE = os.environ["YADO_SOURCE"]
FOLDER = tempfile.mkdtemp()
SYMBOLS = os.path.join(FOLDER, "vmlinux")
ENGINE = os.environ.get("YADO_ENGINE", "bt")
need_gdb()
guest_file("vmlinuz")


def lines_of_manual():
    with open(os.path.join(SOURCE, "docs", "debugging.md"), encoding="utf-8") as file:
        section = re.search(r"\n## From nothing.*?\n(.*?)\n## ", file.read(), re.S)[1]
    return re.findall(r"^    (?:\$ |\(gdb\) )(.*)$", section, re.M)


def here(line, port):
    """A line of the manual with this test's paths and port."""
    line = line.replace("build/guest", GUEST).replace(":1234", f":{port}")
    line = re.sub(r"^scripts/", SOURCE + "/scripts/", line)
    return line.replace("prepare-guest", f"prepare-guest {GUEST}")


def manual():
    lines = lines_of_manual()
    ok(len(lines) == 5, "the manual has five lines", lines)
    port = free_port()
    prepare, symbols, run, connect, stop = [here(line, port) for line in lines]
    for line in (prepare, symbols):
        result = subprocess.run(line, shell=True, cwd=FOLDER, capture_output=True, text=True, check=False)
        ok(result.returncode == 0, line.split("/")[-1], result.stdout + result.stderr)
    run = run.replace("build/yado", YADO).replace("--debug", f"--debug={port}").split()
    with Machine(["--accel", ENGINE], program=run, kernel=None) as machine:
        match = machine.expect(rb"\n\s*(gdb vmlinux [^\r\n]*)")
        printed = match[1].decode()
        ok(connect.startswith(printed), "the line it prints is the manual's", printed)
        words = re.findall(r"-ex ('[^']*'|\S+)", connect)
        with Gdb("vmlinux", timeout=120) as gdb:
            gdb.command(f"file {SYMBOLS}")
            for word in words:
                text = gdb.command(word.strip("'"))
                if word == "continue":
                    ok("symbol-file vmlinux -o 0x" in text, "it waits for the kernel, and says where it is",
                       text)
            text = gdb.command(stop)
            ok("start_kernel ()" in text, "stopped in start_kernel", text)
            gdb.command("detach")
        machine.expect("BusyBox", timeout=120)
        ok(True, "and the kernel goes on")


SCRIPT = "while :; do uname -n; done"


def start(gdb, machine):
    gdb.command(f"target remote {machine.path}")
    gdb.command("monitor kaslr wait")
    text = gdb.command("continue")
    match = re.search(r"symbol-file vmlinux -o (0x[0-9a-f]+)", text)
    ok(match, "at the kernel's first instruction", text)
    gdb.command(f"symbol-file {SYMBOLS} -o {match[1]}")
    ok(int(match[1], 16) % (2 << 20) == 0, "it is where its pages can be")
    gdb.command("break start_kernel")
    text = gdb.command("continue")
    ok("start_kernel ()" in text, "a breakpoint at start_kernel", text)
    text = gdb.command("x/s (char *)&linux_banner")
    ok('"Linux version ' in text, "a variable", text)
    text = gdb.command("backtrace")
    ok("secondary_startup_64" in text, "a backtrace to the beginning", text)


def system_call(gdb):
    gdb.command("delete")
    gdb.command("break __x64_sys_newuname")
    text = gdb.command("continue")
    ok("__x64_sys_newuname ()" in text, "a breakpoint at a system call", text)
    text = gdb.command("backtrace 3")
    ok("do_syscall_64" in text, "a backtrace", text)
    ok(gdb.value("*(unsigned *)&system_state") > 0, "a number read")


def change(gdb, serial):
    rbx = gdb.value("$rbx")
    gdb.command("set $rbx = 0x1234567890")
    ok(gdb.value("$rbx") == 0x1234567890, "a register changed")
    gdb.command(f"set $rbx = {rbx}")
    gdb.command("delete")
    run_until_printed(gdb, serial, rb"\nyado\s+yado")    # its name, more than once
    # struct new_utsname: sysname and nodename of 65 bytes each
    gdb.command('set {char[7]}((char *)&init_uts_ns + 65) = "lodger"')
    text = run_until_printed(gdb, serial, rb"lodger")
    ok("SIGINT" in text, "memory changed, which the guest prints; Ctrl-C", text)


def run_until_printed(gdb, serial, pattern):
    gdb.begin("continue")
    end = time.monotonic() + 60 * PATIENCE
    while not re.search(pattern, open(serial, "rb").read()):
        if time.monotonic() > end:
            raise Timeout(f"the guest does not print {pattern!r}")
        time.sleep(0.05)
    return gdb.interrupt()


def look_closely(gdb):
    before = gdb.value("*(long *)&jiffies")
    gdb.command("watch *(long *)&jiffies")
    text = gdb.command("continue")
    ok("Old value" in text and gdb.value("*(long *)&jiffies") > before, "a variable being written", text)
    text = gdb.command("backtrace")
    ok("tick_" in text, "and who writes it", text)
    gdb.command("delete")
    text = gdb.command("stepi 1000")
    ok(gdb.value("$rip") >> 32 == 0xffffffff and "SIG" not in text, "1,000 steps", text)


def attach_again(gdb, machine):
    text = gdb.command("detach")
    ok("detached" in text, "detach", text)
    gdb.command(f"file {SYMBOLS}")      # at their link addresses
    text = gdb.command(f"target remote {machine.path}")
    base, first = gdb.value("&_text"), gdb.value("*(unsigned char *)&start_kernel")
    ok(base != 0xffffffff81000000 and first is not None, "attached to the running kernel, its symbols "
       "are moved to where it is", f"{base}\n{text}")
    gdb.command("break __x64_sys_newuname")
    text = gdb.command("continue")
    ok("__x64_sys_newuname ()" in text, "and a breakpoint is hit there", text)


def session(cpus):
    serial = os.path.join(FOLDER, f"serial{cpus}")
    script = base64.b64encode(SCRIPT.encode()).decode()
    with Debugged(tempfile.mkdtemp(), [
            "-accel", ENGINE, "-S", "-m", "256M", "-smp", str(cpus), "-serial", f"file:{serial}",
            "-kernel", guest_file("vmlinuz"), "-initrd", guest_file("initrd.gz"),
            "-append", f"console=ttyS0 quiet yado.exec={script}"]) as machine, \
            Gdb(timeout=120) as gdb:
        start(gdb, machine)
        system_call(gdb)
        text = gdb.command("info threads")
        ok(len(re.findall(r"CPU#\d", text)) == cpus, f"threads: {cpus}", text)
        change(gdb, serial)
        look_closely(gdb)
        attach_again(gdb, machine)
        gdb.command("kill")
        ok(machine.process.wait(20) == 0, "kill")


attempt("the manual's lines", manual)
for count in (1, 4):
    attempt(f"a session with {count} CPUs", session, count)
done()
