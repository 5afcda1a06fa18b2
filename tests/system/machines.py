#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Boots on different machines: memory sizes, CPU counts, boards, kernels. Each boot runs a script that
prints what the guest sees, and must end by itself with a clean kernel log."""

import re

from yadotest import EXIT_LINE, Machine, attempt, dmesg_trouble, done, kvm_problem, ok, skip

SCRIPT = """
awk '/^MemTotal/ { print "memory-kib", $2 }' /proc/meminfo
echo cpus $(grep -c ^processor /proc/cpuinfo)
n=0; for i in $(seq 200); do n=$((n + $(echo $i))); done; echo sum $n
dd if=/dev/zero bs=1M count=32 2>/dev/null | sha256sum
sleep 0.2
echo DMESG; dmesg
"""
ZEROS = "83ee47245398adee79bd9c0a8bc57b821e92aba10f5f9ade8a5d1fae4d8c4302"  # SHA-256 of 32 MiB

# name, options, kernel, memory in MiB, CPUs
BOOTS = [
    ("256 MiB", ["-m", "256"], "vmlinuz", 256, 1),
    ("8 GiB", ["-m", "8G"], "vmlinuz", 8192, 1),
    ("-m size=3584M, below the hole", ["-m", "size=3584M"], "vmlinuz", 3584, 1),
    ("two CPUs", ["-m", "512M", "-smp", "2"], "vmlinuz", 512, 2),
    ("four CPUs on two threads", ["-m", "512M", "-smp", "cpus=4"], "vmlinuz", 512, 4),
    ("microvm", ["-m", "512M", "-M", "microvm"], "vmlinuz", 512, 1),
    ("microvm, two CPUs", ["-m", "512M", "-M", "microvm", "-smp", "2"], "vmlinuz", 512, 2),
    ("qemu64", ["-m", "512M", "-cpu", "qemu64"], "vmlinuz", 512, 1),
    ("the full kernel", ["-m", "1G"], "vmlinuz-full", 1024, 1),
    ("the full kernel, 256 MiB", ["-m", "256M"], "vmlinuz-full", 256, 1),
    ("the full kernel, 8 GiB, two CPUs", ["-m", "8192M", "-smp", "2"], "vmlinuz-full", 8192, 2),
]


# On KVM too, where there is one.
KVM_BOOTS = [
    ("KVM", ["-accel", "kvm", "-m", "512M"], "vmlinuz", 512, 1),
    ("KVM, 8 GiB, two CPUs", ["-accel", "kvm", "-m", "8G", "-smp", "2"], "vmlinuz", 8192, 2),
    ("KVM, microvm", ["-accel", "kvm", "-m", "512M", "-M", "microvm"], "vmlinuz", 512, 1),
    ("KVM, the full kernel", ["-accel", "kvm", "-m", "1G"], "vmlinuz-full", 1024, 1),
]


def boot(name, options, kernel, memory_mib, cpus):
    if "-cpu" not in options:
        options = ["-cpu", "max", *options]
    with Machine(options, script=SCRIPT, kernel=kernel, timeout=90) as machine:
        status = machine.wait()
        text = machine.text()
        if not ok(status == 0 and machine.script_status() == 0, f"{name}: boots and powers off",
                  f"status {status}\n{text[-3000:]}"):
            return
        seen = re.search(r"memory-kib (\d+)", text)
        seen_mib = int(seen[1]) / 1024 if seen else 0
        ok(memory_mib * 0.75 - 50 < seen_mib <= memory_mib, f"{name}: the guest sees its memory",
           f"{seen_mib:.0f} of {memory_mib} MiB")
        ok(f"\ncpus {cpus}\n" in text, f"{name}: the guest sees {cpus} CPUs",
           re.findall(r"\ncpus.*", text))
        ok("\nsum 20100\n" in text and f"\n{ZEROS}  -\n" in text, f"{name}: it computes right",
           text.partition("DMESG")[0][-500:])
        log = text.partition("\nDMESG\n")[2]
        log = log[:EXIT_LINE.search(log).start()]
        trouble = dmesg_trouble(log)
        ok(len(log) > 1000 and not trouble, f"{name}: the kernel's log tells of no trouble",
           "\n".join(trouble))


for row in BOOTS:
    attempt(row[0], boot, *row)
for row in KVM_BOOTS:
    if kvm_problem():
        skip(row[0], kvm_problem())
    else:
        attempt(row[0], boot, *row)
done()
