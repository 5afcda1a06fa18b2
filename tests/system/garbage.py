#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Executes noise: garbage.py [SEED...], 0 to 7 if none is given. The guest may do whatever noise does, usually a triple fault, which is a reset and with
-no-reboot the end with status 0. It may also loop for ever; then it is stopped after a moment. The
program must neither crash nor complain about itself."""

import os
import random
import signal
import subprocess
import sys
import tempfile

from yadotest import ENGINE, PATIENCE, SYSTEM, done, guest_file, ok

FOLDER = tempfile.mkdtemp()
SECONDS = 1.5
SEEDS = [int(seed) for seed in sys.argv[1:]] or range(8)


def endure(name, options):
    arguments = [SYSTEM, "-accel", ENGINE, "-display", "none", "-serial", "null", "-no-reboot", "-m", "128M", *options]
    process = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT)
    stopped = False
    try:
        out, _ = process.communicate(timeout=SECONDS * PATIENCE)
    except subprocess.TimeoutExpired:
        stopped = True
        process.send_signal(signal.SIGTERM)
        try:
            out, _ = process.communicate(timeout=10 * PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            out, _ = process.communicate()
            ok(False, f"{name}: SIGTERM ends it", out.decode(errors="replace"))
            return
    ok(process.returncode == 0 and b"Sanitizer" not in out and b"runtime error" not in out,
       f"{name}: {'runs until it is stopped' if stopped else 'ends by itself'}",
       f"status {process.returncode}\n" + out.decode(errors="replace")[-3000:])


def written(name, content):
    path = os.path.join(FOLDER, name)
    with open(path, "wb") as file:
        file.write(content)
    return path


def main():
    kernel = open(guest_file("vmlinuz"), "rb").read()
    setup_size = (kernel[0x1F1] + 1) * 512
    for seed in SEEDS:
        noise = random.Random(seed)
        endure(f"noise {seed} as a kernel", ["-kernel", written("kernel", kernel[:setup_size]
                + noise.randbytes(len(kernel) - setup_size))])
        endure(f"noise {seed} as firmware", ["-bios", written("bios", noise.randbytes(65536))])
        damaged = bytearray(kernel)
        for _ in range(200):
            damaged[setup_size + noise.randrange(0x8000)] = noise.randrange(256)
        endure(f"a kernel damaged {seed}", ["-kernel", written("damaged", damaged)])
    endure("firmware of zeros", ["-bios", written("zeros", bytes(65536))])
    endure("firmware of ones", ["-bios", written("ones", b"\xff" * 65536)])
    endure("firmware that halts for ever", ["-bios", written("halt", b"\xfa\xf4\xeb\xfc" * 16384)])
    done()


main()
