/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Time for guests, and the KVM paravirtual clock. Guest TSC = host TSC + offset; its frequency is
 * measured against CLOCK_MONOTONIC. (Linux, Documentation/virt/kvm/x86/msr.rst) */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <time.h>
#include <x86intrin.h>

#include "engine/bt/bt.h"
#include "hw/intc/apic.h"
#include "memory/memory.h"
#include "util/timer.h"
#include "vm/vm.h"
#include "x86/access.h"

#define MSR_KVM_WALL_CLOCK 0x11
#define MSR_KVM_SYSTEM_TIME 0x12
#define MSR_KVM_WALL_CLOCK_NEW 0x4b564d00
#define MSR_KVM_SYSTEM_TIME_NEW 0x4b564d01
#define MSR_KVM_STEAL_TIME 0x4b564d03
#define MSR_KVM_PV_EOI 0x4b564d04
#define MSR_KVM_ENABLE 1ull

#define PVCLOCK_TSC_STABLE 1
#define CALIBRATE_NS 4000000
#define STEAL_UPDATE_NS 2000000

struct pvclock {
    uint32_t version, pad0;
    uint64_t tsc_timestamp, system_time;
    uint32_t tsc_to_system_mul;
    int8_t tsc_shift;
    uint8_t flags, pad[2];
};
struct pvsteal {
    uint64_t steal_ns;
    uint32_t version, flags;
};
struct pvwall {
    uint32_t version, seconds, nanoseconds;
};

/* A reading of both clocks at (nearly) the same moment. */
static void read_both(uint64_t *tsc, uint64_t *ns)
{
    uint64_t best = ~0ull;
    *tsc = *ns = 0;
    for (unsigned i = 0; i < 5; i++) {
        uint64_t before = __rdtsc(), now = clock_now_ns(), after = __rdtsc();
        if (after - before < best) {
            best = after - before;
            *tsc = before + best / 2;
            *ns = now;
        }
    }
}

void bt_clock_init(struct bt *bt)
{
    read_both(&bt->tsc_start, &bt->ns_start);
}

/* The frequency is computed when first asked for, from what has passed since the start: nobody
 * waits for a calibration unless it asks within the first milliseconds. */
static void calibrate(struct bt *bt)
{
    pthread_mutex_lock(&bt->exclusive_lock);
    if (!bt->tsc_hz) {
        uint64_t tsc, ns;
        do
            read_both(&tsc, &ns);
        while (ns - bt->ns_start < CALIBRATE_NS);
        bt->tsc_hz = (unsigned __int128)(tsc - bt->tsc_start) * 1000000000 / (ns - bt->ns_start);
    }
    pthread_mutex_unlock(&bt->exclusive_lock);
}

uint64_t bt_tsc_read(struct x86_cpu *cpu)
{
    uint32_t low, high;
    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
    return ((uint64_t)high << 32 | low) + cpu->tsc_offset;
}

uint64_t bt_tsc_to_clock(struct vcpu *vcpu, uint64_t guest_tsc)
{
    struct bt_vcpu *v = vcpu->engine;
    calibrate(v->bt);
    uint64_t now = __rdtsc() + v->cpu.tsc_offset;
    if (guest_tsc <= now)
        return 0;
    /* Up to 2^64 ticks ahead: centuries, which the clock's type may not hold. */
    unsigned __int128 ns = (unsigned __int128)(guest_tsc - now) * 1000000000 / v->bt->tsc_hz;
    return MIN(clock_now_ns() + ns, (unsigned __int128)INT64_MAX);
}

/* ns = ((ticks << shift) * mul) >> 32 */
static void scale(uint64_t hz, uint32_t *mul, int8_t *shift)
{
    uint64_t goal = 1000000000ull;
    *shift = 0;
    while (hz > 2 * goal) {
        hz >>= 1;
        --*shift;
    }
    while (hz <= goal) {
        hz <<= 1;
        ++*shift;
    }
    *mul = ((unsigned __int128)goal << 32) / hz;
}

static void write_clock(struct bt_vcpu *v, uint64_t gpa)
{
    struct bt *bt = v->bt;
    struct pvclock clock = { .version = 2, .flags = PVCLOCK_TSC_STABLE };
    calibrate(bt);
    /* One reference for all vCPUs, so that they agree to the tick. */
    clock.tsc_timestamp = bt->tsc_start + v->cpu.tsc_offset;
    clock.system_time = 0;
    scale(bt->tsc_hz, &clock.tsc_to_system_mul, &clock.tsc_shift);
    dma_write(bt->vm->memory, gpa, &clock, sizeof(clock));
}

static void write_wall(struct bt_vcpu *v, uint64_t gpa)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    uint64_t boot = now.tv_sec * 1000000000ull + now.tv_nsec - (clock_now_ns() - v->bt->ns_start);
    struct pvwall wall = { .version = 2,
                           .seconds = boot / 1000000000,
                           .nanoseconds = boot % 1000000000 };
    dma_write(v->bt->vm->memory, gpa, &wall, sizeof(wall));
}

/* How long this vCPU's thread has waited for a host CPU, in the kernel's accounts. At most every
 * few milliseconds: guests look at it once a tick. */
void bt_pv_update(struct bt_vcpu *v)
{
    if (!(v->cpu.kvm_steal_time & 1))
        return;
    uint64_t now = clock_now_ns();
    if (now - v->pv_steal_ns < STEAL_UPDATE_NS)
        return;
    v->pv_steal_ns = now;
    char text[96];
    uint64_t ran, waited;
    ssize_t length = pread(v->schedstat, text, sizeof(text) - 1, 0);
    if (length <= 0)
        return;
    text[length] = 0;
    if (sscanf(text, "%" SCNu64 " %" SCNu64, &ran, &waited) != 2)
        return;
    struct pvsteal steal = { .steal_ns = waited, .version = 2 };
    dma_write(v->bt->vm->memory, v->cpu.kvm_steal_time & ~63ull, &steal, sizeof(steal));
}

void bt_pv_restore(struct bt_vcpu *v)
{
    v->pv_steal_ns = 0;
    if (v->cpu.kvm_system_time & MSR_KVM_ENABLE)
        write_clock(v, v->cpu.kvm_system_time & ~MSR_KVM_ENABLE);
    if (v->cpu.kvm_steal_time & MSR_KVM_ENABLE && v->schedstat < 0)
        v->schedstat = open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC);
}

/* ---- end of interrupt ---------------------------------------------------------------------- */

/* The guest's flag, bit 0 of a byte: set by us, cleared by the guest instead of a write to the EOI
 * register. Only this thread runs the guest's CPU, so nobody changes the byte meanwhile. */
static bool eoi_flag(struct bt_vcpu *v, uint8_t *flag, bool store)
{
    uint64_t gpa = v->cpu.kvm_pv_eoi & ~MSR_KVM_ENABLE;
    struct address_space *memory = v->bt->vm->memory;
    return store ? dma_write(memory, gpa, flag, 1) : dma_read(memory, gpa, flag, 1);
}

void bt_pv_eoi_offer(struct bt_vcpu *v, uint8_t vector)
{
    uint8_t flag = 1;
    if (v->cpu.kvm_pv_eoi & MSR_KVM_ENABLE && lapic_eoi_may_wait(v->vcpu->apic, vector))
        v->pv_eoi_offered = eoi_flag(v, &flag, true);
}

void bt_pv_eoi_collect(struct vcpu *vcpu)
{
    struct bt_vcpu *v = vcpu->engine;
    uint8_t flag;
    if (likely(!v->pv_eoi_offered))
        return;
    v->pv_eoi_offered = false;
    if (!eoi_flag(v, &flag, false))
        return;
    if (!(flag & 1)) {
        lapic_eoi(vcpu->apic);
        return;
    }
    flag &= ~1; /* from now on the guest has to tell the local APIC */
    eoi_flag(v, &flag, true);
}

bool bt_pv_msr_read(struct x86_cpu *cpu, uint32_t msr, uint64_t *value)
{
    struct bt_vcpu *v = bt_of(cpu);
    switch (msr) {
    case MSR_KVM_WALL_CLOCK:
    case MSR_KVM_WALL_CLOCK_NEW:
        *value = v->cpu.kvm_wall_clock;
        return true;
    case MSR_KVM_SYSTEM_TIME:
    case MSR_KVM_SYSTEM_TIME_NEW:
        *value = v->cpu.kvm_system_time;
        return true;
    case MSR_KVM_STEAL_TIME:
        *value = v->cpu.kvm_steal_time;
        return true;
    case MSR_KVM_PV_EOI:
        *value = cpu->kvm_pv_eoi;
        return true;
    default:
        return false;
    }
}

bool bt_pv_msr_write(struct x86_cpu *cpu, uint32_t msr, uint64_t value)
{
    struct bt_vcpu *v = bt_of(cpu);
    x86_quiesce(cpu);
    switch (msr) {
    case MSR_KVM_WALL_CLOCK:
    case MSR_KVM_WALL_CLOCK_NEW:
        v->cpu.kvm_wall_clock = value;
        write_wall(v, value);
        return true;
    case MSR_KVM_SYSTEM_TIME:
    case MSR_KVM_SYSTEM_TIME_NEW:
        v->cpu.kvm_system_time = value;
        if (value & 1)
            write_clock(v, value & ~1ull);
        return true;
    case MSR_KVM_STEAL_TIME:
        if (value & 0x3e)
            return false;
        v->cpu.kvm_steal_time = value;
        if (v->schedstat < 0)
            v->schedstat = open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC);
        bt_pv_update(v);
        return true;
    case MSR_KVM_PV_EOI:
        if (value & 2)
            return false;
        bt_pv_eoi_collect(v->vcpu);
        cpu->kvm_pv_eoi = value;
        return true;
    default:
        return false;
    }
}
