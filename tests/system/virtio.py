#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""virtio devices driven by Linux: disks by every transport, randomness, ports, the balloon."""

import hashlib
import os
import random
import re
import shutil
import socket
import subprocess
import tempfile
import time

from yadotest import PATIENCE, Machine, attempt, dmesg_trouble, done, initrd_with, ok, skip

FOLDER = tempfile.mkdtemp()
INITRD = initrd_with({}, modules=True)
MIB = 1 << 20
DISK_MIB = 32

LOAD = r"""
for module in $(cat /lib/yado/order); do insmod /lib/yado/$module.ko || echo "no $module"; done
"""

# name, options; the disk is node "disk", and each has to make it /dev/vda
DISKS = [
    ("virtio-mmio, legacy", ["-M", "microvm", "-device", "virtio-blk-device,drive=disk,serial=abc"]),
    ("virtio-mmio, version 2",
     ["-M", "microvm", "-global", "virtio-mmio.force-legacy=false",
      "-device", "virtio-blk-device,drive=disk,serial=abc"]),
    ("packed rings", ["-M", "microvm", "-global", "virtio-mmio.force-legacy=false",
                      "-device", "virtio-blk-device,drive=disk,serial=abc,packed=on"]),
    ("no event index, no indirect descriptors",
     ["-M", "pc", "-device",
      "virtio-blk-pci,drive=disk,serial=abc,event_idx=off,indirect_desc=off"]),
    ("PCI, two CPUs and an iothread",
     ["-M", "pc", "-smp", "2", "-object", "iothread,id=io",
      "-device", "virtio-blk-pci,drive=disk,serial=abc,iothread=io"]),
    ("PCI, transitional used as legacy",
     ["-M", "pc", "-device", "virtio-blk-pci,drive=disk,serial=abc,disable-modern=on"]),
    ("PCI, non-transitional",
     ["-M", "pc", "-device",
      '{"driver": "virtio-blk-pci-non-transitional", "drive": "disk", "serial": "abc"}']),
]

DISK_SCRIPT = LOAD + r"""
echo "serial $(cat /sys/block/vda/serial) sectors $(cat /sys/block/vda/size)"
sha256sum </dev/vda
dd if=/dev/urandom of=/tmp/data bs=1M count=8 2>/dev/null
sha256sum </tmp/data
dd if=/tmp/data of=/dev/vda bs=1M seek=4 conv=fsync 2>/dev/null
echo 3 >/proc/sys/vm/drop_caches
dd if=/dev/vda bs=1M skip=4 count=8 2>/dev/null | sha256sum
blkdiscard -o 16777216 -l 4194304 /dev/vda && echo discarded
echo "cache $(cat /sys/block/vda/queue/write_cache)"
dmesg
"""


def make_disk():
    path = os.path.join(FOLDER, "disk")
    data = random.Random(7).randbytes(DISK_MIB * MIB)
    with open(path, "wb") as file:
        file.write(data)
    return path, data


def disk(name, options):
    path, data = make_disk()
    with Machine(["-m", "256M", "-blockdev",
                  f"driver=file,filename={path},node-name=disk,discard=unmap", *options],
                 initrd=INITRD, script=DISK_SCRIPT) as machine:
        status = machine.wait()
        text = machine.text()
    sums = re.findall(r"^([0-9a-f]{64})  -", text, re.MULTILINE)
    good = ok(status == 0 and machine.script_status() == 0 and len(sums) == 3,
              f"{name}: Linux uses the disk", text[-3000:])
    if not good:
        return
    ok(f"serial abc sectors {DISK_MIB * MIB // 512}" in text and "cache write back" in text,
       f"{name}: its serial number, size and cache", text[:1500])
    ok(sums[0] == hashlib.sha256(data).hexdigest(), f"{name}: it reads what is in the image")
    with open(path, "rb") as file:
        after = file.read()
    written = after[4 * MIB:12 * MIB]
    ok(sums[1] == sums[2] == hashlib.sha256(written).hexdigest(),
       f"{name}: what it wrote is there, for it and in the image")
    ok(after[:4 * MIB] == data[:4 * MIB] and after[12 * MIB:16 * MIB] == data[12 * MIB:16 * MIB]
       and after[20 * MIB:] == data[20 * MIB:], f"{name}: and nothing else has changed")
    ok("discarded" in text and not any(after[16 * MIB:20 * MIB]),
       f"{name}: what was discarded is gone")
    trouble = dmesg_trouble(text)
    ok(not trouble, f"{name}: the kernel's log tells of no trouble", "\n".join(trouble))


def file_system():
    if not shutil.which("mkfs.ext4"):
        skip("ext4", "mkfs.ext4 is not installed")
        return
    path = os.path.join(FOLDER, "ext4")
    with open(path, "wb") as file:
        file.truncate(64 * MIB)
    subprocess.run(["mkfs.ext4", "-q", "-F", path], check=True)
    script = LOAD + r"""
    mkdir /mnt
    mount -t ext4 -o discard /dev/vda /mnt
    dd if=/dev/urandom of=/mnt/file bs=1M count=20 2>/dev/null
    sha256sum </mnt/file
    umount /mnt
    mount -t ext4 /dev/vda /mnt
    sha256sum </mnt/file
    umount /mnt
    """
    with Machine(["-m", "256M", "-M", "pc", "-drive", f"file={path},format=raw,if=virtio"],
                 initrd=INITRD, script=script) as machine:
        machine.wait()
        sums = re.findall(r"^([0-9a-f]{64})  -", machine.text(), re.MULTILINE)
    ok(machine.script_status() == 0 and len(sums) == 2 and sums[0] == sums[1],
       "-drive if=virtio: a file survives unmounting", machine.text()[-2000:])
    checked = subprocess.run(["e2fsck", "-fn", path], capture_output=True, text=True, check=False)
    ok(checked.returncode == 0, "and the file system is clean", checked.stdout)


def randomness():
    script = LOAD + r"""
    cat /sys/class/misc/hw_random/rng_current
    dd if=/dev/hwrng bs=1k count=4 2>/dev/null | sha256sum
    """
    for source in (["-device", "virtio-rng-pci"],
                   ["-object", "rng-random,id=r,filename=/dev/zero",
                    "-device", "virtio-rng-pci,rng=r,max-bytes=4096,period=100"]):
        with Machine(["-m", "256M", "-M", "pc", *source], initrd=INITRD, script=script) as machine:
            machine.wait()
            text = machine.text()
        zeroes = hashlib.sha256(bytes(4096)).hexdigest()
        ok("virtio_rng.0" in text and re.search(r"^[0-9a-f]{64}  -", text, re.MULTILINE)
           and (zeroes in text) == ("/dev/zero" in str(source)), " ".join(source), text[-1500:])


def connect(path):
    end = time.monotonic() + 20 * PATIENCE
    while True:
        try:
            link = socket.socket(socket.AF_UNIX)
            link.connect(path)
            link.settimeout(30 * PATIENCE)
            return link
        except OSError:
            link.close()
            if time.monotonic() > end:
                raise
            time.sleep(0.05)


PORTS_SCRIPT = LOAD + r"""
for port in /sys/class/virtio-ports/*; do
    [ "$(cat $port/name 2>/dev/null)" != org.yado.test ] || device=/dev/$(basename $port)
done
echo said on hvc0 >/dev/hvc0
exec 3<>$device
echo from the guest >&3
read -r line <&3
echo "from the host: $line"
head -c 1048576 /dev/zero | tr '\0' x >&3
echo . >&3
"""


def ports():
    path = os.path.join(FOLDER, "port")
    console = os.path.join(FOLDER, "console")
    for name, options in (
            ("PCI", ["-M", "pc", "-device", "virtio-serial-pci,id=vs"]),
            ("mmio", ["-M", "microvm", "-device", "virtio-serial-device,id=vs"])):
        with Machine(["-m", "256M", *options,
                      "-chardev", f"file,id=c0,path={console}", "-device", "virtconsole,chardev=c0",
                      "-chardev", f"socket,id=c1,path={path},server=on,wait=off",
                      "-device", "virtserialport,bus=vs.0,nr=3,chardev=c1,name=org.yado.test"],
                     initrd=INITRD, script=PORTS_SCRIPT) as machine:
            link = connect(path)
            stream = link.makefile("rb")
            ok(stream.readline() == b"from the guest\n", f"{name}: a port by its name, to the host")
            link.sendall(b"hello port\n")
            bulk = stream.readline()
            ok(bulk == b"x" * MIB + b".\n", f"{name}: a mebibyte arrives", f"{len(bulk)} bytes")
            machine.wait()
            link.close()
            ok("from the host: hello port" in machine.text(), f"{name}: and to the guest",
               machine.text()[-1500:])
        with open(console, "rb") as file:
            ok(b"said on hvc0" in file.read(), f"{name}: a console")


def resident_kib(machine):
    with open(f"/proc/{machine.process.pid}/status", encoding="ascii") as file:
        return int(re.search(r"RssShmem:\s+(\d+)", file.read())[1])


FILL_SCRIPT = LOAD + r"""
mkdir /fill
mount -t tmpfs none /fill
dd if=/dev/zero of=/fill/x bs=1M count=200 2>/dev/null
echo filled
read -r line
rm /fill/x
echo 3 >/proc/sys/vm/drop_caches
echo emptied
read -r line
free -m
"""


def wait_for(condition, seconds):
    end = time.monotonic() + seconds * PATIENCE
    while not condition() and time.monotonic() < end:
        time.sleep(0.1)
    return condition()


def balloon():
    path = os.path.join(FOLDER, "monitor")
    with Machine(["-m", "512M", "-M", "pc", "-device", "virtio-balloon-pci",
                  "-monitor", f"unix:{path},server=on,wait=off"],
                 initrd=INITRD, script=FILL_SCRIPT) as machine:
        monitor = connect(path)
        machine.expect("filled")
        machine.send("\r")
        machine.expect("emptied")
        full = resident_kib(machine)
        monitor.sendall(b"balloon 128\n")
        fell = wait_for(lambda: resident_kib(machine) < full - 150 * 1024, 20)
        ok(fell, "the balloon gives memory back to the host",
           f"{full} KiB resident before, {resident_kib(machine)} KiB after")
        monitor.sendall(b"info balloon\n")
        text = b""
        while b"actual=128" not in text and wait_for(lambda: True, 1):
            more = monitor.recv(4096)
            text += more
            if b"actual=" in text and b"actual=128" not in text:
                time.sleep(0.1)
                monitor.sendall(b"info balloon\n")
        ok(b"actual=128" in text, "info balloon tells when the target is reached")
        monitor.sendall(b"balloon 512\n")
        machine.send("\r")
        machine.wait()
        monitor.close()


def reporting():
    with Machine(["-m", "512M", "-M", "pc", "-device", "virtio-balloon-pci,free-page-reporting=on"],
                 initrd=INITRD, script=FILL_SCRIPT) as machine:
        machine.expect("filled")
        full = resident_kib(machine)
        machine.send("\r")
        machine.expect("emptied")
        fell = wait_for(lambda: resident_kib(machine) < full - 150 * 1024, 30)
        ok(fell, "free page reporting gives memory back to the host",
           f"{full} KiB resident before, {resident_kib(machine)} KiB after")
        machine.send("\r")
        machine.wait()


for disk_name, disk_options in DISKS:
    attempt(disk_name, disk, disk_name, disk_options)
attempt("ext4", file_system)
attempt("randomness", randomness)
attempt("ports", ports)
attempt("balloon", balloon)
attempt("free page reporting", reporting)
shutil.rmtree(FOLDER, ignore_errors=True)
done()
