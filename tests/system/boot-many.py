#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Boots again and again, stops at nothing, and counts what went wrong.

    tests/system/boot-many.py [COUNT] [OPTION...]       20 boots: tests/system/boot-many.py 20 -m 8G

Without arguments, as in `make check`, it is three boots of each kernel."""

import os
import re
import sys
import time

from yadotest import GUEST, Machine, Timeout, dmesg_trouble, done, ok, skip

SCRIPT = "for i in $(seq 50); do echo $i; done | wc -l; dmesg"


def boot(kernel, options):
    """Returns what went wrong, or None."""
    with Machine(["-cpu", "max", *options], script=SCRIPT, kernel=kernel, timeout=90) as machine:
        try:
            status = machine.wait()
        except Timeout as error:
            return str(error)
        text = machine.text()
        trouble = dmesg_trouble(text)
        if status or machine.script_status() != 0 or not re.search(r"^50$", text, re.M):
            return f"status {status}\n{text[-2000:]}"
        return "\n".join(trouble) or None


def main():
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    options = sys.argv[2:] or ["-m", "256M"]
    for kernel in ("vmlinuz", "vmlinuz-full"):
        if not os.path.exists(os.path.join(GUEST, kernel)):
            skip(kernel, f"{GUEST}/{kernel} is missing; scripts/prepare-guest --full makes it")
            continue
        for number in range(1, count + 1):
            started = time.monotonic()
            problem = boot(kernel, options)
            ok(problem is None, f"{kernel}, boot {number} of {count}, "
               f"{time.monotonic() - started:.1f} s", problem)
    done()


main()
