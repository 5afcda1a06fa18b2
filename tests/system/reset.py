#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Reset and power off, by each way a guest has and each option that changes what follows."""

import signal
import time

from yadotest import ENGINE, SYSTEM, Machine, attempt, done, ok, portio_initrd

# CMOS memory survives a reset, so the guest knows its second life by byte 0x60.
TWO_LIVES = """
portio 0x70 0x60
if [ "$(portio 0x71)" = 0x5a ]; then echo second life; portio 0x71 0; exit 0; fi
echo first life; portio 0x71 0x5a; reboot -f
"""
REBOOT = "reboot -f"

WAYS = [("k", "the keyboard controller"), ("t", "a triple fault"), ("p", "port 0xcf9"),
        ("a", "ACPI"), ("t", "a triple fault on microvm")]


def second_life(way, name):
    options = ["-m", "256M"] + (["-M", "microvm"] if "microvm" in name else [])
    with Machine(options, script=TWO_LIVES, program=[SYSTEM, "-nographic", "-accel", ENGINE],
                 append=f"console=ttyS0 quiet reboot={way}", initrd=portio_initrd()) as machine:
        status = machine.wait()
        ok(status == 0 and "first life" in machine.text() and "second life" in machine.text(),
           f"a guest that resets by {name} boots again", f"status {status}\n{machine.text()[-2000:]}")


def no_reboot():
    with Machine(["-m", "256M"], script=REBOOT) as machine:
        status = machine.wait()
        ok(status == 0, "with -no-reboot a reset ends the program with status 0", status)


def no_shutdown():
    with Machine(["-m", "256M", "-no-shutdown"], script="exit 0") as machine:
        machine.expect("yado-exit: 0")
        time.sleep(1.5)
        ok(machine.process.poll() is None, "with -no-shutdown the program stays after power off")
        machine.process.send_signal(signal.SIGTERM)
        ok(machine.wait(timeout=10) == 0, "SIGTERM ends it then, with status 0")


def panic():
    with Machine(["-m", "256M"], script="echo c >/proc/sysrq-trigger",
                 append="console=ttyS0 quiet panic=-1 sysrq_always_enabled") as machine:
        status = machine.wait()
        ok(status == 0 and "Kernel panic" in machine.text(),
           "a guest that panics and resets ends the program under -no-reboot",
           f"status {status}\n{machine.text()[-2000:]}")


def debug_exit():
    for value, expected in ((0, 1), (5, 11), (127, 255)):
        with Machine(["-m", "256M", "-no-shutdown", "-device",
                      "isa-debug-exit,iobase=0x501,iosize=0x2"],
                     script=f"portio 0x501 {value}; sleep 5",
                     initrd=portio_initrd()) as machine:
            status = machine.wait()
            ok(status == expected, f"isa-debug-exit, {value} written: status {expected}", status)


def signals():
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        with Machine(["-m", "256M"], script="echo ready; sleep 100") as machine:
            machine.expect("ready")
            machine.process.send_signal(number)
            status = machine.wait(timeout=10)
            ok(status == 0, f"{number.name} ends the program with status 0", status)


for row in WAYS:
    attempt(row[1], second_life, *row)
for part in (no_reboot, no_shutdown, panic, debug_exit, signals):
    attempt(part.__name__, part)
done()
