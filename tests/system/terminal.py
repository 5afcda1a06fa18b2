#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The terminal is raw while a machine has it, and as before in every other moment."""

import fcntl
import os
import pty
import select
import signal
import termios
import time

from yadotest import PATIENCE, SYSTEM, Machine, Timeout, attempt, done, guest_file, ok

LOCAL_MODES = 3


def is_raw(terminal):
    return not termios.tcgetattr(terminal)[LOCAL_MODES] & (termios.ICANON | termios.ECHO)


def wait_until(condition, what, timeout=20):
    end = time.monotonic() + timeout * PATIENCE
    while not condition():
        if time.monotonic() > end:
            raise Timeout(what)
        time.sleep(0.02)


def ended_by(number):
    """The machine sits in its shell when the signal comes; twice, as a second fault would."""
    with Machine(["-m", "256M"]) as machine:
        machine.wait_prompt()
        raw = is_raw(machine.master)
        for _ in range(2):
            machine.process.send_signal(number)
            time.sleep(0.2)
        machine.wait(timeout=10)
        ok(raw and not is_raw(machine.master), f"{number.name} leaves a terminal in order")


class Shell:
    """An interactive shell that starts the machine, for job control."""

    def __init__(self):
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            os.execlp("bash", "bash", "--norc", "--noprofile", "-i")
        self.text = b""

    def type(self, text):
        os.write(self.terminal, text.encode())

    def expect(self, words, timeout=30):
        end = time.monotonic() + timeout * PATIENCE
        while words.encode() not in self.text:
            if time.monotonic() > end:
                raise Timeout(f"waited for {words!r}; the shell said {self.text[-1000:]!r}")
            if select.select([self.terminal], [], [], 0.2)[0]:
                self.text += os.read(self.terminal, 65536)
        self.text = self.text.partition(words.encode())[2]

    def close(self):
        os.kill(self.pid, signal.SIGKILL)
        os.close(self.terminal)
        os.waitpid(self.pid, 0)


def job_control():
    shell = Shell()
    try:
        shell.type("PS1='ready'': '\r")
        shell.expect("ready: ")
        shell.type(f"{SYSTEM} -m 256M -display none -serial stdio -kernel {guest_file('vmlinuz')} "
                   f"-initrd {guest_file('initrd.gz')} -append 'console=ttyS0 quiet'\r")
        shell.expect("yado:")
        ok(is_raw(shell.terminal), "with -serial stdio the terminal is raw")
        shell.type("\x1a")
        shell.expect("ready: ")
        ok(True, "Ctrl-Z brings the shell back")
        shell.type("echo the sh''ell\r")
        shell.expect("the shell")
        shell.type("fg\r")
        wait_until(lambda: is_raw(shell.terminal), "it is not raw after fg")
        shell.type("echo the gu''est\r")
        shell.expect("the guest")
        ok(True, "fg goes back to the guest")
        shell.type("\x03")
        shell.expect("ready: ")
        ok(True, "Ctrl-C ends it, unless signal=off")
        flags = fcntl.fcntl(shell.terminal, fcntl.F_GETFL)
        shell.type("python3 -c 'import fcntl; print([fcntl.fcntl(f, fcntl.F_GETFL) & 2048 "
                   "for f in (0, 1, 2)])'\r")
        shell.expect("[0, 0, 0]")
        ok(not flags & os.O_NONBLOCK, "the shell's descriptors still block")
    finally:
        shell.close()


for kind in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGABRT,
             signal.SIGUSR2, signal.SIGALRM):
    attempt(kind.name, ended_by, kind)
attempt("job control", job_control)
done()
