# SPDX-License-Identifier: GPL-2.0-or-later
"""What runs inside: compiles the programs, finds a kernel and busybox, packs the initramfs."""

import glob
import gzip
import os
import subprocess
from dataclasses import dataclass

BENCH = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(BENCH)
PROGRAMS = os.path.join(BENCH, "programs")

COMPILE = ["-std=gnu17", "-D_GNU_SOURCE", "-O2", "-Wall", "-Wextra", "-Wimplicit-fallthrough",
           "-Wshadow", "-Wvla", "-Wstrict-prototypes", "-Werror", "-fno-pie", "-no-pie", "-static"]
ASSEMBLE = ["-m32", "-nostdlib", "-static", "-no-pie", "-Wl,--build-id=none"]

# /init of the guest. The first line it prints ends "boot to init"; each workload is a process of
# its own, so that one that fails does not take the rest along.
INIT = """#!/bin/busybox sh
echo yinit-begin
b=/bin/busybox
$b mkdir -p /proc /sys /dev /tmp
$b mount -t proc proc /proc
$b mount -t sysfs sysfs /sys
$b mount -t devtmpfs devtmpfs /dev
repeat=1
run=
for word in $($b cat /proc/cmdline); do
    case $word in
    ybench.repeat=*) repeat=${word#*=} ;;
    ybench.run=*) run=${word#*=} ;;
    ybench.idle) echo yinit-idle; while :; do $b sleep 1000; done ;;
    esac
done
/ybench --clock
IFS=,
for workload in $run; do
    echo "ybench-start $workload"
    /ybench --repeat $repeat $workload 2>&1 || echo "ybench-failed $workload: exit status $?"
done
/ybench --clock
echo ybench-end
$b poweroff -f
"""


class BenchError(Exception):
    """One sentence for the person at the terminal."""


@dataclass
class Workload:
    name: str
    set: str            # "user" or "kernel"
    iterations: int
    about: str


@dataclass
class Files:
    """Everything that the measurements start."""
    ybench: str
    start: str          # ends the machine after its first instruction
    stay: str           # the same, but halts for ever
    kernel: str = ""
    initrd: str = ""


def run_quietly(command, what, **options):
    """Runs a command; its output shows only if it fails."""
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              stdin=subprocess.DEVNULL, errors="replace", **options)
    except OSError as error:
        raise BenchError(f"cannot {what}: {command[0]}: {error.strerror}") from None
    if done.returncode != 0:
        raise BenchError(f"cannot {what}: '{' '.join(command)}' ended with status "
                         f"{done.returncode}:\n{done.stdout.strip()}")
    return done.stdout


def is_newer(target, sources):
    return os.path.exists(target) and all(
        os.path.getmtime(target) >= os.path.getmtime(source) for source in sources)


def build_programs(out_dir):
    os.makedirs(out_dir, exist_ok=True)
    files = Files(*(os.path.join(out_dir, name) for name in ("ybench", "start.elf", "stay.elf")))
    compiler = os.environ.get("CC", "gcc").split()
    sources = sorted(glob.glob(os.path.join(PROGRAMS, "*.c")))
    if not is_newer(files.ybench, sources + [os.path.join(PROGRAMS, "ybench.h"), __file__]):
        run_quietly(compiler + COMPILE + ["-o", files.ybench] + sources + ["-lm"],
                    "build the workloads")
    script = os.path.join(PROGRAMS, "start.ld")
    source = os.path.join(PROGRAMS, "start.S")
    for target, flags in ((files.start, []), (files.stay, ["-DSTAY"])):
        if not is_newer(target, [source, script, __file__]):
            run_quietly(compiler + ASSEMBLE + flags + ["-Wl,-T," + script, "-o", target, source],
                        "build the smallest guest")
    return files


def list_workloads(ybench):
    rows = run_quietly([ybench, "--list"], "list the workloads").splitlines()
    return [Workload(name, kind, int(count), about)
            for name, kind, count, about in (row.split(" ", 3) for row in rows)]


def fetch_package(package, into):
    """Downloads one Debian package and unpacks it into a folder, without installing it."""
    os.makedirs(into, exist_ok=True)
    for old in glob.glob(os.path.join(into, "*.deb")):
        os.remove(old)
    run_quietly(["apt-get", "download", package], f"download the Debian package {package}",
                cwd=into)
    for package_file in glob.glob(os.path.join(into, "*.deb")):
        run_quietly(["dpkg-deb", "-x", package_file, into], f"unpack {package_file}")


def fetch_kernel(cache):
    """The cloud kernel: the metapackage names the package that holds it."""
    depends = run_quietly(["apt-cache", "depends", "linux-image-cloud-amd64"],
                          "look up the Debian cloud kernel (try 'apt-get update')")
    packages = [line.split()[1] for line in depends.splitlines()
                if line.strip().startswith("Depends: linux-image-")]
    if not packages:
        raise BenchError("the Debian package linux-image-cloud-amd64 is not in the package lists; "
                         "try 'apt-get update', or give --kernel")
    fetch_package(packages[0], cache)


def newest(pattern):
    found = sorted(glob.glob(pattern), key=os.path.getmtime)
    return found[-1] if found else None


def find_guest_files(build_dir, kernel, busybox, progress):
    """Kernel and busybox: as given, else as prepared for `make run`, else from Debian."""
    prepared = os.environ.get("YADO_GUEST") or os.path.join(build_dir, "guest")
    script = os.path.join(ROOT, "scripts", "prepare-guest")

    def pick(given, name, pattern):
        return given or newest(os.path.join(prepared, name)) or newest(pattern)

    cache = os.path.join(build_dir, "bench", "debian")
    kernels = os.path.join(cache, "boot", "vmlinuz-*")
    busyboxes = os.path.join(cache, "bin", "busybox")

    if not (pick(kernel, "vmlinuz", kernels) and pick(busybox, "busybox", busyboxes)) \
            and os.access(script, os.X_OK):
        progress("preparing the guest's kernel and busybox (scripts/prepare-guest)")
        try:
            run_quietly([script, prepared], "prepare the guest", cwd=ROOT)
        except BenchError as error:
            progress(f"{error}; fetching them here instead")
    if not pick(kernel, "vmlinuz", kernels):
        progress("downloading the Debian cloud kernel")
        fetch_kernel(cache)
    if not pick(busybox, "busybox", busyboxes):
        progress("downloading busybox-static")
        fetch_package("busybox-static", cache)
    kernel, busybox = pick(kernel, "vmlinuz", kernels), pick(busybox, "busybox", busyboxes)
    for path, what in ((kernel, "kernel"), (busybox, "busybox")):
        if not path or not os.access(path, os.R_OK):
            raise BenchError(f"cannot read the guest's {what} '{path}'")
    return kernel, busybox


def cpio_entry(number, name, mode, data=b"", device=(0, 0)):
    """One member of a 'newc' archive (Documentation/driver-api/early-userspace/buffer-format.rst of
    Linux): 13 fields of eight hexadecimal digits, name, data, each padded to four bytes."""
    path = name.encode() + b"\0"
    fields = (number, mode, 0, 0, 1, 0, len(data), 0, 0, *device, len(path), 0)
    head = b"070701" + b"".join(b"%08x" % field for field in fields) + path
    return head + b"\0" * (-len(head) % 4) + data + b"\0" * (-len(data) % 4)


def pack_initramfs(path, ybench, busybox):
    directory, program, device = 0o040755, 0o100755, 0o020600
    with open(ybench, "rb") as file:
        ybench_bytes = file.read()
    with open(busybox, "rb") as file:
        busybox_bytes = file.read()
    members = [
        ("bin", directory), ("dev", directory), ("proc", directory), ("sys", directory),
        ("dev/console", device, b"", (5, 1)), ("dev/null", device, b"", (1, 3)),
        ("bin/busybox", program, busybox_bytes), ("ybench", program, ybench_bytes),
        ("init", program, INIT.encode()), ("TRAILER!!!", 0),
    ]
    archive = b"".join(cpio_entry(i, *member) for i, member in enumerate(members, 1))
    with open(path + ".new", "wb") as file:
        # Lightly compressed: unpacking is part of the boot time of every engine.
        file.write(gzip.compress(archive, 1, mtime=0))
    os.replace(path + ".new", path)


def prepare(build_dir, kernel, busybox, progress):
    """Programs and initramfs, ready to run. Only what changed is made again."""
    out_dir = os.path.join(build_dir, "bench")
    files = build_programs(out_dir)
    files.kernel, busybox = find_guest_files(build_dir, kernel, busybox, progress)
    files.initrd = os.path.join(out_dir, "initramfs.cpio.gz")
    pack_initramfs(files.initrd, files.ybench, busybox)
    return files
