/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A guest gone mad: random accesses of all sizes to every port and register window of the board,
 * with interrupts taken and timers firing in between. Nothing may crash, hang or trip a sanitizer;
 * at the end the board still works after a reset. */
#include "test_board.h"

#define ROUNDS 300000

static const uint16_t busy_ports[] = {
    0x20,  0x21,  0xa0,  0xa1,  0x4d0, 0x4d1, 0x40,  0x41,  0x42,  0x43,  0x60,   0x61,
    0x64,  0x70,  0x71,  0x80,  0x92,  0xb2,  0x3f8, 0x3f9, 0x3fa, 0x3fb, 0x3fc,  0x3fd,
    0x3fe, 0x3ff, 0x501, 0x600, 0x602, 0x604, 0x608, 0x620, 0x623, 0xcf9, 0xffff,
};

static uint64_t random_value(GRand *rand)
{
    uint64_t value = (uint64_t)g_rand_int(rand) << 32 | g_rand_int(rand);
    return value >> g_rand_int_range(rand, 0, 64);
}

static void random_port(struct test_board *board, GRand *rand)
{
    uint16_t port = g_rand_int_range(rand, 0, 8)
                        ? busy_ports[g_rand_int_range(rand, 0, G_N_ELEMENTS(busy_ports))]
                        : g_rand_int_range(rand, 0, 0x10000);
    unsigned size = 1u << g_rand_int_range(rand, 0, 3);
    if (g_rand_boolean(rand))
        address_space_read(board->vm.io, port, size);
    else
        address_space_write(board->vm.io, port, random_value(rand), size);
}

static void random_memory(struct test_board *board, GRand *rand)
{
    uint64_t base = g_rand_boolean(rand) ? BOARD_IOAPIC_ADDRESS : BOARD_LAPIC_ADDRESS;
    uint64_t gpa = base
                   + (g_rand_boolean(rand) ? 16 * g_rand_int_range(rand, 0, 0x42)
                                           : g_rand_int_range(rand, -8, 0x1008));
    unsigned size = 1u << g_rand_int_range(rand, 0, 4);
    if (g_rand_boolean(rand))
        address_space_read(board->vm.memory, gpa, size);
    else
        address_space_write(board->vm.memory, gpa, random_value(rand), size);
}

static void random_msr(struct test_board *board, GRand *rand)
{
    struct lapic *apic = current_vcpu->apic;
    static const uint32_t odd[] = { 0x1b, 0x6e0 };
    uint32_t msr = odd[g_rand_int_range(rand, 0, 2)];
    if (g_rand_int_range(rand, 0, 4))
        msr = 0x800 + g_rand_int_range(rand, 0, 0x100);
    uint64_t value = random_value(rand);
    if (msr == 0x1b)
        value = BOARD_LAPIC_ADDRESS | (value & 0xd00);
    if (g_rand_boolean(rand))
        lapic_msr_read(apic, msr, &value);
    else
        lapic_msr_write(apic, msr, value);
}

static void random_event(struct test_board *board, GRand *rand)
{
    struct lapic *apic = current_vcpu->apic;
    switch (g_rand_int_range(rand, 0, 8)) {
    case 0:
        irq_set(&board->vm.gsi[g_rand_int_range(rand, 0, 24)], g_rand_boolean(rand));
        break;
    case 1:
        apic_deliver_msi(&board->vm, random_value(rand), random_value(rand));
        break;
    case 2:
        lapic_tpr_set(apic, random_value(rand));
        break;
    case 3:
        current_vcpu = &board->cpus[g_rand_int_range(rand, 0, board->config.cpus)];
        break;
    case 4:
        acpi_pm_power_button(&board->vm);
        break;
    case 5:
        g_main_context_iteration(NULL, FALSE);
        break;
    default:
        if (lapic_has_interrupt(apic))
            lapic_acknowledge(apic);
        break;
    }
}

int main(void)
{
    static const char *const types[] = { "pit",          "rtc",      "i8042",      "port92",
                                         "post",         "acpi-pm",  "isa-serial", "isa-debug-exit",
                                         "isa-debugcon", "fpu-error" };
    static void (*const actions[])(struct test_board * board, GRand * rand) = {
        random_port, random_port, random_memory, random_msr, random_event,
    };
    struct test_board board;
    g_autoptr(GRand) rand =
        g_rand_new_with_seed(g_getenv("YADO_SEED") ? atoi(g_getenv("YADO_SEED")) : 1);
    test_board_init(&board, 4);
    for (size_t i = 0; i < G_N_ELEMENTS(types); i++)
        test_board_add(&board, types[i]);
    atomic_store(&board.vm.asked, 1u << 31); /* resets and shutdowns are asked for in vain */
    for (unsigned i = 0; i < ROUNDS; i++)
        actions[g_rand_int_range(rand, 0, G_N_ELEMENTS(actions))](&board, rand);
    tap_ok(true, "%u random accesses", ROUNDS);

    current_vcpu = &board.cpus[0];
    for (guint i = 0; i < board.vm.devices->len; i++)
        device_reset(board.vm.devices->pdata[i]);
    for (unsigned i = 0; i < board.config.cpus; i++)
        lapic_reset(board.cpus[i].apic, false);
    for (unsigned gsi = 0; gsi < BOARD_GSI_COUNT; gsi++)
        irq_set(&board.vm.gsi[gsi], false);
    pic_program(&board);
    pulse(&board, 4);
    tap_ok(take(&board) == 0x24, "after a reset the 8259 works");
    mmio_write(&board, BOARD_LAPIC_ADDRESS + 0xf0, 0x1ff);
    mmio_write(&board, BOARD_IOAPIC_ADDRESS, 0x10 + 2 * 7);
    mmio_write(&board, BOARD_IOAPIC_ADDRESS + 0x10, 0x47);
    mmio_write(&board, BOARD_LAPIC_ADDRESS + 0x350, 0x10000);
    pulse(&board, 7);
    tap_ok(take(&board) == 0x47, "and the I/O APIC");
    test_board_end(&board);
    return tap_done();
}
