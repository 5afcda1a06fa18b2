#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The human monitor on a socket: its commands, and clients that come and go."""

import os
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


attempt("commands", commands)
done()
