#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Debian boots from its disk as on a PC: firmware, GRUB, kernel, systemd; from each kind of disk."""

import os
import subprocess
import tempfile

from yadotest import (BUILD, ENGINE, GUEST, SYSTEM, YADO, Machine, attempt, dmesg_trouble, done,
                      guest_file, ok)

BOOT_S = 150
# Where the disk is, the name Linux gives it, and what there is besides.
DISKS = {
    "IDE": (["-drive", "file={},format=raw"], "/dev/sda3"),
    "SATA of q35": (["-M", "q35", "-drive", "file={},format=raw"], "/dev/sda3"),
    "NVMe": (["-drive", "if=none,id=d,file={},format=raw", "-device", "nvme,drive=d,serial=test"],
             "/dev/nvme0n1p3"),
    "virtio": (["-M", "q35", "-drive", "if=virtio,file={},format=raw"], "/dev/vda3"),
}


def start(options, **more):
    return Machine(program=[SYSTEM, "-nographic", "-no-reboot", "-accel", ENGINE, "-m", "512M",
                            *options], kernel=None, timeout=BOOT_S, **more)


def check_system(machine, name, root):
    machine.wait_prompt(BOOT_S)
    ok("GRUB" in machine.text(), f"{name}: GRUB's text is on the serial line", machine.text())
    found = machine.command("findmnt -no SOURCE /").strip()
    ok(found == root, f"{name}: the root file system is on {root}", found)
    machine.command("systemctl is-system-running --wait >/dev/null", BOOT_S)
    failed = machine.command("systemctl --failed --no-legend --plain | cat").strip()
    ok(not failed, f"{name}: no unit failed", failed)
    wrong = dmesg_trouble(machine.command("dmesg"))
    ok(not wrong, f"{name}: the kernel has nothing to complain of", "\n".join(wrong))


def boot_from(name, disk):
    options, root = DISKS[name]
    with start([option.format(disk) for option in options]) as machine:
        check_system(machine, name, root)
        data = machine.command(f"dd if={root} bs=1M count=64 status=none | md5sum; "
                               "dd if=/dev/urandom of=/root/data bs=1M count=8 status=none; sync; "
                               "md5sum </root/data; echo 3 >/proc/sys/vm/drop_caches; "
                               "md5sum </root/data").split()
        ok(data[2] == data[4], f"{name}: what was written is read again", data)
        machine.send("poweroff\r")
        status = machine.wait(60)
        ok(status == 0, f"{name}: poweroff ends it with status 0", status)


def friendly(disk):
    with Machine(program=[YADO, "run", "--disk", disk, "--accel", ENGINE], kernel=None, timeout=BOOT_S, rows=40, columns=120) as machine:
        machine.wait_prompt(BOOT_S)
        name = machine.command("cat /etc/os-release")
        ok("bookworm" in name, "yado run --disk: a login shell of Debian 12", name)
        machine.send("poweroff\r")
        ok(machine.wait(60) == 0, "and poweroff ends it")


if not os.path.exists(os.path.join(GUEST, "debian.img")):
    print(f"1..0 # SKIP {GUEST}/debian.img is missing; scripts/prepare-disk makes it")
    raise SystemExit(0)
with tempfile.TemporaryDirectory(dir=BUILD) as folder:
    copy = os.path.join(folder, "debian.img")
    subprocess.run(["cp", "--sparse=always", guest_file("debian.img"), copy], check=True)
    for kind in DISKS:
        attempt(f"Debian boots from {kind}", boot_from, kind, copy)
    attempt("yado run --disk", friendly, copy)
done()
