#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""`yado run`, the friendly form: console in the terminal, window size, the key to leave."""

import subprocess
import termios
import time

from yadotest import ENGINE, YADO, Machine, attempt, done, guest_file, ok


def interactive():
    program = [YADO, "run", "--kernel", guest_file("vmlinuz"), "--initrd", guest_file("initrd.gz"),
               "--memory", "384M", "--cpus", "1", "--append", "quiet",
               "--accel", ENGINE]
    with Machine(program=program, kernel=None, rows=41, columns=123) as machine:
        machine.wait_prompt()
        ok("Ctrl-]" in machine.text(), "it says how to leave", machine.text())
        size = machine.command("stty size").strip()
        ok(size == "41 123", "the guest has the window's size", size)
        memory = machine.command("grep MemTotal /proc/meminfo").split()[1]
        ok(300 << 10 < int(memory) <= 384 << 10, "--memory", memory)
        machine.send("sleep 1000\r")
        machine.expect("sleep 1000\r*\n")
        time.sleep(0.5)
        machine.send("\x03")
        machine.wait_prompt(timeout=10)
        ok(True, "Ctrl-C goes to the guest")
        machine.send("\x01")
        ok(machine.command("echo fine").strip() == "fine", "so does Ctrl-A")
        machine.send("\x1d\x1d")
        status = machine.wait(timeout=10)
        ok(status == 0, "Ctrl-] twice leaves, with status 0", status)
        ok(termios.tcgetattr(machine.master) == machine.terminal_before, "the terminal is as it was before")


def power_off():
    program = [YADO, "run", "--kernel", guest_file("vmlinuz"), "--initrd", guest_file("initrd.gz"),
               "--append", "quiet", "--accel", ENGINE]
    with Machine(program=program, kernel=None) as machine:
        machine.wait_prompt()
        machine.send("poweroff\r")
        status = machine.wait(timeout=20)
        ok(status == 0, "poweroff ends it with status 0", status)


def help_texts():
    for arguments, words in ((["--help"], "usage"), (["help"], "run"), (["run", "--help"], "--memory"),
                             (["--version"], "yado"), (["version"], "yado"),
                             (["system", "-version"], "version")):
        result = subprocess.run([YADO, *arguments], capture_output=True, text=True, timeout=60,
                                check=False)
        ok(result.returncode == 0 and words in result.stdout and not result.stderr,
           f"yado {' '.join(arguments)}", result)
    result = subprocess.run([YADO], capture_output=True, text=True, timeout=60, check=False)
    ok(result.returncode == 1 and len(result.stderr.splitlines()) == 1 and "help" in result.stderr,
       "yado alone says where help is", result)


for part in (help_texts, interactive, power_off):
    attempt(part.__name__, part)
done()
