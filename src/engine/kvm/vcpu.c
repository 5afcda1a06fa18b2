/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One virtual CPU under KVM.
 *
 * A kick must not be lost between the look at vcpu->requests and the entry into the guest. So the
 * kicker sets run->immediate_exit first, which makes an entry return at once, and then, if the
 * thread may already be in the guest, sends a signal, which makes it leave. The vCPU clears
 * immediate_exit before it looks at the requests. (api.rst, "The kvm_run structure") */
#include "engine/kvm/kvm.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>

#include "util/log.h"
#include "vm/debug.h"
#include "vm/vm.h"
#include "x86/disassemble.h"
#include "x86/dump.h"
#include "x86/inspect.h"

#define KICK_SIGNAL SIGUSR1

static void kick_received(int signal)
{
}

static void kick_signal_enable(void)
{
    struct sigaction action = { .sa_handler = kick_received, .sa_flags = SA_RESTART };
    sigaction(KICK_SIGNAL, &action, NULL);
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, KICK_SIGNAL);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

bool kvm_vcpu_init(struct vcpu *vcpu, GError **error)
{
    struct engine_vm *kvm = vcpu->vm->engine_vm;
    struct kvm_vcpu *state = g_new0(struct kvm_vcpu, 1);
    state->fd = -1;
    state->thread = pthread_self();
    vcpu->engine = state;
    kick_signal_enable();

    state->fd = ioctl(kvm->fd, KVM_CREATE_VCPU, (unsigned long)vm_apic_id(vcpu->vm, vcpu->index));
    if (state->fd < 0)
        return fail_errno(error, "KVM cannot create CPU %u", vcpu->index);
    void *shared = mmap(NULL, kvm->run_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, state->fd, 0);
    if (shared == MAP_FAILED)
        return fail_errno(error, "KVM's area of CPU %u cannot be mapped", vcpu->index);
    state->run = shared;
    if (!vcpu->cpu) {
        vcpu->cpu = aligned_alloc(64, sizeof(struct x86_cpu));
        if (!vcpu->cpu)
            return fail(error, "no memory for the state of CPU %u", vcpu->index);
        memset(vcpu->cpu, 0, sizeof(struct x86_cpu));
    }
    vcpu->cpu->index = vcpu->index;
    vcpu->cpu->engine = state;
    vcpu->cpu->model = kvm->model;
    kvm_apic_create(vcpu);
    return kvm_cpuid_load(vcpu, error);
}

void kvm_vcpu_destroy(struct vcpu *vcpu)
{
    struct kvm_vcpu *state = kvm_vcpu_of(vcpu);
    if (!state)
        return;
    kvm_apic_free(vcpu);
    if (state->run)
        munmap(state->run, vcpu->vm->engine_vm->run_bytes);
    util_close_fd(&state->fd);
    free(vcpu->cpu);
    vcpu->cpu = NULL;
    g_free(state);
    vcpu->engine = NULL;
}

void kvm_vcpu_kick(struct vcpu *vcpu)
{
    struct kvm_vcpu *state = kvm_vcpu_of(vcpu);
    if (!state || !state->run)
        return;
    __atomic_store_n(&state->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
    if (atomic_load(&state->in_kernel))
        pthread_kill(state->thread, KICK_SIGNAL);
}

static int enter_guest(struct vcpu *vcpu)
{
    struct kvm_vcpu *state = kvm_vcpu_of(vcpu);
    if (vcpu->apic)
        kvm_apic_before_entry(vcpu);
    atomic_store(&state->in_kernel, true);
    int result = ioctl(state->fd, KVM_RUN, 0) < 0 ? -errno : 0;
    atomic_store(&state->in_kernel, false);
    if (vcpu->apic)
        kvm_apic_after_exit(vcpu);
    return result;
}

static uint64_t value_read(const void *data, unsigned size)
{
    uint64_t value = 0;
    memcpy(&value, data, size);
    return value;
}

static void exit_io(struct vcpu *vcpu)
{
    const struct kvm_run *run = kvm_vcpu_of(vcpu)->run;
    uint8_t *data = (uint8_t *)run + run->io.data_offset;
    unsigned size = run->io.size;
    for (uint32_t i = 0; i < run->io.count; i++, data += size) {
        if (run->io.direction == KVM_EXIT_IO_OUT) {
            address_space_write(vcpu->vm->io, run->io.port, value_read(data, size), size);
        } else {
            uint64_t value = address_space_read(vcpu->vm->io, run->io.port, size);
            memcpy(data, &value, size);
        }
    }
}

/* An access that crosses a page can have any length up to 8: it is done in powers of two. */
static void exit_mmio(struct vcpu *vcpu)
{
    struct kvm_run *run = kvm_vcpu_of(vcpu)->run;
    uint64_t addr = run->mmio.phys_addr;
    unsigned left = MIN(run->mmio.len, sizeof(run->mmio.data));
    for (uint8_t *data = run->mmio.data; left;) {
        unsigned size = left >= 8 ? 8 : left >= 4 ? 4 : left >= 2 ? 2 : 1;
        if (run->mmio.is_write) {
            address_space_write(vcpu->vm->memory, addr, value_read(data, size), size);
        } else {
            uint64_t value = address_space_read(vcpu->vm->memory, addr, size);
            memcpy(data, &value, size);
        }
        addr += size;
        data += size;
        left -= size;
    }
}

static void exit_system_event(struct vcpu *vcpu)
{
    switch (kvm_vcpu_of(vcpu)->run->system_event.type) {
    case KVM_SYSTEM_EVENT_SHUTDOWN:
        vm_request_shutdown(vcpu->vm, VM_SHUTDOWN_GUEST);
        break;
    case KVM_SYSTEM_EVENT_RESET:
        vm_request_reset(vcpu->vm);
        break;
    default:
        vm_request_shutdown(vcpu->vm, VM_SHUTDOWN_ERROR);
    }
}

#define CODE_BEFORE 32
#define CODE_AFTER 32

/* "Code=" and the bytes around the next instruction, its first in <>; "??" where nothing is mapped.
 */
static void dump_code(struct vcpu *vcpu, struct text *text)
{
    uint64_t linear = x86_linear_rip(vcpu->cpu), start = linear - MIN(linear, CODE_BEFORE);
    uint8_t bytes[X86_INSN_BYTES];

    text_add(text, "Code=");
    for (uint64_t at = start; at - linear < CODE_AFTER || at < linear; at++) {
        uint8_t byte;
        bool there = debug_read(vcpu, at, &byte, 1), next = at == linear;
        text_add(text, next ? "<" : "");
        text_add(text, there ? "%02x" : "??", there ? byte : 0);
        text_add(text, next ? "> " : " ");
    }
    text_add(text, "\n");
    size_t count = debug_read(vcpu, linear, bytes, sizeof(bytes));
    if (count)
        x86_disassemble(text, x86_code_bits(vcpu->cpu), linear, bytes, count);
}

/* Why, the registers, the code; on standard error or in the log, whatever is logged. */
static void dump_state(struct vcpu *vcpu, const char *why)
{
    g_autofree char *buffer = g_malloc(2 * X86_DUMP_BYTES);
    struct text text = text_in(buffer, 2 * X86_DUMP_BYTES);

    kvm_state_get(vcpu);
    text_add(&text, "CPU %u: %s\n", vcpu->index, why);
    x86_dump(vcpu->cpu, &text);
    dump_code(vcpu, &text);
    log_write("%s", buffer);
}

static enum vcpu_exit exit_error(struct vcpu *vcpu, const char *format, ...) G_GNUC_PRINTF(2, 3);
static enum vcpu_exit exit_error(struct vcpu *vcpu, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    g_autofree char *text = g_strdup_vprintf(format, args);
    va_end(args);
    dump_state(vcpu, text);
    g_clear_error(&vcpu->error);
    fail(&vcpu->error, "%s at rip 0x%" PRIx64, text, vcpu->cpu->rip);
    return VCPU_EXIT_ERROR;
}

static const char *internal_error_name(uint32_t suberror)
{
    switch (suberror) {
    case KVM_INTERNAL_ERROR_EMULATION:
        return "it cannot emulate an instruction";
    case KVM_INTERNAL_ERROR_SIMUL_EX:
        return "several exceptions at once";
    case KVM_INTERNAL_ERROR_DELIVERY_EV:
        return "an exit while it delivered an event";
    case KVM_INTERNAL_ERROR_UNEXPECTED_EXIT_REASON:
        return "an exit it does not know";
    default:
        return "no reason given";
    }
}

/* The kernel's own APIC takes interrupts by itself; an NMI from a device is the one event that
 * still comes through vcpu->requests. */
static bool take_requests(struct vcpu *vcpu)
{
    unsigned taken = VCPU_INTERRUPT | VCPU_NMI | VCPU_INIT | VCPU_SIPI | VCPU_ENGINE;
    if (vcpu->apic)
        return kvm_apic_take_requests(vcpu);
    if (atomic_load(&vcpu->requests) & taken
        && atomic_fetch_and(&vcpu->requests, ~taken) & VCPU_NMI)
        ioctl(kvm_vcpu_of(vcpu)->fd, KVM_NMI);
    return true;
}

static bool handle_exit(struct vcpu *vcpu, enum vcpu_exit *reason)
{
    struct kvm_vcpu *state = kvm_vcpu_of(vcpu);
    struct kvm_run *run = state->run;
    switch (run->exit_reason) {
    case KVM_EXIT_IO:
        exit_io(vcpu);
        state->io_unfinished = true;
        return false;
    case KVM_EXIT_MMIO:
        exit_mmio(vcpu);
        state->io_unfinished = true;
        return false;
    case KVM_EXIT_INTR:
    case KVM_EXIT_IRQ_WINDOW_OPEN:
    case KVM_EXIT_SET_TPR:
        return false;
    case KVM_EXIT_HLT:
        vcpu->cpu->halted = true;
        return false;
    case KVM_EXIT_SYSTEM_EVENT:
        exit_system_event(vcpu);
        return false;
    case KVM_EXIT_SHUTDOWN:
        kvm_state_get(vcpu);
        *reason = VCPU_EXIT_TRIPLE_FAULT;
        return true;
    case KVM_EXIT_DEBUG:
        *reason = VCPU_EXIT_DEBUG;
        return kvm_debug_exit(vcpu);
    case KVM_EXIT_INTERNAL_ERROR:
        if (run->internal.suberror == KVM_INTERNAL_ERROR_EMULATION && kvm_debug_is_int3(vcpu)) {
            *reason = VCPU_EXIT_DEBUG;
            return true;
        }
        *reason = exit_error(vcpu, "KVM internal error. Suberror: %u (%s)", run->internal.suberror,
                             internal_error_name(run->internal.suberror));
        return true;
    case KVM_EXIT_FAIL_ENTRY:
        *reason = exit_error(vcpu, "the CPU refused to enter the guest, reason 0x%" PRIx64,
                             (uint64_t)run->fail_entry.hardware_entry_failure_reason);
        return true;
    default:
        *reason = exit_error(vcpu, "KVM exit %u is not known to Yado", run->exit_reason);
        return true;
    }
}

/* True if the state seen from outside would be half an instruction: then one entry that returns at
 * once completes it. The instruction may go on with another access, so this repeats, bounded by
 * what one instruction can do (a `rep` is cut by KVM into pages). */
static bool finish_io(struct vcpu *vcpu, enum vcpu_exit *reason)
{
    struct kvm_vcpu *state = kvm_vcpu_of(vcpu);
    while (state->io_unfinished) {
        state->io_unfinished = false;
        state->run->immediate_exit = 1;
        int result = enter_guest(vcpu);
        if (result == 0 && handle_exit(vcpu, reason))
            return true;
    }
    return false;
}

enum vcpu_exit kvm_vcpu_run(struct vcpu *vcpu)
{
    struct kvm_vcpu *state = kvm_vcpu_of(vcpu);
    enum vcpu_exit reason;
    for (;;) {
        __atomic_store_n(&state->run->immediate_exit, 0, __ATOMIC_SEQ_CST);
        if (atomic_load(&vcpu->requests) & (VCPU_PAUSE | VCPU_EXIT))
            return finish_io(vcpu, &reason) ? reason : VCPU_EXIT_REQUEST;
        if (!take_requests(vcpu))
            continue;
        if (atomic_load(&state->state_dirty)) {
            g_clear_error(&vcpu->error);
            if (!kvm_state_load(vcpu, &vcpu->error))
                return VCPU_EXIT_ERROR;
            atomic_store(&state->state_dirty, false);
        }
        kvm_debug_load(vcpu);
        state->io_unfinished = false;
        int result = enter_guest(vcpu);
        if (result == -EINTR || result == -EAGAIN)
            continue;
        if (result < 0) {
            errno = -result;
            return exit_error(vcpu, "KVM_RUN failed (%s)", strerror(-result));
        }
        if (handle_exit(vcpu, &reason))
            return reason;
    }
}
