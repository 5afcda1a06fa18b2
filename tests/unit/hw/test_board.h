/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A machine with devices and local APICs, but without engine, vCPU threads or guest: tests play the
 * guest through the address spaces. Timers run when the test lets the main loop run. */
#ifndef YADO_TESTS_TEST_BOARD_H
#define YADO_TESTS_TEST_BOARD_H

#include "hw/board.h"
#include "hw/intc/apic.h"
#include "tap.h"
#include "util/timer.h"
#include "vm/vm.h"

#define BOARD_MAX_CPUS 4

struct test_board {
    struct vm vm;
    struct vm_config config;
    struct vcpu *slots[BOARD_MAX_CPUS], cpus[BOARD_MAX_CPUS];
};

/* Interrupt controllers and local APICs; other devices with test_board_add(). */
G_GNUC_UNUSED
static void test_board_init(struct test_board *board, unsigned cpus)
{
    static bool timers_running;
    if (!timers_running)
        timers_running = timers_start(NULL);
    memset(board, 0, sizeof(*board));
    struct vm *vm = &board->vm;
    board->config.cpus = cpus;
    board->config.topology = (struct x86_topology){ 1, 1, cpus, 1 };
    vm->config = &board->config;
    vm->devices = g_ptr_array_new();
    vm->memory = address_space_new("memory", 1ull << 52);
    vm->smm_memory = address_space_new_over("smm", vm->memory);
    vm->io = address_space_new("io", 1 << 16);
    vm->vcpus = board->slots;
    for (unsigned i = 0; i < cpus; i++) {
        struct vcpu *vcpu = &board->cpus[i];
        vcpu->vm = vm;
        vcpu->index = i;
        pthread_mutex_init(&vcpu->sleep_lock, NULL);
        pthread_cond_init(&vcpu->wakeup, NULL);
        board->slots[i] = vcpu;
        vcpu->apic = lapic_create(vm, vcpu);
    }
    g_autoptr(GError) error = NULL;
    if (!board_interrupts_create(vm, &error) || !board_device_create(vm, "isabus-bridge", &error))
        tap_ok(false, "board: %s", error->message);
    current_vcpu = &board->cpus[0];
}

G_GNUC_UNUSED
static struct device *test_board_add(struct test_board *board, const char *type)
{
    g_autoptr(GError) error = NULL;
    struct device *dev = board_device_create(&board->vm, type, &error);
    if (!dev)
        tap_ok(false, "device %s: %s", type, error->message);
    return dev;
}

G_GNUC_UNUSED
static void test_board_end(struct test_board *board)
{
    struct vm *vm = &board->vm;
    current_vcpu = NULL;
    while (vm->devices->len)
        device_free(vm->devices->pdata[vm->devices->len - 1]);
    for (unsigned i = 0; i < board->config.cpus; i++)
        lapic_free(board->cpus[i].apic);
    g_ptr_array_unref(vm->devices);
    g_free(vm->gsi);
    g_free(vm->shared_gsi);
    address_space_free(vm->smm_memory);
    address_space_free(vm->memory);
    address_space_free(vm->io);
}

G_GNUC_UNUSED
static void outb(struct test_board *board, uint16_t port, uint8_t value)
{
    address_space_write(board->vm.io, port, value, 1);
}

G_GNUC_UNUSED
static uint8_t inb(struct test_board *board, uint16_t port)
{
    return address_space_read(board->vm.io, port, 1);
}

G_GNUC_UNUSED
static void mmio_write(struct test_board *board, uint64_t gpa, uint32_t value)
{
    address_space_write(board->vm.memory, gpa, value, 4);
}

G_GNUC_UNUSED
static uint32_t mmio_read(struct test_board *board, uint64_t gpa)
{
    return address_space_read(board->vm.memory, gpa, 4);
}

/* Lets timers fire for `ms` of real time. */
G_GNUC_UNUSED
static void run_loop(unsigned ms)
{
    uint64_t end = clock_now_ns() + ms * 1000000ull;
    while (clock_now_ns() < end) {
        while (g_main_context_iteration(NULL, FALSE))
            ;
        g_usleep(200);
    }
}

/* Lets timers fire until `condition` holds, five seconds at most. */
#define run_loop_until(condition) \
    do { \
        uint64_t end_ = clock_now_ns() + 5000000000ull; \
        while (!(condition) && clock_now_ns() < end_) \
            run_loop(1); \
    } while (0)

/* Starts the 8259 pair as PCs do: vectors 0x20 and 0x28, all inputs open. */
G_GNUC_UNUSED
static void pic_program(struct test_board *board)
{
    static const uint8_t master[] = { 0x20, 0x04, 0x01 }, slave[] = { 0x28, 0x02, 0x01 };
    outb(board, 0x20, 0x11);
    outb(board, 0xa0, 0x11);
    for (size_t i = 0; i < 3; i++) {
        outb(board, 0x21, master[i]);
        outb(board, 0xa1, slave[i]);
    }
    outb(board, 0x21, 0);
    outb(board, 0xa1, 0);
}

/* The vector the boot CPU would take now, -1 if none. */
G_GNUC_UNUSED
static int take(struct test_board *board)
{
    struct lapic *apic = board->cpus[0].apic;
    return lapic_has_interrupt(apic) ? lapic_acknowledge(apic) : -1;
}

G_GNUC_UNUSED
static void pulse(struct test_board *board, unsigned gsi)
{
    irq_set(&board->vm.gsi[gsi], true);
    irq_set(&board->vm.gsi[gsi], false);
}

#endif
