/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Local APICs of up to four CPUs: priorities, destinations, modes, timer, and a storm of
 * inter-processor interrupts of which none may be lost. */
#include "test_board.h"

#define ENABLED 0x1ff
#define REG(offset) (0xfee00000u + (offset))

static struct lapic *apic_of(struct test_board *board, unsigned cpu)
{
    return board->cpus[cpu].apic;
}

static uint32_t reg(struct test_board *board, unsigned offset)
{
    return mmio_read(board, REG(offset));
}

static void set_reg(struct test_board *board, unsigned offset, uint32_t value)
{
    mmio_write(board, REG(offset), value);
}

/* Speak as another CPU. */
static void as_cpu(struct test_board *board, unsigned cpu)
{
    current_vcpu = &board->cpus[cpu];
}

static void send_ipi(struct test_board *board, uint32_t destination, uint32_t low)
{
    set_reg(board, 0x310, destination << 24);
    set_reg(board, 0x300, low);
}

/* Which CPUs have this vector pending, as a bit mask; takes it away. */
static unsigned who_got(struct test_board *board, int vector)
{
    unsigned mask = 0;
    for (unsigned i = 0; i < board->config.cpus; i++) {
        struct lapic *apic = apic_of(board, i);
        if (lapic_has_interrupt(apic) && lapic_acknowledge(apic) == vector) {
            mask |= 1u << i;
            lapic_eoi(apic);
        }
        atomic_store(&board->cpus[i].requests, 0);
    }
    return mask;
}

static void enable_all(struct test_board *board)
{
    for (unsigned i = 0; i < board->config.cpus; i++) {
        as_cpu(board, i);
        set_reg(board, 0xf0, ENABLED);
        set_reg(board, 0xd0, 0x01000000u << i);
        atomic_store(&board->cpus[i].requests, 0);
    }
    as_cpu(board, 0);
}

static void test_reset_state(struct test_board *board)
{
    uint64_t base = 0;
    as_cpu(board, 2);
    tap_ok(reg(board, 0x20) == 0x02000000, "identity of CPU 2");
    tap_ok(reg(board, 0x30) == 0x50014, "version");
    tap_ok(reg(board, 0xf0) == 0xff && reg(board, 0xe0) == 0xffffffff, "SVR and DFR");
    tap_ok(reg(board, 0x350) == 0x10000 && reg(board, 0x320) == 0x10000, "local sources masked");
    lapic_msr_read(apic_of(board, 2), 0x1b, &base);
    tap_ok(base == 0xfee00800, "base of an application processor");
    lapic_msr_read(apic_of(board, 0), 0x1b, &base);
    tap_ok(base == 0xfee00900, "base of the boot processor");
    send_ipi(board, 1, 0x40);
    tap_ok(who_got(board, 0x40) == 0, "disabled by software: no fixed interrupts");
    current_vcpu = NULL;
    tap_ok(reg(board, 0x20) == 0xffffffff, "nobody's window");
    set_reg(board, 0x20, 1);
}

static void test_priority(struct test_board *board)
{
    struct lapic *apic = apic_of(board, 0);
    enable_all(board);
    send_ipi(board, 0, 0x41);
    send_ipi(board, 0, 0x53);
    send_ipi(board, 0, 0x45);
    tap_ok(atomic_load(&board->cpus[0].requests) == VCPU_INTERRUPT, "announced");
    tap_ok(take(board) == 0x53 && reg(board, 0xa0) == 0x50, "the highest first");
    tap_ok(take(board) == -1, "lower ones wait");
    send_ipi(board, 0, 0x5f);
    tap_ok(take(board) == -1, "also in the same class");
    send_ipi(board, 0, 0x60);
    tap_ok(take(board) == 0x60 && reg(board, 0xa0) == 0x60, "a higher class interrupts");
    atomic_store(&board->cpus[0].requests, 0);
    set_reg(board, 0xb0, 0);
    set_reg(board, 0xb0, 0);
    tap_ok(atomic_load(&board->cpus[0].requests) == VCPU_INTERRUPT, "the end announces the rest");
    tap_ok(take(board) == 0x5f, "and the rest comes");
    set_reg(board, 0xb0, 0);
    lapic_tpr_set(apic, 0x40);
    tap_ok(take(board) == -1 && lapic_tpr_get(apic) == 0x40, "the task priority holds class 4");
    atomic_store(&board->cpus[0].requests, 0);
    lapic_tpr_set(apic, 0x30);
    tap_ok(atomic_load(&board->cpus[0].requests) == VCPU_INTERRUPT, "lowering it announces");
    tap_ok(take(board) == 0x45, "0x45");
    set_reg(board, 0xb0, 0);
    tap_ok(take(board) == 0x41, "0x41");
    set_reg(board, 0xb0, 0);
    set_reg(board, 0xb0, 0);
    tap_ok(take(board) == -1, "an end too many does nothing");
}

struct destination_case {
    const char *name;
    uint32_t destination, low;
    unsigned sender, expected;
};

static const struct destination_case flat_cases[] = {
    { "physical", 2, 0x40, 0, 1u << 2 },
    { "physical, nobody", 9, 0x40, 0, 0 },
    { "physical broadcast", 0xff, 0x40, 1, 0xf },
    { "logical, one", 0x02, 0x840, 0, 1u << 1 },
    { "logical, several", 0x0d, 0x840, 0, 0xd },
    { "logical, none", 0x30, 0x840, 0, 0 },
    { "logical broadcast", 0xff, 0x840, 2, 0xf },
    { "self", 0, 0x40040, 3, 1u << 3 },
    { "all", 0, 0x80040, 3, 0xf },
    { "all others", 0, 0xc0040, 3, 0x7 },
};

static void test_destinations(struct test_board *board)
{
    enable_all(board);
    for (size_t i = 0; i < G_N_ELEMENTS(flat_cases); i++) {
        const struct destination_case *c = &flat_cases[i];
        as_cpu(board, c->sender);
        send_ipi(board, c->destination, c->low);
        unsigned got = who_got(board, 0x40);
        if (!tap_ok(got == c->expected, "flat: %s", c->name))
            tap_note("got 0x%x, expected 0x%x", got, c->expected);
    }
    for (unsigned i = 0; i < 4; i++) { /* cluster model: two clusters of two */
        as_cpu(board, i);
        set_reg(board, 0xe0, 0x0fffffff);
        set_reg(board, 0xd0, (i / 2) << 28 | (1u << (i % 2)) << 24);
    }
    as_cpu(board, 0);
    send_ipi(board, 0x12, 0x840);
    tap_ok(who_got(board, 0x40) == 1u << 3, "cluster: one");
    send_ipi(board, 0x03, 0x840);
    tap_ok(who_got(board, 0x40) == 0x3, "cluster: both of cluster 0");
    send_ipi(board, 0xf1, 0x840);
    tap_ok(who_got(board, 0x40) == 0x5, "cluster: the first of each");

    enable_all(board);
    as_cpu(board, 1);
    set_reg(board, 0xe0, 0xffffffff);
    as_cpu(board, 0);
    apic_deliver_msi(&board->vm, 0xfee02000, 0x4077);
    tap_ok(who_got(board, 0x77) == 1u << 2, "message to CPU 2");
    apic_deliver_msi(&board->vm, 0xfec02000, 0x4077);
    tap_ok(who_got(board, 0x77) == 0, "a message elsewhere is dropped");
}

static void test_lowest_priority(struct test_board *board)
{
    enable_all(board);
    for (unsigned i = 0; i < 4; i++)
        lapic_tpr_set(apic_of(board, i), i == 2 ? 0 : 0x10);
    send_ipi(board, 0x0f, 0x940);
    tap_ok(who_got(board, 0x40) == 1u << 2, "the least busy takes it");
    lapic_tpr_set(apic_of(board, 2), 0x10);
    unsigned who = 0;
    for (uint8_t vector = 0x40; vector < 0x44; vector++) {
        send_ipi(board, 0x0f, 0x900 | vector);
        unsigned got = who_got(board, vector);
        tap_ok(got && !(got & (got - 1)), "among equals exactly one does");
        who |= got;
    }
    tap_ok(who == 0xf, "and vectors are spread");
}

static void test_events(struct test_board *board)
{
    enable_all(board);
    send_ipi(board, 1, 0x400);
    tap_ok(atomic_load(&board->cpus[1].requests) == VCPU_NMI, "NMI");
    atomic_store(&board->cpus[1].requests, 0);
    send_ipi(board, 1, 0x4500);
    tap_ok(atomic_load(&board->cpus[1].requests) == VCPU_INIT, "INIT");
    atomic_store(&board->cpus[1].requests, 0);
    send_ipi(board, 1, 0x8500);
    tap_ok(atomic_load(&board->cpus[1].requests) == 0, "INIT de-assert does nothing");
    send_ipi(board, 1, 0x69a);
    tap_ok(atomic_load(&board->cpus[1].requests) == VCPU_SIPI
               && atomic_load(&board->cpus[1].sipi_vector) == 0x9a,
           "SIPI");
    set_reg(board, 0x370, 0xfe); /* error interrupt */
    send_ipi(board, 1, 0x05);
    set_reg(board, 0x280, 0);
    tap_ok(reg(board, 0x280) == 0x20 && take(board) == 0xfe, "illegal vector sent: error");
    set_reg(board, 0xb0, 0);
    reg(board, 0x3f0);
    set_reg(board, 0x280, 0);
    tap_ok(reg(board, 0x280) == 0x80, "illegal register: error");
    set_reg(board, 0x370, 0x03); /* an error interrupt that is an error itself */
    apic_deliver_msi(&board->vm, 0xfee00000, 0x07);
    set_reg(board, 0x280, 0);
    tap_ok(reg(board, 0x280) == 0x40, "illegal vector received");
    set_reg(board, 0xf0, 0xff);
    tap_ok(reg(board, 0x350) & 0x10000, "disabling by software masks local sources");
    set_reg(board, 0x350, 0x700);
    tap_ok(reg(board, 0x350) == 0x10700, "which stay masked");
}

static void test_x2apic(struct test_board *board)
{
    struct lapic *apic = apic_of(board, 3);
    uint64_t value = 0;
    enable_all(board);
    tap_ok(!lapic_msr_read(apic, 0x802, &value), "no MSRs before x2APIC mode");
    tap_ok(!lapic_msr_write(apic, 0x1b, 0xfee00400), "x2APIC without enable");
    tap_ok(!lapic_msr_write(apic, 0x1b, 0xfee00802), "reserved bits");
    tap_ok(lapic_msr_write(apic, 0x1b, 0xfee00c00), "x2APIC mode");
    tap_ok(!lapic_msr_write(apic, 0x1b, 0xfee00800), "no way straight back");
    as_cpu(board, 3);
    tap_ok(reg(board, 0x20) == 0xffffffff, "the window is closed");
    tap_ok(lapic_msr_read(apic, 0x802, &value) && value == 3, "identity");
    tap_ok(lapic_msr_read(apic, 0x80d, &value) && value == 8, "logical identity");
    tap_ok(!lapic_msr_write(apic, 0x80d, 1) && !lapic_msr_write(apic, 0x802, 1), "are read-only");
    tap_ok(!lapic_msr_read(apic, 0x80b, &value) && !lapic_msr_read(apic, 0x83f, &value),
           "EOI and self IPI are write-only");
    tap_ok(!lapic_msr_write(apic, 0x80b, 1) && !lapic_msr_write(apic, 0x828, 1)
               && !lapic_msr_write(apic, 0x808, 0x100) && !lapic_msr_write(apic, 0x80f, 1ull << 32),
           "bits that must be zero");
    tap_ok(!lapic_msr_read(apic, 0x80e, &value) && !lapic_msr_read(apic, 0x831, &value)
               && !lapic_msr_write(apic, 0x8ff, 0),
           "registers that do not exist");
    tap_ok(lapic_msr_write(apic, 0x83f, 0x88) && who_got(board, 0x88) == 1u << 3, "self IPI");
    for (unsigned i = 0; i < 3; i++)
        lapic_msr_write(apic_of(board, i), 0x1b, i ? 0xfee00c00 : 0xfee00d00);
    tap_ok(lapic_msr_write(apic, 0x830, 0x0000000100000040) && who_got(board, 0x40) == 2,
           "physical");
    tap_ok(lapic_msr_write(apic, 0x830, 0x0000000600000840) && who_got(board, 0x40) == 6,
           "logical");
    tap_ok(lapic_msr_write(apic, 0x830, 0x0001000600000840) && who_got(board, 0x40) == 0,
           "logical, another cluster");
    tap_ok(lapic_msr_write(apic, 0x830, 0xffffffff00000040) && who_got(board, 0x40) == 0xf,
           "broadcast");
    tap_ok(lapic_msr_write(apic, 0x830, 0x000000ff00000040) && who_got(board, 0x40) == 0,
           "0xff is an ordinary destination");
    tap_ok(lapic_msr_read(apic, 0x830, &value) && value == 0x000000ff00000040, "ICR reads back");
    apic_deliver_msi(&board->vm, 0xfee0600c, 0x50);
    tap_ok(who_got(board, 0x50) == 6, "messages reach logical identities of cluster 0");
    tap_ok(lapic_msr_write(apic, 0x1b, 0xfee00000) && lapic_msr_write(apic, 0x1b, 0xfee00800)
               && lapic_msr_write(apic, 0x1b, 0xfee00c00),
           "off, xAPIC, x2APIC again");
    lapic_reset(apic, true);
    tap_ok(lapic_msr_read(apic, 0x1b, &value) && value == 0xfee00c00
               && lapic_msr_read(apic, 0x80d, &value) && value == 8,
           "INIT keeps mode and identity");
}

static void test_relocation(struct test_board *board)
{
    enable_all(board);
    tap_ok(lapic_msr_write(apic_of(board, 0), 0x1b, 0xfef00900), "the window moves");
    tap_ok(mmio_read(board, 0xfef00030) == 0x50014 && reg(board, 0x30) == 0xffffffff,
           "to where the base says");
    lapic_reset(apic_of(board, 0), false);
    tap_ok(reg(board, 0x30) == 0x50014, "and back at reset");
}

static uint64_t tsc_is_ns(struct vcpu *vcpu, uint64_t tsc)
{
    return tsc;
}

static void test_timer(struct test_board *board)
{
    struct lapic *apic = apic_of(board, 0);
    uint64_t deadline;
    enable_all(board);
    set_reg(board, 0x320, 0x70);
    set_reg(board, 0x3e0, 0x0b); /* divide by 1 */
    set_reg(board, 0x380, 4000000000);
    uint32_t count = reg(board, 0x390);
    tap_ok(count > 0 && count <= 4000000000, "one-shot counts down");
    set_reg(board, 0x380, 5000000);
    run_loop_until(lapic_has_interrupt(apic));
    tap_ok(take(board) == 0x70 && reg(board, 0x390) == 0, "fires at zero");
    set_reg(board, 0xb0, 0);
    run_loop(20);
    tap_ok(take(board) == -1, "once");

    set_reg(board, 0x3e0, 0x03); /* divide by 16 */
    set_reg(board, 0x380, 0xffffffff);
    g_usleep(2000);
    count = 0xffffffff - reg(board, 0x390);
    tap_ok(count >= 2000000 / 16 && count < 100000000, "the divisor counts");
    set_reg(board, 0x380, 0);
    tap_ok(reg(board, 0x390) == 0, "zero stops it");

    set_reg(board, 0x320, 0x20071);
    set_reg(board, 0x3e0, 0x0b);
    set_reg(board, 0x380, 1000000);
    unsigned fired = 0;
    for (unsigned i = 0; i < 5; i++) {
        run_loop_until(lapic_has_interrupt(apic));
        fired += take(board) == 0x71;
        set_reg(board, 0xb0, 0);
    }
    tap_ok(fired == 5, "periodic fires again and again");
    set_reg(board, 0x380, 1);
    run_loop_until(lapic_has_interrupt(apic));
    tap_ok(take(board) == 0x71, "a period of 1 ns does not stop the world");
    set_reg(board, 0xb0, 0);
    set_reg(board, 0x320, 0x30071);
    run_loop(5);
    take(board);
    set_reg(board, 0xb0, 0);
    run_loop(5);
    tap_ok(take(board) == -1, "masked, it is silent");

    tap_ok(!lapic_msr_write(apic, 0x6e0, 1), "no deadline without conversion");
    lapic_set_tsc_conversion(apic, tsc_is_ns);
    set_reg(board, 0x320, 0x40072);
    tap_ok(lapic_msr_write(apic, 0x6e0, clock_now_ns() - 5) && take(board) == 0x72,
           "a deadline in the past fires at once");
    set_reg(board, 0xb0, 0);
    lapic_msr_write(apic, 0x6e0, clock_now_ns() + 3000000);
    tap_ok(lapic_msr_read(apic, 0x6e0, &deadline) && deadline, "a deadline is armed");
    run_loop_until(lapic_has_interrupt(apic));
    tap_ok(take(board) == 0x72 && lapic_msr_read(apic, 0x6e0, &deadline) && deadline == 0,
           "fires and is gone");
    set_reg(board, 0xb0, 0);
    lapic_msr_write(apic, 0x6e0, clock_now_ns() + 3000000);
    lapic_msr_write(apic, 0x6e0, 0);
    run_loop(10);
    tap_ok(take(board) == -1, "zero disarms");
    set_reg(board, 0x380, 1000);
    tap_ok(reg(board, 0x380) == 0, "the count is ignored in this mode");
}

/* Each CPU sends its next vector to the others and counts what it takes; a vector is sent again
 * only when it was taken, so that every single one must arrive. */
#define STORM_ROUNDS 20000
static atomic_uint taken[BOARD_MAX_CPUS];
static atomic_bool storm_over;

static void *storm_receiver(void *opaque)
{
    struct vcpu *vcpu = opaque;
    current_vcpu = vcpu;
    while (!atomic_load(&storm_over)) {
        if (!(atomic_exchange(&vcpu->requests, 0) & VCPU_INTERRUPT)) {
            sched_yield();
            continue;
        }
        while (lapic_has_interrupt(vcpu->apic)) {
            if (lapic_acknowledge(vcpu->apic) >= 0) {
                lapic_eoi(vcpu->apic);
                atomic_fetch_add(&taken[vcpu->index], 1);
            }
        }
    }
    return NULL;
}

static bool wait_taken(unsigned cpu, unsigned count)
{
    uint64_t end = clock_now_ns() + 5000000000ull;
    while (atomic_load(&taken[cpu]) != count) {
        if (clock_now_ns() > end)
            return false;
        sched_yield();
    }
    return true;
}

static void test_storm(struct test_board *board)
{
    pthread_t thread;
    bool lost = false;
    enable_all(board);
    pthread_create(&thread, NULL, storm_receiver, &board->cpus[1]);
    for (unsigned round = 0; round < STORM_ROUNDS && !lost; round++) {
        send_ipi(board, 1, 0x40 + round % 64);
        lost = !wait_taken(1, round + 1);
    }
    atomic_store(&storm_over, true);
    pthread_join(thread, NULL);
    tap_ok(!lost, "%d interrupts between two threads, none lost", STORM_ROUNDS);
}

int main(void)
{
    static void (*const tests[])(struct test_board * board) = {
        test_reset_state, test_priority,   test_destinations, test_lowest_priority, test_events,
        test_x2apic,      test_relocation, test_timer,        test_storm,
    };
    for (size_t i = 0; i < G_N_ELEMENTS(tests); i++) {
        struct test_board board;
        test_board_init(&board, 4);
        tests[i](&board);
        test_board_end(&board);
    }
    return tap_done();
}
