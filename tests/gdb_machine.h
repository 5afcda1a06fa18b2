/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A machine to debug whose engine executes nothing: a step ends at once, one byte further on. */
#ifndef YADO_TESTS_GDB_MACHINE_H
#define YADO_TESTS_GDB_MACHINE_H

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "vm/vm.h"
#include "x86/model.h"

#define GDB_MACHINE_CPUS 3
#define GDB_MACHINE_BIOS_BYTES 65536

static struct x86_model *gdb_machine_model;

static bool engine_yes(GError **error)
{
    return true;
}
static bool engine_vm_init(struct vm *vm, GError **error)
{
    gdb_machine_model =
        x86_model_new("max", X86_MODEL_BT, x86_host_cpuid, NULL, GDB_MACHINE_CPUS, 0, error);
    return gdb_machine_model != NULL;
}
static void engine_vm_destroy(struct vm *vm)
{
    g_clear_pointer(&gdb_machine_model, x86_model_free);
}
static bool engine_kernel_irqchip(struct vm *vm)
{
    return true;
}
static void engine_irq_set(struct vm *vm, unsigned gsi, bool level)
{
}
static bool engine_vcpu_init(struct vcpu *vcpu, GError **error)
{
    vcpu->cpu = aligned_alloc(64, sizeof(struct x86_cpu));
    memset(vcpu->cpu, 0, sizeof(struct x86_cpu));
    vcpu->cpu->index = vcpu->index;
    vcpu->cpu->model = gdb_machine_model;
    return true;
}
static void engine_vcpu_destroy(struct vcpu *vcpu)
{
    free(vcpu->cpu);
    vcpu->cpu = NULL;
}
static enum vcpu_exit engine_run(struct vcpu *vcpu)
{
    if (vcpu->debug.action == VCPU_STEP && !(atomic_load(&vcpu->requests) & VCPU_PAUSE)) {
        vcpu->cpu->rip++;
        vcpu->debug.stop = (struct debug_stop){ DEBUG_STEP, 0 };
        return VCPU_EXIT_DEBUG;
    }
    pthread_mutex_lock(&vcpu->sleep_lock);
    while (!(atomic_load(&vcpu->requests) & (VCPU_PAUSE | VCPU_EXIT)))
        pthread_cond_wait(&vcpu->wakeup, &vcpu->sleep_lock);
    pthread_mutex_unlock(&vcpu->sleep_lock);
    return VCPU_EXIT_REQUEST;
}
static void engine_nothing(struct vcpu *vcpu)
{
}
static bool engine_debug_update(struct vm *vm, GError **error)
{
    return true;
}

static const struct engine_ops gdb_machine_engine = {
    .name = "still",
    .description = "executes nothing",
    .probe = engine_yes,
    .vm_init = engine_vm_init,
    .vm_destroy = engine_vm_destroy,
    .kernel_irqchip = engine_kernel_irqchip,
    .irq_set = engine_irq_set,
    .vcpu_init = engine_vcpu_init,
    .vcpu_destroy = engine_vcpu_destroy,
    .run = engine_run,
    .kick = engine_nothing,
    .state_get = engine_nothing,
    .state_put = engine_nothing,
    .debug_update = engine_debug_update,
};

/* Stopped before its first instruction, with 1 MiB of RAM and `cpu_init` states of a reset. */
static struct vm *gdb_machine_new(void)
{
    g_autoptr(GError) error = NULL;
    struct vm_config *config = vm_config_new();
    static uint8_t bios[GDB_MACHINE_BIOS_BYTES];
    int fd = memfd_create("bios", 0);

    if (write(fd, bios, sizeof(bios)) != sizeof(bios))
        g_error("no room for a firmware");
    config->engines[0] = &gdb_machine_engine;
    config->cpus = GDB_MACHINE_CPUS;
    config->memory_bytes = 16 << 20;
    config->start_paused = true;
    config->bios = g_strdup_printf("/proc/self/fd/%d", fd);
    struct vm *vm = vm_create(config, &error);
    if (!vm || !vm_start(vm, &error))
        g_error("%s", error->message);
    close(fd);
    return vm;
}

#endif
