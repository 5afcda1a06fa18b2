# SPDX-License-Identifier: GPL-2.0-or-later
"""What the tests of debugging share: a gdb that is told one command after the other, and a client that
speaks the protocol by itself."""

import os
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import time

from yadotest import PATIENCE, SYSTEM, Timeout

READY = "<ready>"


def need_gdb():
    """Ends the test program as skipped if there is no gdb here."""
    if not shutil.which("gdb"):
        print("1..0 # SKIP there is no gdb here; scripts/install-packages installs it")
        sys.exit(0)


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Gdb:
    """gdb, reading commands from us. Its user's own settings are left out."""

    def __init__(self, *arguments, timeout=60):
        self.timeout = timeout * PATIENCE
        self.process = subprocess.Popen(
            ["gdb", "-nx", "-q", *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, start_new_session=True,
            env=dict(os.environ, LC_ALL="C.UTF-8", HOME="/nonexistent", DEBUGINFOD_URLS=""))
        os.set_blocking(self.process.stdout.fileno(), False)
        self.text = ""
        for line in ("set pagination off", "set confirm off", "set width 0", "set style enabled off"):
            self.send(line)
        self.read(lambda text: True)

    def __enter__(self):
        return self

    def __exit__(self, kind, error, traceback):
        self.kill()

    def send(self, line):
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()

    def read(self, done):
        """Reads until done(text so far); returns that text, and forgets it."""
        text, end = "", time.monotonic() + self.timeout
        while True:
            ready, _, _ = select.select([self.process.stdout], [], [], max(0, end - time.monotonic()))
            part = self.process.stdout.read() if ready else None
            if part:
                text += part.decode(errors="replace")
                self.text += part.decode(errors="replace")
            if done(text):
                return text
            if time.monotonic() > end or (ready and part == b""):
                raise Timeout("gdb " + ("is silent" if part is None else "has ended") + "; it said:\n"
                              + self.text[-3000:])

    def command(self, line):
        """Its output. A command that lets the guest run returns when that has stopped."""
        self.send(line)
        self.send(f"echo {READY}\\n")
        return self.read(lambda text: READY in text).split(READY)[0].replace("(gdb) ", "")

    def begin(self, line, words="Continuing."):
        """Starts a command that does not end by itself."""
        self.send(line)
        self.read(lambda text: words in text)

    def interrupt(self):
        """Ctrl-C."""
        self.process.send_signal(signal.SIGINT)
        self.send(f"echo {READY}\\n")
        return self.read(lambda text: READY in text).split(READY)[0]

    def value(self, expression):
        text = self.command(f"output/x {expression}")
        match = re.search(r"0x([0-9a-f]+)", text)
        return int(match[1], 16) if match else None

    def kill(self):
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


class Debugged:
    """A machine with a debugger's socket; its own output goes to files."""

    def __init__(self, folder, options, program=None):
        self.path = os.path.join(folder, "gdb.sock")
        self.errors = os.path.join(folder, "stderr")
        with open(self.errors, "w", encoding="utf-8") as file:
            self.process = subprocess.Popen(
                [program or SYSTEM, "-display", "none", "-nodefaults", "-gdb", f"unix:{self.path}",
                 *options], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=file)
        end = time.monotonic() + 20 * PATIENCE
        while not os.path.exists(self.path):
            if time.monotonic() > end or self.process.poll() is not None:
                raise Timeout("nobody listens for gdb: " + self.said())
            time.sleep(0.01)

    def said(self):
        with open(self.errors, encoding="utf-8") as file:
            return file.read()

    def __enter__(self):
        return self

    def __exit__(self, kind, error, traceback):
        self.process.kill()
        self.process.wait()


class Remote:
    """A client of the protocol."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        end = time.monotonic() + 20 * PATIENCE
        while True:
            try:
                self.socket.connect(path)
                break
            except OSError:
                if time.monotonic() > end:
                    raise Timeout("nobody listens for gdb") from None
                time.sleep(0.01)
        self.socket.settimeout(20 * PATIENCE)
        self.buffer = b""
        self.no_ack = False

    def close(self):
        self.socket.close()

    def raw(self, data):
        self.socket.sendall(data)

    def send(self, text):
        data = text if isinstance(text, bytes) else text.encode()
        data = re.sub(rb"[#$}]", lambda m: b"}" + bytes([m[0][0] ^ 0x20]), data)
        self.raw(b"$" + data + b"#%02x" % (sum(data) & 0xff))

    def byte(self):
        if not self.buffer:
            try:
                self.buffer = self.socket.recv(65536)
            except socket.timeout:
                raise Timeout("the server is silent") from None
            if not self.buffer:
                raise Timeout("the server has closed the connection")
        first, self.buffer = self.buffer[:1], self.buffer[1:]
        return first

    def receive(self):
        """The next packet's data, with repetitions and escapes undone."""
        while self.byte() != b"$":
            pass
        data = b""
        while (byte := self.byte()) != b"#":
            data += byte
        if int(self.byte() + self.byte(), 16) != sum(data) & 0xff:
            raise Timeout(f"a packet with a wrong sum: {data!r}")
        if not self.no_ack:
            self.raw(b"+")
        out, i = b"", 0
        while i < len(data):
            if data[i:i + 1] == b"}":
                out += bytes([data[i + 1] ^ 0x20])
                i += 2
            elif data[i:i + 1] == b"*":
                out += out[-1:] * (data[i + 1] - 29)
                i += 2
            else:
                out += data[i:i + 1]
                i += 1
        return out

    def ask(self, text):
        self.send(text)
        return self.receive().decode("latin-1")

    def monitor(self, line):
        self.send("qRcmd," + line.encode().hex())
        out = b""
        while (packet := self.receive()) != b"OK":
            if packet[:1] != b"O":
                return packet.decode("latin-1")
            out += bytes.fromhex(packet[1:].decode())
        return out.decode()
