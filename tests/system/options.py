#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What the options of qemu-system-x86_64 print and do."""

import os
import re
import signal
import tempfile
import time

from yadotest import (PATIENCE, Machine, Timeout, attempt, done, guest_file, kvm_missing,
                      kvm_problem, ok, portio_initrd, run, skip)

FOLDER = tempfile.mkdtemp()

PRINTS = [
    # options, regular expressions standard output must match
    (["-version"], [r"version \d+\.\d+"]),
    (["--version"], [r"version \d+\.\d+"]),
    (["-h"], [r"-machine", r"-kernel", r"-append", r"-serial", r"-smp", r"-device", r"-daemonize"]),
    (["-help"], [r"-machine"]),
    (["--help"], [r"-machine"]),
    (["-accel", "help"], [r"^kvm", r"^bt", r"tcg"]),
    (["-accel", "?"], [r"^bt"]),
    (["-M", "help"], [r"^microvm", r"^pc"]),
    (["-machine", "help"], [r"^microvm", r"^pc"]),
    (["-cpu", "help"], [r"\bhost\b", r"\bmax\b", r"\bqemu64\b"]),
    (["-device", "help"], [r"isa-debug-exit", r"isa-debugcon"]),
    (["-device", "isa-debug-exit,help"], [r"iobase", r"iosize"]),
    (["-object", "help"], [r"^  iothread$", r"^  rng-random$"]),
    (["-object", "iothread,help"], [r"poll-max-ns=<int>"]),
    (["-device", "virtio-blk-device,help"], [r"  drive=<str>", r"  num-queues=<uint16>"]),
    (["-chardev", "help"], [r"socket", r"file", r"pty", r"null", r"stdio"]),
    (["-d", "help"], [r"guest_errors", r"in_asm", r"\bint\b"]),
]


def prints():
    for options, patterns in PRINTS:
        status, out, err = run(options)
        missing = [p for p in patterns if not re.search(p, out, re.MULTILINE)]
        ok(status == 0 and not missing and not err, " ".join(options),
           f"status {status}, missing {missing}\n{out[-1500:]}{err}")


def boot_with(options, name, script="echo hello", append="console=ttyS0 quiet", expected=None):
    with Machine(["-m", "256M", *options], script=script, append=append) as machine:
        status = machine.wait()
        text = machine.text()
        ok(status == 0 and machine.script_status() == 0
           and (not expected or re.search(expected, text)), name, f"status {status}\n{text[-2000:]}")
        return text


def engines():
    boot_with(["-accel", "bt"], "-accel bt")
    boot_with(["-accel", "tcg"], "-accel tcg is another name of it")
    boot_with(["-machine", "pc,accel=bt"], "-machine pc,accel=bt")
    text = boot_with(["-accel", "kvm", "-accel", "bt"], "-accel kvm -accel bt")
    lines = [line for line in text.splitlines() if re.search(r"\b(kvm|bt)\b", line, re.IGNORECASE)]
    ok(len(lines) == 1, "one line says which engine runs and why", text[-1500:])
    boot_with(["-M", "pc,accel=kvm:bt"], "-M pc,accel=kvm:bt falls back in order")
    if kvm_missing():
        for options in (["-accel", "kvm"], ["-enable-kvm"], ["-machine", "accel=kvm"]):
            status, _, err = run(["-display", "none", "-serial", "null", *options,
                                  "-kernel", guest_file("vmlinuz")])
            ok(status == 1 and len(err.splitlines()) == 1 and "/dev/kvm" in err,
               f"{' '.join(options)} does not fall back but says why", f"status {status}\n{err}")
    else:
        for options in (["-accel", "kvm"], ["-enable-kvm", "-smp", "2"]):
            if kvm_problem():
                skip(" ".join(options), kvm_problem())
            else:
                boot_with(options, " ".join(options))
        skip("-accel kvm where KVM cannot be used", "/dev/kvm can be opened here")


def identity():
    boot_with(["-name", "guest=lodger", "-uuid", "12345678-1234-5678-9abc-123456789abc"],
              "-name and -uuid are accepted")
    boot_with(["-cpu", "max,-avx"], "-cpu max,-avx hides AVX",
              script="! grep -qw avx /proc/cpuinfo")
    boot_with(["-cpu", "qemu64,+aes"], "-cpu qemu64,+aes shows AES, if the host has it",
              script="grep -qw aes /proc/cpuinfo"
              if "aes" in open("/proc/cpuinfo", encoding="utf-8").read().split() else "true")
    boot_with(["-smp", "2,sockets=1,cores=2,threads=1"], "-smp with a topology",
              script="[ $(grep -c ^processor /proc/cpuinfo) = 2 ]")


def pidfile():
    path = os.path.join(FOLDER, "pid")
    with Machine(["-m", "256M", "-pidfile", path], script="echo ready; sleep 100") as machine:
        machine.expect("ready")
        written = open(path, encoding="utf-8").read().strip()
        ok(written == str(machine.process.pid), "-pidfile holds the process's id", written)
        machine.process.terminate()
        ok(machine.wait(timeout=10) == 0 and not os.path.exists(path), "and is removed at the end")


def daemon():
    path, log = os.path.join(FOLDER, "daemon.pid"), os.path.join(FOLDER, "daemon.log")
    status, out, err = run(
        ["-display", "none", "-daemonize", "-pidfile", path, "-serial", f"file:{log}", "-m", "256M",
         "-no-reboot", "-kernel", guest_file("vmlinuz"), "-initrd", guest_file("initrd.gz"),
         "-append", "console=ttyS0 quiet"])
    if not ok(status == 0, "-daemonize returns with status 0", f"status {status}\n{out}{err}"):
        return
    pid = int(open(path, encoding="utf-8").read())
    end = time.monotonic() + 60 * PATIENCE
    while time.monotonic() < end and "Yado" not in open(log, encoding="utf-8",
                                                       errors="replace").read():
        time.sleep(0.2)
    ok("Yado" in open(log, encoding="utf-8", errors="replace").read(),
       "the machine runs on in the background")
    os.kill(pid, signal.SIGTERM)
    while time.monotonic() < end and os.path.exists(path):
        time.sleep(0.05)
    ok(not os.path.exists(path), "and ends on SIGTERM")
    status, _, err = run(["-display", "none", "-daemonize", "-serial", "null", "-kernel",
                          "/nonexistent/kernel"])
    ok(status == 1 and "/nonexistent/kernel" in err, "-daemonize reports what fails before",
       f"status {status}\n{err}")


def stopped():
    with Machine(["-m", "256M", "-S"], script="exit 0") as machine:
        try:
            machine.expect("yado-exit", timeout=3)
            ok(False, "-S starts stopped", machine.text())
        except Timeout:
            ok(True, "-S starts stopped")
        machine.send("\x01ccont\r")
        ok(machine.wait() == 0 and machine.script_status() == 0, "cont in the monitor starts it",
           machine.text()[-1500:])


def logging():
    path = os.path.join(FOLDER, "log")
    boot_with(["-d", "cpu_reset,guest_errors", "-D", path], "-d and -D")
    ok(os.path.exists(path), "the log file exists")


def timing():
    text = boot_with(["-timing"], "-timing")
    phases = [word for word in ("process", "devices", "kernel", "user") if word in text.lower()]
    ok(len(phases) == 4, "prints the phases of the start", text[-1500:])


def debugcon():
    path = os.path.join(FOLDER, "debugcon")
    with Machine(["-m", "256M", "-chardev", f"file,id=debug,path={path}", "-device",
                  "isa-debugcon,iobase=0x402,chardev=debug"], initrd=portio_initrd(),
                 script="portio 0x402 72; portio 0x402 105; portio 0x402") as machine:
        status = machine.wait()
        ok(status == 0 and open(path, encoding="utf-8").read() == "Hi", "isa-debugcon writes",
           machine.text()[-1000:])
        ok("0xe9" in machine.text(), "and reads 0xe9")


for part in (prints, engines, identity, pidfile, daemon, stopped, logging, timing, debugcon):
    attempt(part.__name__, part)
done()
