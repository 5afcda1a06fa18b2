/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Host faults in translated code. The host CPU executes guest instructions, so it raises their
 * exceptions: division, invalid opcodes, alignment, floating point. The handler reconstructs the
 * guest's state at that instruction and continues in bt_next(), which delivers the exception. */
#include <errno.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/ucontext.h>

#include "engine/bt/crash.h"
#include "engine/bt/emit.h"
#include "x86/exception.h"
#include "x86/paging.h"

#define SIGNAL_STACK_BYTES (64u << 10)

static _Thread_local struct bt_vcpu *this_vcpu;

static const int greg_of[16] = {
    [H_RAX] = REG_RAX, [H_RCX] = REG_RCX, [H_RDX] = REG_RDX, [H_RBX] = REG_RBX,
    [H_RSP] = REG_RSP, [H_RBP] = REG_RBP, [H_RSI] = REG_RSI, [H_RDI] = REG_RDI,
    [H_R8] = REG_R8,   [H_R9] = REG_R9,   [H_R10] = REG_R10, [H_R11] = REG_R11,
    [H_R12] = REG_R12, [H_R13] = REG_R13, [H_R14] = REG_R14, [H_R15] = REG_R15,
};

/* Set before vCPUs run. */
static struct sigaction handlers_before[SIGSEGV + 1];

/* The machine, for a crash of a thread that runs no vCPU. */
static struct bt *crash_bt;

/* No guest exception: reports it and ends the process. A sanitizer has its own report, too. */
static void die(struct bt_vcpu *v, int signal, const siginfo_t *info, ucontext_t *context)
{
    bt_crash(crash_bt, v, signal, info, context);
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    /* Executed once more, it reaches who handled it before. */
    if (handlers_before[signal].sa_handler != SIG_DFL && info->si_code > 0) {
        sigaction(signal, &handlers_before[signal], NULL);
        return;
    }
#endif
    crash_exit();
}

/* Registers at the guest instruction that `rip` belongs to. */
static bool recover(struct bt_vcpu *v, const greg_t *gregs)
{
    const uint8_t *rip = (const uint8_t *)gregs[REG_RIP];
    struct bt_block *block = bt_block_of_code(v->bt, rip);
    if (!block)
        return false;
    struct bt_map map = bt_block_map(block, rip);
    struct x86_cpu *cpu = &v->cpu;
    for (unsigned reg = 0; reg < 16; reg++)
        if (host_home[reg] != H_NONE)
            cpu->regs[reg] = gregs[greg_of[host_home[reg]]];
    if (map.flags & MAP_SPILLED) {
        cpu->regs[RAX] = v->spill[0];
        cpu->regs[RDX] = v->spill[1];
    }
    cpu->rip = block->rip - block->cs_base + map.guest;
    cpu->rflags = (cpu->rflags & ~(uint64_t)FLAGS_ARITHMETIC) | (gregs[REG_EFL] & FLAGS_ARITHMETIC);
    return true;
}

/* A masked access met the part of the bounce buffer that stands for an absent page. */
static bool bounce_fault(struct bt_vcpu *v, uint64_t address)
{
    struct x86_cpu *cpu = &v->cpu;
    uint64_t low = (uint64_t)v->bounce_memory, data = (uint64_t)v->bounce.data;
    if (address - low >= BOUNCE_BYTES + 2 * BOUNCE_GUARD)
        return false;
    uint64_t guest = v->bounce.addr + (address > data ? address - data : 0);
    struct x86_walk walk;
    bool write = v->bounce.active;
    v->bounce.active = false;
    if (x86_code64(cpu) && !x86_canonical(cpu, guest)) {
        cpu->fault_vector = v->bounce.access & ACCESS_STACK ? VECTOR_SS : VECTOR_GP;
        cpu->fault_has_error = true;
        return true;
    }
    if (!x86_long_mode(cpu))
        guest = (uint32_t)guest;
    if (x86_walk(cpu, guest, (write ? X86_WRITE : X86_READ) | (cpu->cpl == 3 ? X86_USER : 0),
                 &walk)) {
        /* Mapped meanwhile: just do it again. */
        cpu->fault_vector = 0xff;
        return true;
    }
    cpu->fault_vector = VECTOR_PF;
    cpu->fault_has_error = true;
    cpu->fault_error = walk.error;
    cpu->fault_addr = guest;
    return true;
}

static bool guest_fault(struct bt_vcpu *v, const siginfo_t *info, const greg_t *gregs)
{
    struct x86_cpu *cpu = &v->cpu;
    cpu->fault_has_error = false;
    cpu->fault_error = 0;
    cpu->fault_is_soft = false;
    cpu->fault_dr6 = 0;
    switch (gregs[REG_TRAPNO]) {
    case VECTOR_XM:
        cpu->fault_vector = cpu->cr4 & CR4_OSXMMEXCPT ? VECTOR_XM : VECTOR_UD;
        return true;
    case VECTOR_DE:
    case VECTOR_UD:
    case VECTOR_MF:
        cpu->fault_vector = gregs[REG_TRAPNO];
        return true;
    case VECTOR_GP:
    case VECTOR_SS:
        cpu->fault_vector = gregs[REG_TRAPNO];
        cpu->fault_has_error = true;
        return true;
    case VECTOR_AC:
        cpu->fault_vector = VECTOR_AC;
        cpu->fault_has_error = true;
        return true;
    case VECTOR_PF:
        return bounce_fault(v, (uint64_t)info->si_addr);
    default:
        return false;
    }
}

static void handle(int signal, siginfo_t *info, void *opaque)
{
    ucontext_t *context = opaque;
    greg_t *gregs = context->uc_mcontext.gregs;
    struct bt_vcpu *v = this_vcpu;
    struct bt *bt = v ? v->bt : NULL;
    uint64_t address = (uint64_t)info->si_addr, rip = gregs[REG_RIP];

    bool sent = info->si_code <= 0; /* by a process, or abort() */
    if (!v || rip - (uint64_t)bt->code_exec >= bt->code_size || sent) {
        if (v && rip - (uint64_t)bt->code_exec < bt->code_size)
            recover(v, gregs);
        die(v, signal, info, context);
        return;
    }
    /* The host return stack ran into its guard: forget what is on it. */
    if (gregs[REG_TRAPNO] == VECTOR_PF && address - (uint64_t)v->return_stack < 4096) {
        gregs[REG_RSP] = v->return_base;
        return;
    }
    if (!recover(v, gregs) || !guest_fault(v, info, gregs)) {
        die(v, signal, info, context);
        return;
    }
    v->fault_pending = v->cpu.fault_vector != 0xff;
    gregs[REG_RIP] = (greg_t)bt->thunk.dispatch;
    gregs[REG_EFL] &= ~(greg_t)(FLAG_DF | FLAG_TF);
}

bool bt_signals_init(struct bt *bt, GError **error)
{
    static const int signals[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT };
    struct sigaction action = { .sa_sigaction = handle, .sa_flags = SA_SIGINFO | SA_ONSTACK };
    sigfillset(&action.sa_mask);
    crash_bt = bt;
    for (unsigned i = 0; i < G_N_ELEMENTS(signals); i++) {
        struct sigaction before;
        if (sigaction(signals[i], &action, &before) < 0)
            return fail_errno(error, "cannot handle signal %d", signals[i]);
        if (before.sa_sigaction != handle)
            handlers_before[signals[i]] = before;
    }
    return true;
}

void bt_signals_end(struct bt *bt)
{
    if (crash_bt == bt)
        crash_bt = NULL;
}

bool bt_signals_thread(struct bt_vcpu *v, GError **error)
{
    void *memory =
        mmap(NULL, SIGNAL_STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return fail_errno(error, "cannot map a signal stack");
    stack_t stack = { .ss_sp = memory, .ss_size = SIGNAL_STACK_BYTES };
    if (sigaltstack(&stack, NULL) < 0)
        return fail_errno(error, "cannot set a signal stack");
    v->signal_stack = memory;
    this_vcpu = v;
    return true;
}

void bt_signals_thread_end(struct bt_vcpu *v)
{
    stack_t stack = { .ss_flags = SS_DISABLE };
    sigaltstack(&stack, NULL);
    munmap(v->signal_stack, SIGNAL_STACK_BYTES);
    this_vcpu = NULL;
}
