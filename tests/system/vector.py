#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Gathers, masked accesses, x87 environments and alignment checks: the host's processor and a guest must
come to the same result, case by case (vector.c)."""
import os
import subprocess

from yadotest import BUILD, Machine, attempt, done, initrd_with, ok, skip

PROGRAM = os.path.join(BUILD, "tests", "system", "vector")


def cases(text):
    """[[hash, instruction]]; some instructions are there more than once"""
    lines = (line.split(" ", 1) for line in text.splitlines() if " " in line)
    return [line for line in lines if len(line[0]) == 16]


def main():
    native = subprocess.run([PROGRAM], capture_output=True, text=True, timeout=60, check=True).stdout
    if not cases(native):
        skip("vector instructions", native.strip())
        return
    initrd = initrd_with({"/bin/vector": PROGRAM})
    with Machine(["-m", "256M", "-cpu", "max"], script="vector", initrd=initrd) as machine:
        machine.wait()
        guest = cases(machine.text())
        ok(machine.script_status() == 0, "the program ends well in the guest", machine.text())
    expected = cases(native)
    different = [text for value, text in expected if [value, text] not in guest]
    ok(expected == guest, f"{len(expected)} instructions give what the host's processor gives",
       "\n".join(different) or f"{len(guest)} of {len(expected)} cases ran")


attempt("vector", main)
done()
