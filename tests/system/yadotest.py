# SPDX-License-Identifier: GPL-2.0-or-later
"""What system tests share: TAP output, and a machine driven through its serial line.

    with Machine(["-m", "512M"]) as machine:
        machine.wait_prompt()
        ok("6.1" in machine.command("uname -r"), "the kernel tells its version")
    done()
"""

import base64
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time

BUILD = os.environ.get("YADO_BUILD", "build")
YADO = os.environ.get("YADO", os.path.join(BUILD, "yado"))
SYSTEM = os.environ.get("YADO_SYSTEM", os.path.join(BUILD, "compat", "qemu-system-x86_64"))
GUEST = os.environ.get("YADO_GUEST", os.path.join(BUILD, "guest"))
PATIENCE = {"address": 4, "thread": 8}.get(os.environ.get("YADO_SANITIZER"), 1)
PROMPT = re.compile(rb"yado:\S+# ")
# The translator unless a test asks for something else: it works on every machine.
ENGINE = os.environ.get("YADO_TEST_ENGINE", "bt")
EXIT_LINE = re.compile(r"^(?:\(qemu\) )?yado-exit: (\d+)$", re.MULTILINE)
# What the kernel says when something went wrong that must not.
TROUBLE = re.compile(
    r"BUG:|\bOops\b|WARNING:|Kernel panic|Call Trace|general protection|stack segment|divide error"
    r"|invalid opcode|lost interrupt|nobody cared|soft lockup|hard LOCKUP|rcu.*stall|hung_task"
    r"|blocked for more than|double fault|Unable to handle|Spurious|clocksource.*unstable"
    r"|segfault at|traps: |APIC error|timer doesn't work|failed to (?:boot|bring up) CPU",
    re.IGNORECASE)

_count = 0
_failed = 0


def ok(passed, name, explanation=""):
    """Reports one check; `explanation` is shown if it failed."""
    global _count, _failed
    _count += 1
    print(f"{'ok' if passed else 'not ok'} {_count} - {name}")
    if not passed:
        _failed += 1
        print("".join(f"# {line}\n" for line in last_lines(explanation).splitlines()), end="")
    sys.stdout.flush()
    return bool(passed)


def skip(name, reason):
    global _count
    _count += 1
    print(f"ok {_count} - {name} # SKIP {reason}", flush=True)


def done():
    print(f"1..{_count}")
    sys.exit(1 if _failed else 0)


def guest_file(name):
    """Path of a file of the prepared guest; ends the test program as skipped without it."""
    path = os.path.join(GUEST, name)
    if not os.path.exists(path):
        print(f"1..0 # SKIP {path} is missing; scripts/prepare-guest --full makes it")
        sys.exit(0)
    return path


def dmesg_trouble(text):
    return [line for line in text.splitlines() if TROUBLE.search(line)]


def cpio_entry(number, name, mode, content):
    header = "070701" + "".join(f"{field:08x}" for field in (
        number, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name) + 1, 0))
    entry = header.encode() + name.encode() + b"\0"
    entry += bytes(-len(entry) % 4) + content
    return entry + bytes(-len(entry) % 4)


def initrd_with(programs, modules=False):
    """The small guest's initramfs with more programs, {path in the guest: path here}; the kernel reads
    one archive after the other. `modules` adds the kernel's. Returns the path of the new file."""
    with open(guest_file("initrd.gz"), "rb") as file:
        base = file.read()
    if modules:
        with open(guest_file("modules.gz"), "rb") as file:
            base += bytes(-len(base) % 4) + file.read()
    entries = b""
    for number, (name, path) in enumerate(programs.items(), 1):
        with open(path, "rb") as file:
            entries += cpio_entry(number, name.lstrip("/"), 0o100755, file.read())
    entries += cpio_entry(0, "TRAILER!!!", 0, b"")
    path = os.path.join(tempfile.mkdtemp(), "initrd")
    with open(path, "wb") as file:
        file.write(base + bytes(-len(base) % 4) + entries)
    return path


def portio_initrd():
    return initrd_with({"/bin/portio": os.path.join(BUILD, "tests", "system", "portio")})


def last_lines(text, count=25):
    return "\n".join(str(text).splitlines()[-count:])


class Timeout(Exception):
    pass


class Machine:
    """One run of a machine whose serial line is a pseudo terminal of ours.

    Without `kernel` in the options the cloud kernel and the small guest are booted. `script` runs in the
    guest instead of a shell (see scripts/guest-files/init)."""

    def __init__(self, options=(), script=None, append="console=ttyS0 quiet", kernel="vmlinuz",
                 initrd=None, program=None, timeout=60, rows=24, columns=80):
        command = list(program or [SYSTEM, "-nographic", "-no-reboot"])
        if not program and not any("accel" in option or option == "-enable-kvm"
                                   for option in options):
            command += ["-accel", ENGINE]
        if script is not None:
            append += " yado.exec=" + base64.b64encode(script.encode()).decode()
        if kernel:
            command += ["-kernel", guest_file(kernel), "-initrd",
                        initrd or guest_file("initrd.gz"), "-append", append]
        self.arguments = command + list(options)
        self.deadline_s = timeout * PATIENCE
        self.output = b""     # all that was read
        self.position = 0     # up to where expect() has looked
        self.eof = False
        self.master, slave = pty.openpty()
        self.resize(rows, columns)
        self.terminal_before = termios.tcgetattr(slave)
        self.process = subprocess.Popen(self.arguments, stdin=slave, stdout=slave, stderr=slave,
                                        start_new_session=True, preexec_fn=take_terminal)
        os.close(slave)
        os.set_blocking(self.master, False)

    def __enter__(self):
        return self

    def __exit__(self, kind, error, traceback):
        self.kill()

    def resize(self, rows, columns):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def text(self):
        return re.sub("\r+\n", "\n", self.output.decode(errors="replace"))

    def read_some(self, timeout_s, also_write=False):
        """Reads what there is; false at the end of the output. True also if nothing came."""
        readable, _, _ = select.select([self.master], [self.master] if also_write else [], [],
                                       max(0, timeout_s))
        if not readable:
            return True
        try:
            data = os.read(self.master, 65536)
        except BlockingIOError:
            return True
        except OSError:
            data = b""
        if not data:
            self.eof = True
            return False
        self.output += data
        return True

    def expect(self, pattern, timeout=None):
        """Waits for the regular expression in output not looked at yet; returns the match."""
        if isinstance(pattern, (str, bytes)):
            pattern = re.compile(pattern.encode() if isinstance(pattern, str) else pattern)
        end = time.monotonic() + (timeout * PATIENCE if timeout else self.deadline_s)
        while True:
            match = pattern.search(self.output, self.position)
            if match:
                self.position = match.end()
                return match
            if self.eof or time.monotonic() > end:
                what = "ended" if self.eof else "is silent"
                raise Timeout(f"waited for {pattern.pattern!r} but the machine {what}; it said:\n"
                              + self.text()[-3000:])
            self.read_some(min(1, end - time.monotonic()))

    def send(self, data):
        """Types `data`, reading output meanwhile so that neither side waits for ever."""
        data = data.encode() if isinstance(data, str) else data
        end = time.monotonic() + self.deadline_s
        while data:
            if time.monotonic() > end or self.eof:
                raise Timeout(f"{len(data)} bytes of input were not taken; the machine said:\n"
                              + self.text()[-3000:])
            try:
                data = data[os.write(self.master, data[:1024]):]
            except BlockingIOError:
                pass
            self.read_some(0.001, also_write=True)

    def wait_prompt(self, timeout=None):
        self.expect(PROMPT, timeout)

    def command(self, line, timeout=None):
        """Runs a shell command line in the guest and returns what it printed."""
        self.send(f"echo BE''GIN; {line}; echo EN''D\r")
        self.expect(r"BEGIN\r*\n", timeout)
        start = self.position
        match = self.expect(r"END\r*\n", timeout)
        self.wait_prompt()
        return re.sub("\r+\n", "\n", self.output[start:match.start()].decode(errors="replace"))

    def wait(self, timeout=None):
        """Waits for the program to end, reading its output; returns its exit status."""
        end = time.monotonic() + (timeout * PATIENCE if timeout else self.deadline_s)
        while not self.eof and time.monotonic() < end:
            if not self.read_some(min(0.2, end - time.monotonic())):
                break
            if self.process.poll() is not None and not select.select([self.master], [], [], 0)[0]:
                break
        try:
            return self.process.wait(max(0.1, end - time.monotonic()))
        except subprocess.TimeoutExpired:
            raise Timeout("the program does not end; it said:\n" + self.text()[-3000:]) from None

    def script_status(self):
        """The exit status of `script`, or None if it was not reached."""
        match = EXIT_LINE.search(self.text())
        return int(match[1]) if match else None

    def kill(self):
        if self.process.poll() is None:
            try:
                os.killpg(self.process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            self.process.wait()
        if self.master >= 0:
            os.close(self.master)
            self.master = -1


def take_terminal():
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def kvm_missing():
    """Why there is no KVM here, or None."""
    try:
        os.close(os.open("/dev/kvm", os.O_RDWR))
    except OSError as error:
        return f"/dev/kvm: {error.strerror}"
    return None


def kvm_problem():
    """Why Linux does not run on KVM here, or None."""
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        virtualizes = {"vmx", "svm"} & set(file.read().split())
    return kvm_missing() or (None if virtualizes else
                             "this host's KVM has no hardware virtualization below it")


def attempt(name, function, *arguments):
    """Runs a part of a test; a time-out in it is one failed check, not the end of the program."""
    try:
        function(*arguments)
    except Timeout as error:
        ok(False, name, error)


def run(arguments, timeout=20, stdin=subprocess.DEVNULL, program=None, **more):
    """Runs the system program and returns (status, stdout, stderr); status None: it did not end."""
    try:
        result = subprocess.run([program or SYSTEM, *arguments], stdin=stdin, capture_output=True,
                                timeout=timeout * PATIENCE, check=False, **more)
    except subprocess.TimeoutExpired as error:
        return (None, (error.stdout or b"").decode(errors="replace"),
                (error.stderr or b"").decode(errors="replace"))
    return (result.returncode, result.stdout.decode(errors="replace"),
            result.stderr.decode(errors="replace"))
