# SPDX-License-Identifier: GPL-2.0-or-later
"""The measurements: workloads natively and in a guest, start, boot, and resident memory."""

import os
import re
import statistics
import subprocess
import time

from engines import Machine
from guest import BenchError

CLOCK_TOLERANCE = 0.05      # a guest's clock may differ this much from ours over a run
START_SILENCE_S = 20
BOOT_SILENCE_S = 60         # at most; a kernel boots in seconds
SMALL_GUEST_MIB = 64
IDLE_S = 3                  # from the guest's last word to the measurement of its memory
RESULT = re.compile(r"\bybench (\S+) (\d+) (\d+) ([0-9a-f]{16})\s*$")


class Results:
    """Times of one engine: name of workload -> list of nanoseconds, checksums and failures."""

    def __init__(self):
        self.times = {}
        self.checksums = {}
        self.failures = {}
        self.started = []
        self.clock_ratio = None         # guest's clock over ours

    def add_line(self, text):
        """Takes a result line; returns the workload's name, or None for any other line."""
        match = RESULT.search(text)
        if not match:
            return None
        name, _, spent, checksum = match.groups()
        self.times.setdefault(name, []).append(int(spent))
        if self.checksums.setdefault(name, checksum) != checksum:
            self.failures[name] = "its checksum changes from run to run"
        return name


def summary(values):
    return {"all": values, "min": min(values), "median": statistics.median(values)}


def workload_arguments(workloads, scale):
    return [f"{work.name}:{max(1, round(work.iterations * scale))}" for work in workloads]


def run_native(ybench, arguments, repeats, timeout_s, progress):
    results = Results()
    for argument in arguments:
        name = argument.split(":")[0]
        try:
            done = subprocess.run([ybench, "--repeat", str(repeats), argument], text=True,
                                  capture_output=True, timeout=timeout_s)
        except subprocess.TimeoutExpired:
            results.failures[name] = f"did not end within {timeout_s:g} s"
            continue
        for line in done.stdout.splitlines():
            results.add_line(line)
        if done.returncode != 0:
            results.failures[name] = done.stderr.strip() or f"exit status {done.returncode}"
        else:
            progress(f"native: {name} {min(results.times[name]) / 1e6:.1f} ms")
    return results


def linux_command(engine, files, machine, settings, append):
    words = f"console=ttyS0 quiet panic=-1 {settings.append} {append}".split()
    return engine.command(machine, settings.memory, [
        "-nographic", "-kernel", files.kernel, "-initrd", files.initrd, "-append", " ".join(words)])


def run_guest(engine, files, machine, settings, arguments, log, progress):
    """All workloads in one guest. If the guest dies or hangs in one, that one has failed and a new
    guest runs those after it."""
    results = Results()
    waiting = list(arguments)
    while waiting:
        try:
            run_one_guest(engine, files, machine, settings, waiting, results, log, progress)
            break
        except BenchError as error:
            rest = [argument for argument in waiting if argument not in results.started]
            if rest == waiting:
                raise
            progress(f"{engine.name}: {error}")
            waiting = rest
    return results


def run_one_guest(engine, files, machine, settings, waiting, results, log, progress):
    append = f"ybench.repeat={settings.repeat} ybench.run={','.join(waiting)}"
    clocks = []
    running = None
    with Machine(linux_command(engine, files, machine, settings, append), log) as guest:
        try:
            for when, line in guest.lines(settings.timeout, settings.timeout * 10):
                name = results.add_line(line)
                if name:
                    progress(f"{engine.name}: {name} {results.times[name][-1] / 1e6:.1f} ms")
                elif line.startswith("ybench-start "):
                    results.started.append(line.split()[1])
                    running = line.split()[1].split(":")[0]
                elif line.startswith("ybench: ") and running:
                    results.failures[running] = line[len("ybench: "):]
                elif line.startswith("ybench-failed ") and running:
                    results.failures.setdefault(running, line[len("ybench-failed "):])
                    progress(f"{engine.name}: {running} failed: {results.failures[running]}")
                elif line.startswith("ybench-clock "):
                    clocks.append((when, int(line.split()[1])))
                elif line.startswith("ybench-end"):
                    break
                elif "Kernel panic" in line:
                    guest.wait_end()
                    raise guest.failure("ran a guest whose kernel panicked")
            else:
                guest.process.wait()
                raise guest.failure("ended before the workloads did")
        except BenchError as error:
            if running:
                results.failures[running] = str(error).splitlines()[0]
            raise
        trouble = guest.wait_end()
        if trouble:
            progress(f"{engine.name}: the machine's end was not clean: {trouble}")
    if len(clocks) == 2 and clocks[1][0] - clocks[0][0] > 1:
        ours = clocks[1][0] - clocks[0][0]
        results.clock_ratio = (clocks[1][1] - clocks[0][1]) / 1e9 / ours
        if abs(results.clock_ratio - 1) > CLOCK_TOLERANCE:
            progress(f"{engine.name}: WARNING: the guest's clock ran at {results.clock_ratio:.2f} "
                     f"of real time; its figures are wrong by that factor")


def boot_times(engine, files, machine, settings, log, progress):
    """Seconds from before the process starts until /init prints its first line."""
    times = []
    for _ in range(settings.boots):
        with Machine(linux_command(engine, files, machine, settings, ""), log) as guest:
            times.append(wait_for_line(guest, "yinit-begin", settings.timeout))
            wait_for_line(guest, "ybench-end", settings.timeout)
            trouble = guest.wait_end()
        progress(f"{engine.name}: {machine} boots to init in {times[-1]:.2f} s")
        if trouble:
            progress(f"{engine.name}: the machine's end was not clean: {trouble}")
    return times


def wait_for_line(guest, word, timeout_s):
    timeout_s = min(timeout_s, BOOT_SILENCE_S)
    for when, line in guest.lines(timeout_s, timeout_s * 10):
        if word in line:         # not at its start, if firmware left the cursor in the line
            return when
        if "Kernel panic" in line:
            guest.wait_end()
            raise guest.failure("ran a guest whose kernel panicked")
    guest.process.wait()
    raise guest.failure(f"ended without printing '{word}'")


def small_command(engine, machine, kernel, extra):
    return engine.command(machine, SMALL_GUEST_MIB, [
        "-display", "none", "-serial", "null", "-kernel", kernel,
        "-chardev", "stdio,id=mark,signal=off",
        "-device", "isa-debugcon,iobase=0xe9,chardev=mark",
        "-device", "isa-debug-exit,iobase=0xf4,iosize=4"] + extra)


def start_times(engine, files, machine, settings, log, progress):
    """Seconds (to the guest's first instruction, to the end of the process), one pair per start."""
    pairs = []
    for _ in range(settings.starts):
        with Machine(small_command(engine, machine, files.start, []), log) as guest:
            first = guest.first_byte(START_SILENCE_S)
            try:
                status = guest.process.wait(START_SILENCE_S)
            except subprocess.TimeoutExpired:
                raise guest.failure("did not end when its guest asked for it") from None
            if status != 1:
                raise guest.failure("should have ended with exit status 1 (isa-debug-exit)")
            pairs.append((first, time.monotonic() - guest.started))
    progress(f"{engine.name}: {machine} reaches the first instruction in "
             f"{min(first for first, _ in pairs) * 1e3:.1f} ms")
    return pairs


def start_phases(engine, files, machine, log):
    """What Yado's -timing says about its own start; empty for other programs."""
    if not engine.is_yado():
        return []
    with Machine(small_command(engine, machine, files.start, ["-timing"]), log) as guest:
        try:
            for now, stream, data in guest.chunks(START_SILENCE_S):
                guest.take(now, stream, data)
        except BenchError:
            return []
        guest.process.wait()
        return [line.strip() for line in guest.errors if re.search(r"\d\s*(ms|us|ns|s)\b", line)]


def resident_memory(pid, guest_bytes, is_guest_ram_name):
    """Bytes resident beyond the guest's RAM: {"rss": …, "pss": …, "guest": …}.

    Guest RAM is the memfd mapping whose name says so, or, in QEMU, the anonymous mapping that is
    exactly as large as the guest's memory."""
    mapping = re.compile(r"^([0-9a-f]+)-([0-9a-f]+) \S+ \S+ \S+ \d+ *(.*)$")
    total = {"Rss": 0, "Pss": 0}
    ram = {"Rss": 0, "Pss": 0}
    found = in_ram = False
    with open(f"/proc/{pid}/smaps", encoding="utf-8") as smaps:
        for line in smaps:
            match = mapping.match(line)
            if match:
                start, end, name = int(match[1], 16), int(match[2], 16), match[3]
                in_ram = is_guest_ram_name in name if is_guest_ram_name else \
                    not name and end - start == guest_bytes
                found = found or in_ram
                continue
            key, _, value = line.partition(":")
            if key in total:
                total[key] += int(value.split()[0]) * 1024
                if in_ram:
                    ram[key] += int(value.split()[0]) * 1024
    if not found:
        raise BenchError("no mapping of the process looks like guest RAM, so that its resident "
                         "memory cannot be told apart")
    return {"rss": total["Rss"] - ram["Rss"], "pss": total["Pss"] - ram["Pss"],
            "guest": ram["Rss"]}


def memory_overhead(engine, files, machine, settings, log, progress):
    """Resident memory beyond the guest's, with the smallest guest and with an idle Linux."""
    name = "yado-ram" if engine.is_yado() else ""
    found = {}
    with Machine(small_command(engine, machine, files.stay, []), log) as guest:
        guest.first_byte(START_SILENCE_S)
        time.sleep(0.3)
        check_alive(guest)
        found["small"] = resident_memory(guest.process.pid, SMALL_GUEST_MIB << 20, name)
    command = linux_command(engine, files, machine, settings, "ybench.idle")
    with Machine(command, log) as guest:
        wait_for_line(guest, "yinit-idle", settings.timeout)
        time.sleep(IDLE_S)
        check_alive(guest)
        found["linux"] = resident_memory(guest.process.pid, settings.memory << 20, name)
    progress(f"{engine.name}: {found['small']['rss'] / 2**20:.1f} MiB resident beyond a halted "
             f"guest, {found['linux']['rss'] / 2**20:.1f} MiB beyond an idle Linux")
    return found


def check_alive(guest):
    if guest.process.poll() is not None:
        raise guest.failure("ended while its guest should have been idle")


def find_cpu_name():
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            for line in file:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    except OSError:
        pass
    return os.uname().machine
