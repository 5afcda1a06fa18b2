#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Translations that come and go: four CPUs share a code memory so small that it is emptied many
times a second, under whatever they are executing. And a machine that has booted gives memory back."""

import re
import time

from yadotest import Machine, dmesg_trouble, done, ok

# Four at a time: processes come and go, pages of code are written, loaded and thrown away.
SCRIPT = """
for job in 1 2 3 4; do
    (for i in $(seq 2); do
        seq 1 100 | sort -r | md5sum; ls -lR /bin /proc/self >/dev/null; expr $i \\* 3 >/dev/null
    done | sort -u | wc -l) &
done
wait
echo jobs over
dmesg
"""

def resident_kib(pid):
    """All that is resident but guest memory, in KiB."""
    total, ram = 0, False
    with open(f"/proc/{pid}/smaps", encoding="utf-8") as smaps:
        for line in smaps:
            if re.match(r"[0-9a-f]+-[0-9a-f]+ ", line):
                ram = "yado-ram" in line
            elif line.startswith("Rss:") and not ram:
                total += int(line.split()[1])
    return total


def check_small(kib):
    with Machine(["-accel", f"bt,x-tb-kib={kib}", "-smp", "4", "-m", "256M"], script=SCRIPT,
                 timeout=180) as machine:
        status = machine.wait()
        text = machine.text()
        problem = "\n".join(dmesg_trouble(text))
        if status or machine.script_status() or "jobs over" not in text \
                or len(re.findall(r"^1$", text, re.M)) != 4:
            problem += f"status {status}\n{text[-2000:]}"
        ok(not problem, f"Linux with four CPUs and {kib} KiB of translations", problem)


def check_given_back():
    limit_kib = 12 << 10
    with Machine(["-m", "256M"]) as machine:
        machine.wait_prompt()
        deadline = time.monotonic() + 30
        while (found := resident_kib(machine.process.pid)) > limit_kib \
                and time.monotonic() < deadline:
            time.sleep(0.1)
        ok(found <= limit_kib, "an idle Linux leaves less than 12 MiB beyond its own memory",
           f"{found} KiB are resident")


check_given_back()
check_small(1024)
done()
