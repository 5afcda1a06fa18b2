#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs one small guest on one engine and passes its TAP lines on.

    run.py [--program P] [--machine M] [--expect reset] [--smp N] bt|kvm|tcg image.elf|image.bin

The program is $YADO_BUILD/compat/qemu-system-x86_64 unless --program names another, for example
QEMU's own, to have a second witness. What the host's KVM cannot do becomes a SKIP with the reason."""
import argparse
import os
import re
import subprocess
import sys
import tempfile

PASS, FAIL = 33, 35     # isa-debug-exit: 2 * value + 1, values in frame/report.c

def parse():
    parser = argparse.ArgumentParser()
    parser.add_argument('--program')
    parser.add_argument('--machine', default='microvm')
    parser.add_argument('--expect', choices=['report', 'reset'], default='report')
    parser.add_argument('--smp', default='1')
    parser.add_argument('engine', choices=['bt', 'kvm', 'tcg'])
    parser.add_argument('image')
    return parser.parse_args()


def program_path(args):
    if args.program:
        return args.program
    build = os.environ.get('YADO_BUILD', 'build')
    path = os.path.join(build, 'compat', 'qemu-system-x86_64')
    return path if os.path.exists(path) else os.environ.get('YADO', 'qemu-system-x86_64')


def command(args, console):
    cpu = 'max'
    if args.engine == 'kvm' and args.program:
        cpu += ',-arch-capabilities'    # QEMU 7.2 stops where the host refuses that MSR
    line = [program_path(args), '-accel', args.engine, '-M', args.machine, '-cpu', cpu, '-m', '64M',
            '-smp', args.smp, '-display', 'none', '-nodefaults', '-no-reboot',
            '-chardev', 'file,id=d,path=' + console, '-device', 'isa-debugcon,chardev=d,iobase=0xe9',
            '-device', 'isa-debug-exit,iobase=0xf4,iosize=0x04']
    return line + (['-bios', args.image] if args.image.endswith('.bin') else ['-kernel', args.image])


def kvm_missing():
    try:
        os.close(os.open('/dev/kvm', os.O_RDWR))
        return None
    except OSError as error:
        return f'/dev/kvm: {error.strerror}'


def host_is_pvm():
    return os.path.exists('/sys/module/kvm_pvm')


def pvm_differs(guest):
    """Names of the cases that kvm_pvm is known to fail."""
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'pvm-differs.txt')
    with open(path) as file:
        return {line.rstrip('\n').split(' ', 1)[1] for line in file if line.startswith(guest + ' ')}


def report(args, text, status, stderr):
    """Prints the guest's lines; returns whether all is well."""
    guest = os.path.splitext(os.path.basename(args.image))[0]
    pvm = args.engine == 'kvm' and host_is_pvm()
    differs = pvm_differs(guest) if pvm else set()
    good, count, planned = True, 0, False
    for line in text.splitlines():
        match = re.match(r'(not )?ok (\d+) - (.*)', line)
        if match:
            count += 1
            name = match[3].split(': got ')[0]
            if match[1] and name in differs:
                line = f'ok {match[2]} - {name} # SKIP the host\'s KVM (kvm_pvm) fails here'
            elif match[1]:
                good = False
        planned |= line.startswith('1..')
        if line.startswith('Bail out!'):
            status, stderr = None, line
            break
        if line.startswith('1..') and args.expect == 'reset':
            continue
        print(line)
    if args.expect == 'reset':
        reset = status == 0 and not planned
        print(f'{"" if reset else "not "}ok {count + 1} - the guest ends in a reset')
        return good and reset
    if planned and status in (PASS, FAIL):
        return good
    if pvm and status is None:
        print(f'ok {count + 1} - the rest of {guest} # SKIP the host\'s KVM (kvm_pvm) cannot go on: '
              + stderr)
        return good
    print(f'not ok {count + 1} - {guest} ends by itself: '
          + ('no result' if status is None else f'exit status {status}'))
    for line in stderr.splitlines()[:20]:
        print('# ' + line)
    return False


def main():
    args = parse()
    if args.engine == 'kvm' and kvm_missing():
        print(f'ok 1 - {os.path.basename(args.image)} on KVM # SKIP {kvm_missing()}')
        return 0
    with tempfile.TemporaryDirectory() as folder:
        console = os.path.join(folder, 'console')
        with open(os.path.join(folder, 'stderr'), 'w+') as errors:
            child = subprocess.Popen(command(args, console), stdin=subprocess.DEVNULL, stdout=errors,
                                     stderr=errors)
            # kvm_pvm makes some guests wait for ever; the others end within seconds
            limit = 15 if args.engine == 'kvm' and host_is_pvm() else 45
            try:
                status = child.wait(limit)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
                status = None
            errors.seek(0)
            stderr = errors.read() if status is not None else f'no end within {limit} s'
        text = ''
        if os.path.exists(console):
            with open(console, errors='replace') as file:
                text = file.read()
    # KVM_EXIT_INTERNAL_ERROR: QEMU stops the machine and waits, Yado ends with the reason.
    internal = re.search(r'[^\n]*(internal error|emulation fail)[^\n]*', stderr, re.I)
    if args.engine == 'kvm' and internal:
        status, stderr = None, internal[0].strip()
    return 0 if report(args, text, status, stderr) else 1


if __name__ == '__main__':
    sys.exit(main())
