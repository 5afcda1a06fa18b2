#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""PCI as Linux sees it on pc and q35, started directly and by firmware's hand: devices, bridges, ports,
interrupts, topology of CPUs, clocks; and what is said about wrong -device."""

import re

from yadotest import Machine, attempt, dmesg_trouble, done, ok, portio_initrd, run

SCRIPT = """
for d in /sys/bus/pci/devices/*; do
    echo dev ${d##*/0000:} $(cat $d/vendor $d/device $d/class)
    for r in 0 1 2 3 4 5; do
        [ -s $d/resource ] && sed -n "$((r + 1))s/^/res ${d##*/0000:} $r /p" $d/resource
    done
done
cat /sys/devices/system/clocksource/clocksource0/available_clocksource
grep -E 'MSI|acpi' /proc/interrupts
for c in /sys/devices/system/cpu/cpu[0-9]*; do
    echo cpu ${c##*/cpu} $(cat $c/topology/physical_package_id $c/topology/core_id \\
        $c/topology/thread_siblings_list)
done
echo DMESG; dmesg
"""

PC = {"00:00.0": "0x8086 0x1237", "00:01.0": "0x8086 0x7000", "00:01.3": "0x8086 0x7113"}
Q35 = {"00:00.0": "0x8086 0x29c0", "00:1f.0": "0x8086 0x2918", "00:1f.3": "0x8086 0x2930"}


def guest(options):
    with Machine(["-m", "256M", "-cpu", "max", *options], script=SCRIPT, timeout=120) as machine:
        status = machine.wait()
        text = machine.text().replace("\r", "")
    return status, text, dict(re.findall(r"^dev (\S+) (\S+ \S+) ", text, re.M))


def check(name, options, expected):
    status, text, devices = guest(options)
    ok(status == 0 and expected.items() <= devices.items(), f"{name}: its devices",
       f"{devices}\n{text[-1500:]}")
    trouble = dmesg_trouble(text.partition("\nDMESG\n")[2])
    ok(not trouble, f"{name}: the kernel's log tells of no trouble", "\n".join(trouble))
    return text


def boards():
    text = check("pc", ["-device", "pci-bridge,id=br,chassis_nr=1,addr=7",
                        "-device", "pvpanic-pci,bus=br,addr=3", "-device", "pci-testdev,addr=8.0",
                        "-smp", "6,sockets=2,cores=3"],
                 PC | {"00:07.0": "0x1b36 0x0001", "01:03.0": "0x1b36 0x0011",
                       "00:08.0": "0x1b36 0x0005"})
    ok("hpet" in text, "pc: an HPET")
    ok("res 01:03.0 0 0x" in text and "res 01:03.0 0 0x0000000000000000" not in text,
       "pc: a BAR behind a bridge has an address")
    ok(re.findall(r"^cpu (\d) (\d) \d (\S+)", text, re.M)
       == [("0", "0", "0"), ("1", "0", "1"), ("2", "0", "2"), ("3", "1", "3"), ("4", "1", "4"),
           ("5", "1", "5")], "-smp: two sockets of three cores", re.findall("^cpu.*", text, re.M))

    switch = ["-device", "pcie-root-port,id=rp1,chassis=1",
              "-device", "pci-testdev,bus=rp1,membar=64M",
              "-device", "pcie-root-port,id=rp2,chassis=2", "-device", "pcie-pci-bridge,id=pp,bus=rp2",
              "-device", "pvpanic-pci,bus=pp,addr=3",
              "-device", "ioh3420,id=sw,chassis=5", "-device", "x3130-upstream,id=up,bus=sw",
              "-device", "xio3130-downstream,id=dn,bus=up,chassis=6",
              "-device", '{"driver":"i6300esb","bus":"dn","id":"dog"}']
    text = check("q35", [*switch, "-M", "pc-q35-7.2", "-vga", "none"],
                 Q35 | {"00:01.0": "0x1b36 0x000c", "01:00.0": "0x1b36 0x0005",
                        "03:03.0": "0x1b36 0x0011", "06:00.0": "0x8086 0x25ab"})
    ok("PCI: MMCONFIG" in text or "ECAM" in text, "q35: configuration space in memory")
    ok(re.search(r"PCI-MSI.*PCIe", text), "q35: ports interrupt by MSI",
       re.findall(".*MSI.*", text)[:3])
    check("pc without HPET", ["-M", "pc,hpet=off"], PC)
    check("4 GiB and more", ["-M", "q35", "-m", "5G"], Q35)


def refused():
    for options, words in (
            (["-device", "pvpanic-pcj"], ["not a valid device model name", "'pvpanic-pci'"]),
            (["-device", "pvpanic-pci,bus=pci.1"], ["Bus 'pci.1' not found", "'pci.0'"]),
            (["-device", "pvpanic-pci,bus=isa.0"], ["can't go on ISA bus"]),
            (["-device", "pvpanic-pci,addr=40"], ["pvpanic-pci.addr", "1f"]),
            (["-device", "pvpanic-pci,addr=1"], ["slot 1 function 0 not available", "PIIX3"]),
            (["-device", "pvpanic-pci,adr=5"], ["'pvpanic-pci.adr' not found", "'addr'"]),
            (["-device", "pvpanic-pci,id=a", "-device", "pvpanic-pci,id=a"], ["Duplicate ID 'a'"]),
            (["-device", "pvpanic-pci,addr=5.1", "-device", "pvpanic-pci,addr=5.0"],
             ["single function"]),
            (["-device", "i440FX"], ["pluggable device type"]),
            (["-device", "pcie-root-port"], ["express bus"]),
            (["-M", "microvm", "-device", "pvpanic-pci"], ["No 'PCI' bus found"]),
            (["-M", "q35", "-device", "pcie-root-port,id=r", "-device", "pvpanic-pci,bus=r,addr=1"],
             ["only allows plugging into slot 0"]),
            (["-M", "q35", "-device", "pcie-root-port", "-device", "pcie-root-port"],
             ["chassis 0 slot 0"]),
            (["-device", '{"driver":"pvpanic-pci","events":9}'], ["pvpanic-pci.events"]),
            (["-device", '{"driver":"pvpanic-pci"'], ["JSON"]),
            (["-global", "PIIX3.nothing=1"], ["'PIIX3.nothing' not found"]),
            (["-set", "device.a.addr=3"], ['no device "a"'])):
        status, _, errors = run(["-accel", "bt", "-display", "none", *options])
        ok(status == 1 and all(word in errors for word in words)
           and len(errors.splitlines()) == 1, " ".join(options), errors)


def panic():
    for action, status in (("exit-failure", 1), ("shutdown", 0)):
        with Machine(["-device", "pvpanic", "-action", f"panic={action}"], initrd=portio_initrd(),
                     script="portio 0x505 1; sleep 5; echo still here") as machine:
            ok(machine.wait() == status and "still here" not in machine.text(),
               f"a panic, and -action panic={action}", machine.text()[-1500:])


attempt("boards", boards)
attempt("refused", refused)
attempt("panic", panic)
done()
