#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Looking into the engine: -d categories, and the report of a crash in translated code."""

import os
import re
import signal
import subprocess
import tempfile
import time

from yadotest import PATIENCE, SYSTEM, Timeout, attempt, done, kvm_missing, ok, run, skip

FOLDER = tempfile.mkdtemp()
ENTRY = 0xf000  # offset of the code in the firmware's segment F000


def firmware(name, code):
    """A firmware image that runs `code` in real mode at F000:F000."""
    rom = bytearray(65536)
    rom[ENTRY:ENTRY + len(code)] = code
    rom[0xfff0:0xfff5] = bytes.fromhex("ea00f000f0")  # ljmp F000:F000
    path = os.path.join(FOLDER, name)
    with open(path, "wb") as file:
        file.write(rom)
    return path


# mov $0x1234,%ax; mov $7,%bx; 1: add %bx,%ax; jmp 1b
LOOP = firmware("loop", bytes.fromhex("b83412 bb0700 01d8 ebfc"))
# mov $3,%cx; 1: dec %cx; jnz 1b; mov $0x31,%al; out %al,$0xf4
COUNT = firmware("count", bytes.fromhex("b90300 49 75fd b031 e6f4"))
# xor %ax,%ax; int $3 through an empty vector table: F000:F000 again would loop, so the handler's
# address is stored first: movw $0xf010,0xc; movw $0xf000,0xe; int3; at F010: mov $1,%al; out
BREAK = firmware("break", bytes.fromhex("31c0 8ed8 c7060c0010f0 c7060e0000f0 cc") .ljust(16, b"\x90")
                 + bytes.fromhex("b001 e6f4"))
# mov $0x600,%eax; mov %eax,%cr4; mov $0xa000,%ax; mov %ax,%ds; aesenc (0),%xmm0: no device there
AESENC = firmware("aesenc", bytes.fromhex("66b800060000 0f22e0 b800a0 8ed8 660f38dc060000 f4"))


def options(image, *more, engine="bt"):
    return ["-accel", engine, "-M", "microvm", "-m", "16", "-display", "none", "-nodefaults",
            "-device", "isa-debug-exit,iobase=0xf4,iosize=4", "-bios", image, *more]


def log_of(image, *more):
    path = os.path.join(FOLDER, "log")
    status, _, errors = run(options(image, "-D", path, *more))
    with open(path, encoding="utf-8") as file:
        return status, file.read() + errors


def categories():
    _, text = log_of(COUNT, "-d", "in_asm")
    for line in ("0x000ff000:  b9 03 00                 mov      $0x3, %cx", "dec      %cx",
                 "jnz      0xf003", "out      %al, $0xf4"):
        ok(line in text, f"in_asm: {line}", text)
    ok(re.search(r"^-+\nIN: .*\n0xfffffff0:  ea ", text, re.M), "a block begins as in QEMU", text)

    _, text = log_of(COUNT, "-d", "out_asm")
    ok(re.search(r"^OUT: \[size=\d+\]\n  -- guest addr 0x00000000fffffff0\n0x", text, re.M),
       "out_asm: host code, by guest instruction", text)
    _, text = log_of(COUNT, "-d", "bt_asm")
    ok(re.search(r"^0x000ff003:  dec      %cx +\| +\d+  dec +%", text, re.M),
       "bt_asm: a guest instruction beside the host's", text)

    status, text = log_of(COUNT, "-d", "exec")
    ok(status == 0x63, "the guest runs as ever", status)
    ok(text.count("/00000000000ff003/") == 2, "exec: each time a block is executed", text)
    _, text = log_of(COUNT, "-d", "exec", "-singlestep")
    ok(text.count("/00000000000ff003/") == 3 and text.count("/00000000000ff004/") == 3,
       "-singlestep: each instruction is a block", text)
    _, text = log_of(COUNT, "-d", "exec", "-accel", "bt,one-insn-per-tb=on")
    ok(text.count("/00000000000ff004/") == 3, "one-insn-per-tb=on", text)
    _, text = log_of(COUNT, "-d", "cpu", "-singlestep")
    ok([int(value, 16) & 0xffff for value in re.findall(r"ECX=(\w+) EDX.*\nESI.*\nEIP=0000f003",
                                                        text)] == [3, 2, 1],
       "cpu: registers before each block", text)
    ok("XMM" not in text, "without vector registers")
    _, text = log_of(COUNT, "-d", "cpu,fpu")
    ok("FCW=037f" in text or "FCW=0040" in text, "fpu: with them", text[:2000])
    _, text = log_of(COUNT, "-d", "in_asm", "-dfilter", "0xff003..0xff004")
    ok("IN: physical 0x000ff003" in text and "ljmp" not in text, "-dfilter", text)
    _, text = log_of(BREAK, "-d", "int")
    ok(re.search(r"^ +0: v=03 e=0000 i=1 cpl=0 IP=f000:000000000000f010 pc=00000000000ff010 SP=0000:",
                 text, re.M), "int: vector, error code, place", text[:1000])
    _, text = log_of(COUNT, "-d", "mmu")
    ok("kernel fetch 00000000000ff000" in text, "mmu: page walks", text)
    _, text = log_of(COUNT, "-d", "cpu_reset")
    ok("CPU Reset (CPU 0)\nEAX=00000000" in text, "cpu_reset", text)
    _, text = log_of(COUNT, "-d", "page")
    ok("(prio 0, ram): " in text, "page: the map of memory", text)
    _, text = log_of(COUNT, "-d", "nochain")
    ok(not text, "nochain shows nothing by itself", text)


def mistakes():
    status, out, _ = run(["-d", "help"])
    ok(status == 0 and "in_asm " in out and "nochain " in out, "-d help", out)
    for wrong, words in ((["-d", "in_sam"], "did you mean 'in_asm'?"),
                         (["-dfilter", "0x10"], "0x8000..0x8fff"),
                         (["-dfilter", "0x10..0x5"], "is not a range"),
                         (["-D", "/tmp/%s"], "one %d"),
                         (["-D", FOLDER + "/none/log", "-d", "int"], "cannot open log file")):
        status, _, errors = run(options(COUNT, *wrong))
        ok(status == 1 and words in errors, " ".join(wrong[:2]), errors)
    path = os.path.join(FOLDER, "log-%d")
    run(options(COUNT, "-d", "in_asm", "-D", path))
    ok(any(re.fullmatch(r"log-\d+", name) for name in os.listdir(FOLDER)), "-D with %d")


def thread_of(process, name):
    folder = f"/proc/{process.pid}/task"
    end = time.monotonic() + 20 * PATIENCE
    while time.monotonic() < end:
        for thread in os.listdir(folder):
            with open(f"{folder}/{thread}/comm", encoding="utf-8") as file:
                if file.read().strip() == name:
                    return int(thread)
        time.sleep(0.02)
    raise Timeout(f"no thread is called {name}")


def cpu_seconds(process, thread):
    with open(f"/proc/{process.pid}/task/{thread}/stat", encoding="utf-8") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def crash(name, number):
    """Sends a signal to a thread while the guest counts in its loop; what the program says."""
    process = subprocess.Popen([SYSTEM, *options(LOOP)], stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        vcpu = thread_of(process, "CPU 0")
        end = time.monotonic() + 20 * PATIENCE
        while cpu_seconds(process, vcpu) < 0.1 and time.monotonic() < end:
            time.sleep(0.02)
        os.kill(vcpu if name == "CPU 0" else process.pid, number)
        _, errors = process.communicate(timeout=20 * PATIENCE)
        return process.returncode, errors.decode()
    finally:
        process.kill()
        process.wait()


def crashes():
    status, text = crash("CPU 0", signal.SIGSEGV)
    ok(status == 1, "a crash ends the program with status 1", status)
    for words in (r"internal error: SIGSEGV \(signal 11\) in translated code of CPU 0",
                  rf"it was sent by process {os.getpid()}",
                  r"Guest instruction:\n0x000ff00[68]:  (01 d8 +add +%bx, %ax|eb fc +jmp +0xf006)",
                  r"EAX=0000\w{4} EBX=00000007 ECX=", r"EIP=0000f00[68] EFL=",
                  r"Block: guest 0xff006 \(physical 0xff006\), 4 bytes, mode 0x",
                  r"^--> 0x", r"add +%bx, %ax"):
        ok(re.search(words, text, re.M), f"its report has: {words}", text)
    status, text = crash("main", signal.SIGBUS)
    ok(status == 1 and "in a thread that runs no CPU" in text and "CPU 0: last seen" in text,
       "a signal to another thread", text)
    status, text = crash("CPU 0", signal.SIGABRT)
    ok(status == 1 and "SIGABRT" in text and "EBX=00000007" in text, "an abort", text)


def kvm():
    if kvm_missing():
        skip("KVM's internal errors", kvm_missing())
        return
    status, _, errors = run(options(AESENC, engine="kvm"))
    if status is None or "Suberror" not in errors:
        skip("KVM's internal errors", "this host's KVM can do what no other can")
        return
    ok(status == 1 and "KVM internal error. Suberror: 1" in errors
       and "EIP=0000f00e EFL=" in errors and "8e d8 <66> 0f 38 dc" in errors
       and "aesenc" in errors, "KVM cannot emulate an instruction: registers and code", errors)


attempt("categories", categories)
attempt("mistakes", mistakes)
attempt("crashes", crashes)
attempt("kvm", kvm)
done()
