#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The serial port's other ends: files, pseudo terminals, sockets whose peer comes and goes, stdio."""

import base64
import os
import re
import socket
import struct
import subprocess
import tempfile
import time

from yadotest import ENGINE, PATIENCE, SYSTEM, Machine, Timeout, attempt, done, guest_file, ok

FOLDER = tempfile.mkdtemp()
APPEND = "console=ttyS0 quiet"
HELLO = "echo hello from the guest; exit 0"
FLOOD = "echo ready; i=0; while [ $i -lt 6000 ]; do i=$((i + 1)); echo line $i; done; echo flooded"
FLOODS = ("echo ready; for flood in 1 2 3 4 5; do i=0; while [ $i -lt 2000 ]; do i=$((i + 1));"
          " echo line $i; done; sleep 1; done")
ECHO = "echo ready; read -r line; echo got $line; exit 0"


def start(options, script, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE):
    return subprocess.Popen(
        [SYSTEM, "-accel", ENGINE, "-display", "none", "-no-reboot", "-m", "256M", "-kernel", guest_file("vmlinuz"),
         "-initrd", guest_file("initrd.gz"), "-append",
         f"{APPEND} yado.exec={base64.b64encode(script.encode()).decode()}", *options],
        stdin=stdin, stdout=stdout, stderr=subprocess.STDOUT)


def finish(process, timeout=60):
    try:
        out, _ = process.communicate(timeout=timeout * PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        out, _ = process.communicate()
        raise Timeout("the program does not end: " + (out or b"").decode(errors="replace")) from None
    return process.returncode, (out or b"").decode(errors="replace")


def read_until(read, words, timeout=60):
    """Reads with `read` until `words` came; returns all that was read."""
    data, end = b"", time.monotonic() + timeout * PATIENCE
    while words not in data:
        if time.monotonic() > end:
            raise Timeout(f"waited for {words!r}, got {data[-500:]!r}")
        part = read()
        if part is None:
            time.sleep(0.05)
        elif not part:
            raise Timeout(f"waited for {words!r}, but the line closed after {data[-500:]!r}")
        else:
            data += part
    return data


def socket_reader(connection):
    connection.settimeout(0.2)

    def read():
        try:
            return connection.recv(65536)
        except socket.timeout:
            return None
    return read


def connect(path):
    connection = socket.socket(socket.AF_UNIX)
    end = time.monotonic() + 20 * PATIENCE
    while True:
        try:
            connection.connect(path)
            return connection
        except OSError:
            if time.monotonic() > end:
                raise Timeout(f"nobody listens at {path}") from None
            time.sleep(0.02)


def to_file():
    path = os.path.join(FOLDER, "file")
    status, out = finish(start(["-serial", f"file:{path}"], HELLO))
    ok(status == 0 and "hello from the guest" in open(path, encoding="utf-8").read(),
       "-serial file:", f"status {status}\n{out}")
    path = os.path.join(FOLDER, "file2")
    status, out = finish(start(["-chardev", f"file,id=log,path={path}", "-serial", "chardev:log"],
                               HELLO))
    ok(status == 0 and "hello from the guest" in open(path, encoding="utf-8").read(),
       "-chardev file and -serial chardev:", f"status {status}\n{out}")


def to_nowhere():
    status, out = finish(start(["-serial", "null"], HELLO))
    ok(status == 0 and not out, "-serial null", f"status {status}\n{out}")


def to_pty():
    process = start(["-serial", "pty"], ECHO)
    os.set_blocking(process.stdout.fileno(), False)
    line = read_until(process.stdout.read, b"\n").decode()
    match = re.search(r"/dev/pts/\d+", line)
    if not ok(match, "-serial pty says where it is", line):
        process.kill()
        return
    terminal = os.open(match[0], os.O_RDWR | os.O_NOCTTY)
    os.set_blocking(terminal, False)

    def read():
        try:
            return os.read(terminal, 65536)
        except (BlockingIOError, OSError):
            return None
    read_until(read, b"ready")
    os.write(terminal, b"over a pty\r")
    data = read_until(read, b"got over a pty")
    os.set_blocking(process.stdout.fileno(), True)
    status, out = finish(process)
    ok(status == 0, "and works in both directions", f"status {status}\n{data!r}\n{out}")


def unix_server():
    path = os.path.join(FOLDER, "server")
    process = start(["-serial", f"unix:{path},server=on,wait=on"], ECHO)
    with connect(path) as connection:
        read = socket_reader(connection)
        read_until(read, b"ready")
        connection.sendall(b"over a socket\r")
        read_until(read, b"got over a socket")
        status, out = finish(process)
    ok(status == 0, "-serial unix:…,server=on,wait=on", f"status {status}\n{out}")


def tcp_server():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = start(["-chardev", f"socket,id=s,host=127.0.0.1,port={port},server=on,wait=on",
                     "-serial", "chardev:s"], ECHO)
    end = time.monotonic() + 20 * PATIENCE
    while True:
        try:
            connection = socket.create_connection(("127.0.0.1", port))
            break
        except OSError:
            if time.monotonic() > end:
                raise Timeout("nobody listens on the TCP port") from None
            time.sleep(0.02)
    with connection:
        read = socket_reader(connection)
        read_until(read, b"ready")
        connection.sendall(b"over tcp\r")
        read_until(read, b"got over tcp")
        status, out = finish(process)
    ok(status == 0, "-chardev socket,host=,port=,server=on", f"status {status}\n{out}")


def peer_vanishes_from_server():
    path = os.path.join(FOLDER, "vanish")
    process = start(["-serial", f"unix:{path},server=on,wait=off"], FLOODS)
    with connect(path) as connection:
        read_until(socket_reader(connection), b"line ")
    with connect(path) as connection:
        data = read_until(socket_reader(connection), b"line ")
    status, out = finish(process)
    ok(status == 0, "a peer leaves in the middle of a flood, another comes and leaves",
       f"status {status}\n{data[-200:]!r}\n{out}")


def peer_vanishes_from_client(reset):
    name = "resets the connection" if reset else "closes the connection"
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(1)
        process = start(["-serial", f"tcp:127.0.0.1:{server.getsockname()[1]}"], FLOOD)
        server.settimeout(20 * PATIENCE)
        connection, _ = server.accept()
        with connection:
            read_until(socket_reader(connection), b"ready")
            if reset:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    status, out = finish(process)
    ok(status == 0, f"the server we are connected to {name}: the guest goes on to its end",
       f"status {status}\n{out}")


def reader_stops_reading():
    path = os.path.join(FOLDER, "stalled")
    process = start(["-serial", f"unix:{path},server=on,wait=on"], FLOOD)
    with connect(path) as connection:
        read_until(socket_reader(connection), b"ready")
        time.sleep(2)
        data = read_until(socket_reader(connection), b"flooded")
        status, out = finish(process)
    lines = [int(n) for n in re.findall(rb"line (\d+)\r", data)]
    ok(status == 0 and lines == sorted(lines) and lines[-1:] == [6000],
       "a peer that pauses gets the rest later", f"status {status}, {len(lines)} lines\n{out}")


def closed_pipe():
    process = start(["-serial", "stdio"], FLOOD)
    process.stdout.read(100)
    process.stdout.close()
    try:
        status = process.wait(60 * PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        status = "none: it does not end"
    ok(status == 0, "standard output is a pipe whose reader leaves", f"status {status}")


def piped_input():
    read_end, write_end = os.pipe()
    process = start(["-serial", "stdio"], ECHO, stdin=read_end)
    os.close(read_end)
    os.set_blocking(process.stdout.fileno(), False)
    read_until(process.stdout.read, b"ready")
    os.write(write_end, b"from a pipe\n")
    os.close(write_end)
    os.set_blocking(process.stdout.fileno(), True)
    status, out = finish(process)
    ok(status == 0 and "got from a pipe" in out, "standard input is a pipe that ends",
       f"status {status}\n{out}")


def escapes():
    with Machine(["-m", "256M"]) as machine:
        machine.wait_prompt()
        machine.send("\x01h")
        machine.expect("exit|quit|terminate", timeout=10)
        ok(True, "Ctrl-A h shows the keys")
        machine.send("\recho \x01\x01z\r")  # ^A goes to the guest: beginning of the line
        machine.expect("z", timeout=10)
        ok(machine.command("echo fine").strip() == "fine", "Ctrl-A Ctrl-A passes a Ctrl-A on")
        machine.send("\x01c")
        machine.expect(r"\((qemu|yado)\) ", timeout=10)
        machine.send("info version\r")
        machine.expect(r"\d+\.\d+", timeout=10)
        machine.send("\x01c")
        machine.send("\r")
        machine.wait_prompt(timeout=10)
        ok(True, "Ctrl-A c goes to the monitor and back")
        machine.send("\x01x")
        status = machine.wait(timeout=10)
        ok(status == 0, "Ctrl-A x ends the program with status 0", f"status {status}")


for part in (to_file, to_nowhere, to_pty, unix_server, tcp_server, peer_vanishes_from_server,
             reader_stops_reading, closed_pipe, piped_input, escapes):
    attempt(part.__name__.replace("_", " "), part)
for kind in (False, True):
    attempt("peer vanishes", peer_vanishes_from_client, kind)
done()
