# SPDX-License-Identifier: GPL-2.0-or-later
"""The engines that can be measured, and one run of one of them with its console read."""

import collections
import os
import re
import selectors
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass

from guest import BenchError

POWER_OFF_S = 20            # how long a machine may take from its last word to its end
CONSOLE_TAIL = 25           # lines shown when a run fails

# Firmware clears the screen and moves the cursor before the kernel's first line.
TERMINAL_CONTROL = re.compile(r"\x1b(?:c|\[[0-9;?=]*[A-Za-z])")


@dataclass
class Engine:
    name: str               # as in --engines
    program: str            # "" for native
    accel: str

    def is_yado(self):
        return self.name in ("bt", "kvm")

    def command(self, machine, memory_mib, extra):
        # QEMU would add a network card whose boot ROM waits for a key.
        no_network = [] if self.is_yado() else ["-nic", "none"]
        return [self.program, "-M", machine, "-accel", self.accel,
                "-cpu", "host" if self.accel == "kvm" else "max",
                "-m", f"{memory_mib}M", "-no-reboot"] + no_network + extra


ENGINE_HELP = {
    "native": "this machine, without a guest",
    "bt": "Yado's binary translator",
    "tcg": "QEMU's TCG",
    "kvm": "Yado on KVM",
    "qemu-kvm": "QEMU on KVM",
}


def find_qemu(yado):
    """The first qemu-system-x86_64 in PATH that is not Yado under that name."""
    folders = os.environ.get("PATH", "").split(":") + ["/usr/bin"]
    for folder in folders:
        path = os.path.join(folder, "qemu-system-x86_64")
        if os.access(path, os.X_OK) and os.path.realpath(path) != os.path.realpath(yado) \
                and os.path.basename(os.path.realpath(path)) != "yado":
            return path
    return None


def make_engine(name, yado, qemu):
    """Returns (engine, None), or (None, reason) if it cannot run here."""
    if name not in ENGINE_HELP:
        raise BenchError(f"engine '{name}' is unknown; there are {', '.join(ENGINE_HELP)}")
    if name == "native":
        return Engine(name, "", ""), None
    accel = {"bt": "bt", "tcg": "tcg"}.get(name, "kvm")
    if accel == "kvm" and not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return None, "/dev/kvm cannot be opened"
    if name in ("bt", "kvm"):
        if not os.access(yado, os.X_OK):
            return None, f"'{yado}' is not there; run 'make' first"
        return Engine(name, yado, accel), None
    qemu = qemu or find_qemu(yado)
    if not qemu or not os.access(qemu, os.X_OK):
        return None, "QEMU is not installed (Debian package qemu-system-x86)"
    return Engine(name, qemu, accel), None


def program_version(program):
    try:
        done = subprocess.run([program, "-version"], capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.splitlines()[0] if done.stdout else ""


class Machine:
    """One emulator process: its output arrives as lines with their times.

    Use as a context manager: leaving it ends the process, however it stands."""

    def __init__(self, command, log=None):
        self.command = command
        self.console = []               # complete lines of both outputs
        self.errors = []                # lines of standard error only
        self.log = log
        self.started = time.monotonic()
        try:
            self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                            stderr=subprocess.PIPE)
        except OSError as error:
            raise BenchError(f"cannot start '{command[0]}': {error.strerror}") from None
        self.selector = selectors.DefaultSelector()
        self.partial = {}
        self.pending = collections.deque()      # (seconds since the start, line) not yet yielded
        for stream in (self.process.stdout, self.process.stderr):
            os.set_blocking(stream.fileno(), False)
            self.selector.register(stream, selectors.EVENT_READ)
            self.partial[stream] = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.selector.close()
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            stream.close()

    def chunks(self, silence_s):
        """Yields (time, stream, bytes) until both outputs end; an error after `silence_s` of
        silence."""
        while self.selector.get_map():
            events = self.selector.select(silence_s)
            now = time.monotonic()
            if not events:
                raise self.failure(f"printed nothing for {silence_s:g} s")
            for key, _ in events:
                data = os.read(key.fd, 65536)
                if data:
                    yield now, key.fileobj, data
                else:
                    self.selector.unregister(key.fileobj)

    def first_byte(self, silence_s):
        """Seconds from before the process was made until it wrote a byte to standard output."""
        for now, stream, data in self.chunks(silence_s):
            if stream is self.process.stdout:
                return now - self.started
            self.take(now, stream, data)
        self.process.wait()
        raise self.failure("ended without a sign of the guest")

    def take(self, now, stream, data):
        lines = (self.partial[stream] + data).split(b"\n")
        self.partial[stream] = lines.pop()
        for line in lines:
            text = TERMINAL_CONTROL.sub("", line.decode(errors="replace")).strip("\r")
            self.console.append(text)
            if stream is self.process.stderr:
                self.errors.append(text)
            if self.log:
                self.log.write(f"{now - self.started:9.3f} {text}\n")
            self.pending.append((now - self.started, text))

    def lines(self, silence_s, total_s):
        """Yields (seconds since the start, line); an error after silence or too long a time."""
        while self.pending:
            yield self.pending.popleft()
        for now, stream, data in self.chunks(silence_s):
            self.take(now, stream, data)
            while self.pending:
                yield self.pending.popleft()
            if now - self.started > total_s:
                raise self.failure(f"did not finish within {total_s:g} s")

    def wait_end(self):
        """Waits for the end after the last word. Returns what was wrong with it, or None."""
        deadline = time.monotonic() + POWER_OFF_S
        try:
            for now, stream, data in self.chunks(POWER_OFF_S):
                self.take(now, stream, data)
                if now > deadline:
                    break
            status = self.process.wait(max(0.1, deadline - time.monotonic()))
        except (BenchError, subprocess.TimeoutExpired):
            return f"did not power off within {POWER_OFF_S} s"
        return describe_status(status) if status else None

    def failure(self, what):
        """An error that shows the end of the console."""
        status = self.process.poll()
        if status is not None:
            what += f" ({describe_status(status)})"
        rest = [part.decode(errors="replace") for part in self.partial.values() if part]
        tail = (self.console + rest)[-CONSOLE_TAIL:]
        shown = "\n".join("    | " + line for line in tail) or "    | (it printed nothing)"
        return BenchError(f"{os.path.basename(self.command[0])} {what}\n"
                          f"its command: {' '.join(self.command)}\nits last lines:\n{shown}")


def describe_status(status):
    if status >= 0:
        return f"exit status {status}"
    try:
        return f"killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"killed by signal {-status}"


def spawn_cost():
    """Seconds that starting and ending an empty process takes from here: a part of each start."""
    program = shutil.which("true")
    if not program:
        return 0.0
    costs = []
    for _ in range(10):
        start = time.monotonic()
        subprocess.run([program], stdin=subprocess.DEVNULL, check=False)
        costs.append(time.monotonic() - start)
    return min(costs)
