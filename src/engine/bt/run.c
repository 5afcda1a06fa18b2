/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The engine as the machine sees it: set-up, the vCPU's loop outside translated code, requests from
 * other threads. */
#include <asm/prctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "engine/bt/bt.h"
#include "engine/bt/translate.h"
#include "hw/intc/apic.h"
#include "memory/memory.h"
#include "vm/vm.h"
#include "x86/access.h"
#include "x86/exception.h"
#include "x86/log.h"
#include "x86/model.h"

struct engine_vm {
    struct bt bt;
};

static struct bt *bt_of_vm(struct vm *vm)
{
    return &vm->engine_vm->bt;
}

/* ---- machine
 * ------------------------------------------------------------------------------------------ */

static bool bt_probe(GError **error)
{
    __builtin_cpu_init();
    if (!__builtin_cpu_supports("bmi2") || !__builtin_cpu_supports("avx"))
        return fail(
            error,
            "the translator needs a host CPU with AVX and BMI2 (Intel since 2013, AMD since 2015)");
    return true;
}

static void add_range(const struct region *region, uint64_t base, uint64_t size, uint64_t offset,
                      void *opaque)
{
    struct bt_memory *memory = opaque;
    if (region->kind == REGION_IO || memory->count == BT_RANGES)
        return;
    memory->range[memory->count++] = (struct bt_range){
        .base = base,
        .size = size,
        .host = region->host + offset,
        .writable = region->kind == REGION_RAM,
    };
}

/* Changes of the memory's topology are made with no other vCPU in guest code, where it could look
 * at what it has found out before. They nest where several spaces change. */
static _Thread_local unsigned changes_begun;

static struct bt_vcpu *current(void)
{
    return current_vcpu && current_vcpu->cpu ? bt_of(current_vcpu->cpu) : NULL;
}

static void memory_change_begin(void *opaque)
{
    struct bt *bt = opaque;
    if (bt->vcpu_count && !changes_begun++)
        bt_exclusive_begin(bt, current());
}

static void memory_change_end(void *opaque)
{
    struct bt *bt = opaque;
    if (changes_begun && !--changes_begun)
        bt_exclusive_end(bt, current());
}

/* vm->smm_memory changed, and with it perhaps what it lies over. */
static void memory_changed(struct address_space *space, void *opaque)
{
    struct bt *bt = opaque;
    struct bt_memory before[2];
    struct bt_vcpu *self = current();
    memcpy(before, bt->memory, sizeof(before));
    bt->memory[0].count = bt->memory[1].count = 0;
    address_space_visit(bt->vm->memory, add_range, &bt->memory[0]);
    address_space_visit(bt->vm->smm_memory, add_range, &bt->memory[1]);
    bt_drop_moved_code(bt, before);
    for (unsigned i = 0; i < bt->vcpu_count; i++)
        bt_tlb_flush_all(&bt->vcpus[i]->cpu, false);
    if (self) /* the block it is in may have looked things up before */
        vcpu_request(self->vcpu, VCPU_ENGINE);
}

/* Device DMA: drops the translations of what was written. Any thread. A translator marks the page
 * before it reads the bytes: by the fence, it reads the new ones or the mark is seen here. */
static void device_wrote(void *opaque, uint64_t gpa, uint64_t length)
{
    struct bt *bt = opaque;
    atomic_thread_fence(memory_order_seq_cst);
    for (uint64_t page = gpa >> 12; page <= (gpa + length - 1) >> 12 && page < bt->page_count;
         page++) {
        if (__atomic_load_n(&bt->page_flags[page], __ATOMIC_SEQ_CST) & PAGE_CODE) {
            bt_invalidate(bt, gpa, length);
            return;
        }
    }
}

static bool bt_vm_init(struct vm *vm, GError **error)
{
    vm->engine_vm = g_new0(struct engine_vm, 1);
    struct bt *bt = bt_of_vm(vm);
    bt->vm = vm;
    pthread_mutex_init(&bt->exclusive_lock, NULL);
    pthread_cond_init(&bt->exclusive_cond, NULL);
    bt_clock_init(bt);
    uint32_t low, high;
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    bt->host_xcr0 = (uint64_t)high << 32 | low;
    bt->model = x86_model_new(vm->config->cpu ? vm->config->cpu : "max", X86_MODEL_BT,
                              x86_host_cpuid, NULL, vm->config->cpus, 0, error);
    if (bt->model)
        x86_model_set_topology(bt->model, &vm->config->topology);
    if (!bt->model || !bt_cache_init(bt, error) || !bt_signals_init(bt, error))
        return false;
    bt->vcpus = g_new0(struct bt_vcpu *, vm->config->cpus);
    uint64_t top = vm->ram.size + (4ull << 30);
    bt->page_count = top >> 12;
    bt->page_flags = mmap(NULL, bt->page_count, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (bt->page_flags == MAP_FAILED)
        return fail_errno(error, "cannot map the translator's page flags");
    memory_changed(vm->smm_memory, bt);
    const struct address_space_listener listener = {
        .begin = memory_change_begin,
        .changed = memory_changed,
        .end = memory_change_end,
        .opaque = bt,
    };
    address_space_listen(vm->smm_memory, &listener);
    ram_written_listen(vm->memory, device_wrote, bt);
    return true;
}

static void bt_vm_destroy(struct vm *vm)
{
    struct bt *bt = bt_of_vm(vm);
    if (!bt)
        return;
    bt_debug_destroy(bt);
    bt_signals_end(bt);
    if (bt->code_exec)
        bt_cache_destroy(bt);
    if (bt->page_flags && bt->page_flags != MAP_FAILED)
        munmap(bt->page_flags, bt->page_count);
    x86_model_free(bt->model);
    pthread_mutex_destroy(&bt->exclusive_lock);
    pthread_cond_destroy(&bt->exclusive_cond);
    g_free(bt->vcpus);
    g_free(vm->engine_vm);
    vm->engine_vm = NULL;
}

static bool bt_kernel_irqchip(struct vm *vm)
{
    return false;
}

static bool bt_smm(struct vm *vm)
{
    return true;
}

/* ---- exclusive execution
 * ---------------------------------------------------------------------------- */

/* `v` is the calling vCPU, or NULL on other threads. Returns when no other vCPU is in guest
 * code. */
void bt_exclusive_begin(struct bt *bt, struct bt_vcpu *v)
{
    pthread_mutex_lock(&bt->exclusive_lock);
    if (v && v->running) {
        bt->running--;
        pthread_cond_broadcast(&bt->exclusive_cond);
    }
    while (bt->exclusive)
        pthread_cond_wait(&bt->exclusive_cond, &bt->exclusive_lock);
    bt->exclusive = true;
    pthread_mutex_unlock(&bt->exclusive_lock);
    for (unsigned i = 0; i < bt->vcpu_count; i++)
        if (bt->vcpus[i] != v)
            vcpu_request(bt->vcpus[i]->vcpu, VCPU_ENGINE);
    pthread_mutex_lock(&bt->exclusive_lock);
    while (bt->running)
        pthread_cond_wait(&bt->exclusive_cond, &bt->exclusive_lock);
    pthread_mutex_unlock(&bt->exclusive_lock);
}

void bt_exclusive_end(struct bt *bt, struct bt_vcpu *v)
{
    pthread_mutex_lock(&bt->exclusive_lock);
    bt->exclusive = false;
    if (v && v->running)
        bt->running++;
    pthread_cond_broadcast(&bt->exclusive_cond);
    pthread_mutex_unlock(&bt->exclusive_lock);
}

static void run_guest(struct bt_vcpu *v)
{
    struct bt *bt = v->bt;
    pthread_mutex_lock(&bt->exclusive_lock);
    while (bt->exclusive)
        pthread_cond_wait(&bt->exclusive_cond, &bt->exclusive_lock);
    bt->running++;
    v->running = true;
    pthread_mutex_unlock(&bt->exclusive_lock);

    bt_control_update(v);
    bt->thunk.enter();
    x86_quiesce(&v->cpu);

    pthread_mutex_lock(&bt->exclusive_lock);
    bt->running--;
    v->running = false;
    pthread_cond_broadcast(&bt->exclusive_cond);
    pthread_mutex_unlock(&bt->exclusive_lock);
}

void bt_page_has_code(struct bt_vcpu *v, uint64_t gpa)
{
    struct bt *bt = v->bt;
    if (gpa >> 12 >= bt->page_count)
        return;
    uint8_t *flags = &bt->page_flags[gpa >> 12];
    /* Also if it was marked before: who did it may still be waiting to take the entries back. */
    if (!(__atomic_fetch_or(flags, PAGE_CODE, __ATOMIC_SEQ_CST) & PAGE_WRITTEN))
        return;
    if (bt->vcpu_count > 1)
        bt_exclusive_begin(bt, v);
    bt_tlb_protect(bt, gpa);
    __atomic_and_fetch(flags, (uint8_t)~PAGE_WRITTEN, __ATOMIC_SEQ_CST);
    if (bt->vcpu_count > 1)
        bt_exclusive_end(bt, v);
}

void bt_fetch_bytes(const struct bt_vcpu *v, uint64_t gpa, uint8_t *to, unsigned length)
{
    const struct bt_range *range = bt_range_find(v, gpa);
    if (range && gpa - range->base + length <= range->size)
        memcpy(to, range->host + (gpa - range->base), length);
    else
        memset(to, 0xff, length);
}

/* ---- hooks for src/x86
 * ---------------------------------------------------------------------------------- */

void bt_control_update(struct bt_vcpu *v)
{
    struct x86_cpu *cpu = &v->cpu;
    struct bt *bt = v->bt;
    struct bt_control control = { cpu->cr0 & CONTROL_CR0, cpu->cr4 & CONTROL_CR4, cpu->xcr0 };
    if (control.cr0 == v->control.cr0 && control.cr4 == v->control.cr4
        && control.xcr0 == v->control.xcr0)
        return;
    x86_quiesce(cpu);
    pthread_mutex_lock(&bt->exclusive_lock);
    unsigned i = 0;
    while (i < bt->control_count && memcmp(&bt->controls[i], &control, sizeof(control)))
        i++;
    bool full = i == CONTROLS;
    if (!full && i == bt->control_count)
        bt->controls[bt->control_count++] = control;
    pthread_mutex_unlock(&bt->exclusive_lock);
    if (full) { /* only a guest that tries can get here: start anew */
        bt_exclusive_begin(bt, v);
        bt->control_count = 0;
        for (unsigned n = 0; n < bt->vcpu_count; n++)
            bt->vcpus[n]->control.xcr0 = ~0ull;
        bt_exclusive_end(bt, v);
        bt_flush_code(v->bt, v);
        bt_control_update(v);
        return;
    }
    v->control = control;
    v->foreign_xstate = bt->host_xcr0 & ~cpu->xcr0;
    v->control_mode = i << MODE_CONTROL_SHIFT;
}

static void hook_mode_changed(struct x86_cpu *cpu)
{
    bt_of(cpu)->remapped = true;
    bt_control_update(bt_of(cpu));
}

static uint64_t hook_io_read(struct x86_cpu *cpu, uint16_t port, unsigned size)
{
    x86_quiesce(cpu);
    return address_space_read(bt_of(cpu)->vcpu->vm->io, port, size);
}

static void hook_io_write(struct x86_cpu *cpu, uint16_t port, uint64_t value, unsigned size)
{
    x86_quiesce(cpu);
    address_space_write(bt_of(cpu)->vcpu->vm->io, port, value, size);
}

static uint8_t hook_tpr_read(struct x86_cpu *cpu)
{
    x86_quiesce(cpu);
    return lapic_tpr_get(bt_of(cpu)->vcpu->apic) >> 4;
}
static void hook_tpr_write(struct x86_cpu *cpu, uint8_t tpr_class)
{
    x86_quiesce(cpu);
    lapic_tpr_set(bt_of(cpu)->vcpu->apic, tpr_class << 4);
}
static bool hook_apic_msr_read(struct x86_cpu *cpu, uint32_t msr, uint64_t *value)
{
    x86_quiesce(cpu);
    return lapic_msr_read(bt_of(cpu)->vcpu->apic, msr, value);
}
static bool hook_apic_msr_write(struct x86_cpu *cpu, uint32_t msr, uint64_t value)
{
    x86_quiesce(cpu);
    return lapic_msr_write(bt_of(cpu)->vcpu->apic, msr, value);
}

static void hook_halt(struct x86_cpu *cpu)
{
    cpu->halted = true;
}

/* IF was set, or the shadow ended: is somebody waiting for it? */
static void hook_interrupts_changed(struct x86_cpu *cpu)
{
    struct bt_vcpu *v = bt_of(cpu);
    if (v->irq_wanted)
        v->remapped = true; /* back to bt_next() after this instruction */
}

static const struct x86_engine_ops hooks = {
    .unwind = bt_unwind,
    .lookup = bt_hook_lookup,
    .ram = bt_ram,
    .fill = bt_hook_fill,
    .flush_all = bt_tlb_flush_all,
    .flush_page = bt_tlb_flush_page,
    .mode_changed = hook_mode_changed,
    .phys_read = bt_phys_read,
    .phys_write = bt_phys_write,
    .phys_cas = bt_phys_cas,
    .io_read = hook_io_read,
    .io_write = hook_io_write,
    .apic_tpr_read = hook_tpr_read,
    .apic_tpr_write = hook_tpr_write,
    .apic_msr_read = hook_apic_msr_read,
    .apic_msr_write = hook_apic_msr_write,
    .pv_msr_read = bt_pv_msr_read,
    .pv_msr_write = bt_pv_msr_write,
    .halt = hook_halt,
    .interrupts_changed = hook_interrupts_changed,
    .fpu_to_memory = bt_fpu_to_memory,
    .fpu_from_memory = bt_fpu_from_memory,
    .accessed = bt_debug_accessed,
    .tsc_read = bt_tsc_read,
};

/* ---- vCPU ------------------------------------------------------------------------------------ */

static void *map_guarded(size_t bytes, size_t guard)
{
    uint8_t *memory = mmap(NULL, bytes + 2 * guard, PROT_NONE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED || mprotect(memory + guard, bytes, PROT_READ | PROT_WRITE) < 0)
        return NULL;
    return memory;
}

static bool bt_vcpu_init(struct vcpu *vcpu, GError **error)
{
    struct bt *bt = bt_of_vm(vcpu->vm);
    struct bt_vcpu *v = mmap(NULL, sizeof(*v), PROT_READ | PROT_WRITE,
                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (v == MAP_FAILED)
        return fail_errno(error, "cannot map the state of CPU %u", vcpu->index);
    vcpu->engine = v;
    vcpu->cpu = &v->cpu;
    v->self = v;
    v->schedstat = -1;
    v->bt = bt;
    v->vcpu = vcpu;
    v->cpu.index = vcpu->index;
    v->cpu.model = bt->model;
    v->cpu.ops = &hooks;
    v->cpu.engine = v;
    v->cpu.a20_mask = ~0ull;
    v->go_on = 1;
    v->jump_mask = JUMP_MASK;
    v->flags_mask = FLAGS_ARITHMETIC;
    v->not_if_mask = ~(uint64_t)FLAG_IF;
    v->not_ac_mask = ~(uint64_t)FLAG_AC;
    v->not_df_mask = ~(uint64_t)FLAG_DF;
    v->bit0_mask = 1;
    v->bit_index_mask[0] = 31;
    v->bit_index_mask[1] = 63;
    v->translator = g_new0(struct translator, 1);
    v->return_stack = map_guarded(RETURN_STACK_BYTES, 4096);
    v->bounce_memory = map_guarded(BOUNCE_BYTES, BOUNCE_GUARD);
    if (!v->return_stack || !v->bounce_memory)
        return fail_errno(error, "cannot map the stacks of CPU %u", vcpu->index);
    v->return_base = (uint64_t)v->return_stack + 4096 + RETURN_STACK_BYTES - 16;
    bt_tlb_init(v);
    if (!bt_signals_thread(v, error))
        return false;
    if (syscall(SYS_arch_prctl, ARCH_SET_GS, v) < 0)
        return fail_errno(error, "cannot set the GS base of CPU %u", vcpu->index);
    vcpu->apic = lapic_create(vcpu->vm, vcpu);
    lapic_set_tsc_conversion(vcpu->apic, bt_tsc_to_clock);
    lapic_set_eoi_collector(vcpu->apic, bt_pv_eoi_collect);
    v->control.xcr0 = ~0ull; /* none yet */
    x86_cpu_reset(&v->cpu, false);
    bt_control_update(v);

    pthread_mutex_lock(&bt->exclusive_lock);
    bt->vcpus[bt->vcpu_count++] = v;
    pthread_mutex_unlock(&bt->exclusive_lock);
    return true;
}

static void bt_vcpu_destroy(struct vcpu *vcpu)
{
    struct bt_vcpu *v = vcpu->engine;
    bt_signals_thread_end(v);
    if (v->schedstat >= 0)
        close(v->schedstat);
    munmap(v->return_stack, RETURN_STACK_BYTES + 2 * 4096);
    munmap(v->bounce_memory, BOUNCE_BYTES + 2 * BOUNCE_GUARD);
    g_free(v->translator);
}

static void init_and_sipi(struct bt_vcpu *v, unsigned requests)
{
    struct x86_cpu *cpu = &v->cpu;
    struct vcpu *vcpu = v->vcpu;
    if (requests & VCPU_INIT) {
        atomic_fetch_and(&vcpu->requests, ~(unsigned)VCPU_INIT);
        if (cpu->smm) {
            cpu->init_pending = true;
            return;
        }
        if (x86_log_on(cpu, LOG_CPU_RESET))
            x86_log_reset(cpu, "CPU Reset by INIT");
        x86_cpu_reset(cpu, true);
        lapic_reset(vcpu->apic, true);
        cpu->wait_for_sipi = vcpu->index != 0;
        bt_state_changed(v);
    }
    if (requests & VCPU_SIPI) {
        atomic_fetch_and(&vcpu->requests, ~(unsigned)VCPU_SIPI);
        if (cpu->wait_for_sipi) {
            uint8_t vector = atomic_load(&vcpu->sipi_vector);
            cpu->wait_for_sipi = false;
            cpu->halted = false;
            cpu->seg[SEG_CS].selector = vector << 8;
            cpu->seg[SEG_CS].base = (uint64_t)vector << 12;
            cpu->rip = 0;
        }
    }
}

/* Whoever changed the state behind the translator's back (reset, load, debugger) ends here. */
void bt_state_changed(struct bt_vcpu *v)
{
    v->fault_pending = v->stepping = v->singly = v->pv_eoi_offered = false;
    v->irq_wanted = 1; /* have a look */
    bt_control_update(v);
    v->cpu.fpu_in_host = false;
    bt_tlb_flush_all(&v->cpu, false);
}

static void sleep_until_request(struct bt_vcpu *v)
{
    struct vcpu *vcpu = v->vcpu;
    pthread_mutex_lock(&vcpu->sleep_lock);
    while (!atomic_load(&vcpu->requests))
        pthread_cond_wait(&vcpu->wakeup, &vcpu->sleep_lock);
    pthread_mutex_unlock(&vcpu->sleep_lock);
}

static enum vcpu_exit bt_run(struct vcpu *vcpu)
{
    struct bt_vcpu *v = vcpu->engine;
    struct x86_cpu *cpu = &v->cpu;
    bt_debug_begin(v);
    for (;;) {
        unsigned requests = atomic_load(&vcpu->requests);
        if (requests & (VCPU_PAUSE | VCPU_EXIT))
            return VCPU_EXIT_REQUEST;
        if (requests & (VCPU_INIT | VCPU_SIPI))
            init_and_sipi(v, requests);
        if (requests & VCPU_ENGINE) {
            atomic_fetch_and(&vcpu->requests, ~(unsigned)VCPU_ENGINE);
            uint64_t a20 = atomic_load(&vcpu->vm->a20_off) ? ~(1ull << 20) : ~0ull;
            if (a20 != cpu->a20_mask) {
                cpu->a20_mask = a20;
                bt_tlb_flush_all(cpu, false);
            }
        }
        if (cpu->wait_for_sipi) {
            unsigned taken = VCPU_INTERRUPT | VCPU_NMI | VCPU_SMI;
            if (atomic_fetch_and(&vcpu->requests, ~taken) & VCPU_SMI)
                cpu->smi_pending = true; /* for when it runs */
            sleep_until_request(v);
            continue;
        }
        if (cpu->halted && !(requests & (VCPU_INTERRUPT | VCPU_NMI | VCPU_SMI)) && !cpu->nmi_pending
            && !(cpu->smi_pending && !cpu->smm) && !(v->irq_wanted && cpu->rflags & FLAG_IF)) {
            sleep_until_request(v);
            continue;
        }
        bt_pv_update(v);
        v->exit = VCPU_EXIT_REQUEST;
        run_guest(v);
        if (v->exit != VCPU_EXIT_REQUEST)
            return v->exit;
    }
}

static void bt_kick(struct vcpu *vcpu)
{
    struct bt_vcpu *v = vcpu->engine;
    if (!v)
        return;
    __atomic_store_n(&v->jump_mask, 0, __ATOMIC_SEQ_CST);
    __atomic_store_n(&v->go_on, 0, __ATOMIC_SEQ_CST);
}

static void bt_state_get(struct vcpu *vcpu)
{
    struct bt_vcpu *v = vcpu->engine;
    bt_pv_eoi_collect(vcpu);
    v->cpu.cr8 = lapic_tpr_get(vcpu->apic) >> 4;
}

/* After a reset, memory holds other code than before: the loader does not tell. */
static void bt_state_put(struct vcpu *vcpu)
{
    struct bt_vcpu *v = vcpu->engine;
    if (vcpu->index == 0 && v->bt->block_count)
        bt_flush_code(v->bt, v);
    bt_state_changed(v);
    bt_pv_restore(v);
}

static void bt_registers_put(struct vcpu *vcpu)
{
    struct bt_vcpu *v = vcpu->engine;
    lapic_tpr_set(vcpu->apic, v->cpu.cr8 << 4);
    bt_state_changed(v);
}

static bool debug_update(struct vm *vm, GError **error)
{
    bt_debug_update(bt_of_vm(vm));
    return true;
}

/* Main loop. What was decided when code was translated is decided anew. */
static void bt_translate_again(struct vm *vm)
{
    bt_flush_code(bt_of_vm(vm), NULL);
}

const struct engine_ops engine_bt = {
    .name = "bt",
    .description = "binary translation to the same instruction set, runs everywhere",
    .probe = bt_probe,
    .vm_init = bt_vm_init,
    .vm_destroy = bt_vm_destroy,
    .kernel_irqchip = bt_kernel_irqchip,
    .smm = bt_smm,
    .vcpu_init = bt_vcpu_init,
    .vcpu_destroy = bt_vcpu_destroy,
    .run = bt_run,
    .kick = bt_kick,
    .state_get = bt_state_get,
    .state_put = bt_state_put,
    .registers_put = bt_registers_put,
    .debug_update = debug_update,
    .translate_again = bt_translate_again,
};
