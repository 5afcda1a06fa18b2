#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Firmware: SeaBIOS starts by default on both engines, shows its screen on the serial line, and hears
what it is told with -boot and -fw_cfg; what is wrong with these is said in one sentence."""

import os
import shutil
import tempfile

from yadotest import ENGINE, Machine, attempt, done, kvm_missing, ok, run, skip

SEABIOS = "/usr/share/seabios/bios-256k.bin"
GRUB = "/usr/lib/grub-rescue/grub-rescue-cdrom.iso"
OVMF = "/usr/share/OVMF/OVMF_CODE_4M.fd"
FOLDER = tempfile.mkdtemp()


def made(name, content):
    path = os.path.join(FOLDER, name)
    with open(path, "wb") as file:
        file.write(content)
    return path


def debug_console(name):
    path = os.path.join(FOLDER, name)
    return path, ["-chardev", f"file,id=debug,path={path}", "-device",
                  "isa-debugcon,iobase=0x402,chardev=debug"]


def seabios(engine):
    path, options = debug_console("debug-" + engine)
    with Machine(["-accel", engine, *options], kernel=None) as machine:
        machine.expect(r"SeaBIOS \(version")
        machine.expect("Booting from")
        machine.expect("No bootable device")
        with open(path, encoding="utf-8", errors="replace") as file:
            log = file.read()
        ok(True, f"{engine}: SeaBIOS looks for something to boot, seen on the serial line")
        ok("Found 1 cpu(s)" in log and "e820 map" in log,
           f"{engine}: its log is on the debug console", log)


def menu():
    with Machine(["-boot", "menu=on,splash-time=60000"], kernel=None) as machine:
        machine.expect("Press ESC for boot menu")
        ok(True, "-boot menu=on: SeaBIOS offers its menu")


def boot_order():
    path, options = debug_console("order")
    disks = []
    for index, name in ((7, "a"), (5, "b")):
        disks += ["-drive", f"if=none,id={name},format=raw,file=" + made(name, bytes(1 << 20)),
                  "-device", f"virtio-blk-pci,drive={name},addr={index},bootindex={index}"]
    with Machine([*options, *disks, "-boot", "strict=on"], kernel=None) as machine:
        machine.expect("No bootable device")
    with open(path, encoding="utf-8", errors="replace") as file:
        log = file.read()
    lines = [line.partition(" ")[2] for line in log.splitlines() if "/pci@i0cf8/scsi" in line]
    ok(lines == ["/pci@i0cf8/scsi@5/disk@0,0", "/pci@i0cf8/scsi@7/disk@0,0"],
       "bootindex: SeaBIOS is given paths in their order", log)
    refused("a bootindex given twice", [word.replace("bootindex=5", "bootindex=7")
                                        for word in disks], ["bootindex 7"])


def smbios():
    uuid = "12345678-1234-1234-1234-123456789abc"
    script = "cd /sys/class/dmi/id; cat product_uuid product_serial sys_vendor; dmesg | grep SMBIOS"
    with Machine(["-uuid", uuid, "-smbios", "type=1,serial=S-1"], script=script) as machine:
        machine.wait(30)
        text = machine.text()
    ok(uuid in text and "S-1" in text and "QEMU" in text and "SMBIOS 2.8" in text,
       "-smbios and -uuid: Linux finds them", text)
    refused("an unknown field of -smbios", ["-smbios", "type=1,serail=x"], ["'serail'", "'serial'"])
    refused("an unknown type of -smbios", ["-smbios", "type=5"], ["type 5"])
    refused("a UUID that is none", ["-smbios", "type=1,uuid=5"], ["uuid=5"])


def ovmf():
    variables = os.path.join(FOLDER, "variables")
    shutil.copy("/usr/share/OVMF/OVMF_VARS_4M.fd", variables)
    for machine_type in ("q35", "pc"):
        with Machine(["-M", machine_type, "-m", "256M", "-drive",
                      "if=pflash,unit=0,format=raw,readonly=on,file=" + OVMF, "-drive",
                      "if=pflash,unit=1,format=raw,file=" + variables], kernel=None,
                     timeout=120) as machine:
            machine.expect("Shell>")
            ok(True, f"OVMF in flash memory gets to its shell on {machine_type}")
    with open(variables, "rb") as file, open("/usr/share/OVMF/OVMF_VARS_4M.fd", "rb") as original:
        ok(file.read() != original.read(), "and keeps its variables in the file")


def secure_boot():
    """With Microsoft's keys: what is not signed does not start. Variables are kept by code in SMM."""
    variables = os.path.join(FOLDER, "secure-variables.fd")
    shutil.copy("/usr/share/OVMF/OVMF_VARS_4M.ms.fd", variables)
    with Machine(["-accel", "bt", "-M", "q35,smm=on", "-m", "256M", "-global",
                  "driver=cfi.pflash01,property=secure,value=on", "-drive",
                  "if=pflash,unit=0,format=raw,readonly=on,file="
                  "/usr/share/OVMF/OVMF_CODE_4M.secboot.fd", "-drive",
                  "if=pflash,unit=1,format=raw,file=" + variables], kernel=None,
                 timeout=180) as machine:
        machine.expect("Security Violation")
        ok(True, "OVMF with Secure Boot refuses its shell, which is not signed")
        machine.expect("Press any key to enter the Boot Manager Menu")
        ok(True, "and offers its boot manager")


def grub():
    with Machine(["-drive", f"if=none,id=x,file={GRUB},format=raw,readonly=on", "-device",
                  "virtio-blk-pci,drive=x"], kernel=None) as machine:
        machine.expect("GNU GRUB")
        machine.expect("highlighted entry")
        ok(True, "GRUB's rescue disk shows its menu on the serial line")


def refused(name, options, words):
    status, _, err = run(["-nographic", "-accel", ENGINE, *options])
    ok(status == 1 and all(word in err for word in words) and len(err.splitlines()) == 1, name, err)


def bad_options():
    refused("a boot device that does not exist", ["-boot", "order=cx"], ["'x'", "'a' to 'p'"])
    refused("a boot device given twice", ["-boot", "order=cc"], ["'c'", "twice"])
    refused("an unknown option of -boot", ["-boot", "ordre=c"], ["'ordre'", "'order'"])
    refused("firmware that is not installed", ["-bios", "OVMF_NONE.fd"],
            ["'OVMF_NONE.fd'", "package 'ovmf'"])
    refused("a -fw_cfg file that is missing", ["-fw_cfg", "opt/x,file=/nonexistent/x"],
            ["-fw_cfg", "/nonexistent/x"])
    refused("a -fw_cfg without contents", ["-fw_cfg", "name=opt/x"], ["file= or string="])
    refused("a -fw_cfg with two contents", ["-fw_cfg", "name=opt/x,file=/x,string=y"], ["both"])
    refused("a -fw_cfg name that is too long", ["-fw_cfg", f"name=opt/{'x' * 60},string=y"],
            ["too long", "55"])
    refused("a splash that is no picture", ["-boot", "splash=" + made("splash", b"text" * 50)],
            ["splash", "JPEG"])


def folders():
    made("bios-256k.bin", b"abc")
    refused("-L: its folder comes first, and firmware of three bytes is refused",
            ["-L", FOLDER], [FOLDER + "/bios-256k.bin", "3 bytes"])
    _, out, _ = run(["-L", FOLDER, "-L", "help"])
    ok(out.splitlines()[0] == FOLDER and "/usr/share/seabios" in out, "-L help lists folders", out)


bad_options()
attempt("SMBIOS", smbios)
if os.path.exists(OVMF):
    attempt("OVMF", ovmf)
    attempt("Secure Boot", secure_boot)
else:
    skip("OVMF", "package ovmf is not installed")
if os.path.exists(SEABIOS):
    attempt("SeaBIOS on " + ENGINE, seabios, ENGINE)
    if kvm_missing():
        skip("SeaBIOS on kvm", kvm_missing())
    else:
        attempt("SeaBIOS on kvm", seabios, "kvm")
    attempt("the boot menu", menu)
    folders()
    attempt("bootindex", boot_order)
    if os.path.exists(GRUB):
        attempt("GRUB", grub)
    else:
        skip("GRUB", "package grub-rescue-pc is not installed")
else:
    skip("SeaBIOS", "package seabios is not installed")
done()
