#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""ACPI: the tables a guest finds are taken out of it, without errors for the compiler of the ACPI
Component Architecture, and Linux has nothing to complain about."""

import base64
import os
import re
import shutil
import subprocess
import tempfile

from yadotest import Machine, attempt, done, ok, skip

BOARDS = (("pc", ["-smp", "2"]), ("q35", []), ("microvm", []))
SCRIPT = """
cd /sys/firmware/acpi/tables
for table in *; do [ -f $table ] && { echo "table $table"; base64 $table; }; done
echo "end of tables"
dmesg | grep -iE "acpi.*(error|warning|exception|firmware bug|invalid)"
echo "end of messages"
"""


def compile_table(folder, name):
    """Takes a table apart and compiles it again; returns what the compiler counted and said."""
    result = subprocess.run(["iasl", "-d", name + ".aml"], cwd=folder, capture_output=True,
                            text=True, check=False)
    if result.returncode:
        return None, result.stdout + result.stderr
    result = subprocess.run(["iasl", "-p", name + ".again", name + ".dsl"], cwd=folder,
                            capture_output=True, text=True, check=False)
    text = result.stdout + result.stderr
    match = re.search(r"(\d+) Errors, (\d+) Warnings", text)
    return (match and (int(match[1]), int(match[2])) or ((0, 0) if result.returncode == 0 else None),
            text)


def board(name, options):
    with Machine(["-M", name, *options], script=SCRIPT) as machine:
        machine.wait(60)
        text = machine.text()
    tables = dict(re.findall(r"^table (\w+)\n([\w+/=\n]+?)(?=^table|^end of)", text, re.MULTILINE))
    ok({"DSDT", "FACP", "APIC", "FACS", "WAET"} <= set(tables), f"{name}: the tables are there",
       text)
    messages = text[text.find("end of tables"):text.find("end of messages")].splitlines()[1:]
    ok("end of messages" in text and not messages, f"{name}: Linux does not complain",
       "\n".join(messages))
    folder = tempfile.mkdtemp()
    for table, content in sorted(tables.items()):
        with open(os.path.join(folder, table + ".aml"), "wb") as file:
            file.write(base64.b64decode(content))
        if not shutil.which("iasl"):
            skip(f"{name}: {table} compiles", "package acpica-tools is not installed")
            continue
        counts, said = compile_table(folder, table)
        ok(counts is not None and counts[0] == 0, f"{name}: {table} compiles without errors", said)
    shutil.rmtree(folder)


for board_name, board_options in BOARDS:
    attempt(board_name, board, board_name, board_options)
done()
