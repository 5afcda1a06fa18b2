#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What a user meets first: the kernel boots to a shell whose terminal behaves, and powers off."""

import hashlib
import random
import time

from yadotest import Machine, attempt, dmesg_trouble, done, ok


def check_programs(machine):
    uname = machine.command("uname -a")
    ok("Linux yado 6.1" in uname and "x86_64" in uname, "uname -a", uname)
    cpuinfo = machine.command("cat /proc/cpuinfo")
    ok("processor\t: 0" in cpuinfo and "model name" in cpuinfo and "flags" in cpuinfo,
       "cat /proc/cpuinfo", cpuinfo)
    mounts = machine.command("cat /proc/mounts")
    ok(all(f" {folder} " in mounts for folder in ("/proc", "/sys", "/dev", "/dev/pts", "/tmp")),
       "the usual file systems are mounted", mounts)
    ok("127.0.0.1" in machine.command("ip addr show lo"), "the loopback interface is up")


def check_terminal(machine):
    size = machine.command("stty size").strip()
    ok(size == "33 111", "the guest knows the window's size", f"it says '{size}'")
    tty = machine.command("tty").strip()
    ok(tty == "/dev/ttyS0", "the shell has the serial line as its terminal", tty)

    machine.send("sleep 1000\r")
    machine.expect("sleep 1000\r*\n")
    time.sleep(0.5)
    started = time.monotonic()
    machine.send("\x03")
    machine.wait_prompt(timeout=10)
    ok(time.monotonic() - started < 5, "Ctrl-C stops the program in the foreground")

    machine.send("sleep 1001\r")
    machine.expect("sleep 1001\r*\n")
    time.sleep(0.5)
    machine.send("\x1a")
    machine.wait_prompt(timeout=10)
    jobs = machine.command("jobs; kill %1")
    ok("sleep 1001" in jobs, "Ctrl-Z stops it as a job", jobs)

    machine.send("echo wrong\x15echo right$((1 + 1))\r")
    machine.expect("right2\r*\n")
    machine.wait_prompt()
    ok(True, "Ctrl-U erases the line")


def paste_text():
    words = random.Random(1)
    lines, size = [], 0
    while size < 64 * 1024:
        line = f"{len(lines):04d} " + "".join(words.choices("abcdefghijklmnopqrstuvwxyz 0123456789",
                                                            k=words.randint(1, 90))) + "."
        lines.append(line)
        size += len(line) + 1
    return "\n".join(lines) + "\n"


def check_paste(machine):
    text = paste_text()
    expected = hashlib.sha256(text.encode()).hexdigest()
    machine.send("cat >/tmp/pasted; sha256sum /tmp/pasted\r")
    machine.expect("/tmp/pasted\r*\n")
    time.sleep(0.3)
    machine.send(text.replace("\n", "\r") + "\x04")
    got = machine.expect(r"([0-9a-f]{64})  /tmp/pasted", timeout=60)[1].decode()
    machine.wait_prompt()
    ok(got == expected, f"no character of a pasted {len(text)}-byte text is lost",
       machine.command("wc /tmp/pasted"))

    machine.send("cat >/tmp/typed <<'END-OF-TEXT'\r" + text[:16384].rpartition("\n")[0]
                 .replace("\n", "\r") + "\rEND-OF-TEXT\r")
    expected = hashlib.sha256((text[:16384].rpartition("\n")[0] + "\n").encode()).hexdigest()
    time.sleep(0.3)
    got = machine.command("sha256sum /tmp/typed", timeout=60)
    ok(got.startswith(expected), "nor of 16 KiB pasted at the shell's prompt",
       machine.command("wc /tmp/typed"))


def check_output(machine):
    started = time.monotonic()
    machine.send("seq 1 30000\r")
    machine.expect("seq 1 30000\r*\n")
    position = machine.position
    machine.expect(r"\n30000\r*\n")
    lines = machine.output[position:machine.position].decode().split()
    machine.wait_prompt()
    ok(lines == [str(n) for n in range(1, 30001)], "170 KB of output arrive complete and in order",
       f"{len(lines)} lines")
    print(f"# took {time.monotonic() - started:.1f} s")


def main():
    with Machine(["-m", "512M", "-cpu", "max"], rows=33, columns=111,
                 append="console=ttyS0 quiet LINES=33 COLUMNS=111") as machine:
        machine.wait_prompt()
        ok(True, "the cloud kernel boots to a shell")
        for part in (check_programs, check_terminal, check_paste, check_output):
            attempt(part.__name__, part, machine)
        trouble = dmesg_trouble(machine.command("dmesg"))
        ok(not trouble, "the kernel's log tells of no trouble", "\n".join(trouble))
        machine.send("poweroff\r")
        status = machine.wait(timeout=20)
        ok(status == 0, "poweroff ends the program with status 0", f"status {status}")


attempt("boot to a shell", main)
done()
