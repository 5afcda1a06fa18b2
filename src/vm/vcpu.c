/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vm/vcpu.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>

#include "hw/intc/apic.h"
#include "vm/timing.h"
#include "vm/vm.h"
#include "x86/log.h"

_Thread_local struct vcpu *current_vcpu;

/* Guest registers and code are elsewhere; only our C runs on this stack. */
#if defined(__SANITIZE_ADDRESS__)
#define STACK_BYTES (2u << 20)
#else
#define STACK_BYTES (256u << 10)
#endif

void vcpu_request(struct vcpu *vcpu, unsigned requests)
{
    atomic_fetch_or(&vcpu->requests, requests);
    pthread_mutex_lock(&vcpu->sleep_lock);
    bool running = vcpu->started && !vcpu->error;
    pthread_cond_broadcast(&vcpu->wakeup);
    pthread_mutex_unlock(&vcpu->sleep_lock);
    if (running)
        vcpu->vm->engine->kick(vcpu);
}

/* --- the vCPU's own thread --- */

/* Waits, paused, until resumed or ended. */
static void pause_here(struct vcpu *vcpu)
{
    const struct engine_ops *engine = vcpu->vm->engine;

    pthread_mutex_lock(&vcpu->sleep_lock);
    if (!vcpu->state_changed && !vcpu->registers_changed) {
        pthread_mutex_unlock(&vcpu->sleep_lock);
        engine->state_get(vcpu);
        pthread_mutex_lock(&vcpu->sleep_lock);
    }
    vcpu->paused = true;
    pthread_cond_broadcast(&vcpu->wakeup);
    while (!vcpu->resume && !(atomic_load(&vcpu->requests) & VCPU_EXIT))
        pthread_cond_wait(&vcpu->wakeup, &vcpu->sleep_lock);
    vcpu->resume = false;
    bool changed = vcpu->state_changed, registers = vcpu->registers_changed;
    vcpu->state_changed = vcpu->registers_changed = false;
    pthread_mutex_unlock(&vcpu->sleep_lock);
    if (registers && !changed && engine->registers_put)
        engine->registers_put(vcpu);
    else if (changed || registers)
        engine->state_put(vcpu);
}

static void log_triple_fault(struct vcpu *vcpu)
{
    if (!log_enabled(LOG_CPU_RESET))
        return;
    vcpu->vm->engine->state_get(vcpu);
    x86_log_reset(vcpu->cpu, "Triple fault");
}

static void run_once(struct vcpu *vcpu)
{
    enum vcpu_exit reason;

    do
        reason = vcpu->vm->engine->run(vcpu);
    while (reason == VCPU_EXIT_DEBUG && debug_step_again(vcpu)
           && !(atomic_load(&vcpu->requests) & (VCPU_PAUSE | VCPU_EXIT)));
    switch (reason) {
    case VCPU_EXIT_REQUEST:
        return;
    case VCPU_EXIT_TRIPLE_FAULT:
        log_triple_fault(vcpu);
        vm_request_shutdown(vcpu->vm, VM_SHUTDOWN_TRIPLE_FAULT);
        break;
    case VCPU_EXIT_ERROR:
        report_error("CPU %u: %s", vcpu->index,
                     vcpu->error ? vcpu->error->message : "the engine stopped");
        g_clear_error(&vcpu->error);
        vm_request_shutdown(vcpu->vm, VM_SHUTDOWN_ERROR);
        break;
    case VCPU_EXIT_DEBUG:
        vcpu->debug.stopped = true;
        vm_request_debug_stop(vcpu->vm);
        break;
    }
    /* The main loop decides what comes next; this vCPU has nothing to execute until then. */
    atomic_fetch_or(&vcpu->requests, VCPU_PAUSE);
}

static void *vcpu_thread(void *opaque)
{
    struct vcpu *vcpu = opaque;
    const struct engine_ops *engine = vcpu->vm->engine;
    GError *error = NULL;

    current_vcpu = vcpu;
    vcpu->thread_id = gettid();
    bool usable = engine->vcpu_init(vcpu, &error);
    pthread_mutex_lock(&vcpu->sleep_lock);
    vcpu->started = true;
    vcpu->error = error;
    pthread_cond_broadcast(&vcpu->wakeup);
    pthread_mutex_unlock(&vcpu->sleep_lock);
    if (!usable)
        return NULL;
    for (;;) {
        unsigned requests = atomic_load(&vcpu->requests);
        if (requests & VCPU_EXIT)
            break;
        if (requests & VCPU_PAUSE) {
            pause_here(vcpu);
            continue;
        }
        if (vcpu->index == 0)
            timing_mark(TIMING_KERNEL);
        run_once(vcpu);
    }
    engine->vcpu_destroy(vcpu);
    return NULL;
}

/* --- the main loop's side --- */

struct vcpu *vcpu_new(struct vm *vm, unsigned index)
{
    struct vcpu *vcpu = g_new0(struct vcpu, 1);
    vcpu->vm = vm;
    vcpu->index = index;
    atomic_init(&vcpu->requests, VCPU_PAUSE);
    vcpu->state_changed = true; /* nobody has set it yet: the engine has nothing to get */
    pthread_mutex_init(&vcpu->sleep_lock, NULL);
    pthread_cond_init(&vcpu->wakeup, NULL);
    return vcpu;
}

void vcpu_free(struct vcpu *vcpu)
{
    if (!vcpu)
        return;
    g_clear_error(&vcpu->error);
    lapic_free(vcpu->apic); /* not earlier: until all CPUs have ended, they send to each other */
    pthread_cond_destroy(&vcpu->wakeup);
    pthread_mutex_destroy(&vcpu->sleep_lock);
    g_free(vcpu);
}

/* What a vCPU's thread may receive: faults of its own code, and the kick. */
static void thread_signal_mask(sigset_t *blocked)
{
    static const int wanted[] = {
        SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGABRT, SIGUSR1
    };
    sigfillset(blocked);
    for (size_t i = 0; i < G_N_ELEMENTS(wanted); i++)
        sigdelset(blocked, wanted[i]);
}

bool vcpu_thread_start(struct vcpu *vcpu, GError **error)
{
    pthread_attr_t attributes;
    sigset_t blocked, before;
    char name[16];

    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    thread_signal_mask(&blocked);
    pthread_sigmask(SIG_SETMASK, &blocked, &before);
    errno = pthread_create(&vcpu->thread, &attributes, vcpu_thread, vcpu);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    if (errno) {
        vcpu->thread = 0;
        return fail_errno(error, "cannot start the thread of CPU %u", vcpu->index);
    }
    snprintf(name, sizeof(name), "CPU %u", vcpu->index);
    pthread_setname_np(vcpu->thread, name);
    return true;
}

bool vcpu_thread_wait(struct vcpu *vcpu, GError **error)
{
    pthread_mutex_lock(&vcpu->sleep_lock);
    while (!vcpu->started)
        pthread_cond_wait(&vcpu->wakeup, &vcpu->sleep_lock);
    bool usable = !vcpu->error;
    pthread_mutex_unlock(&vcpu->sleep_lock);
    if (usable) {
        vcpu_pause_wait(vcpu);
        return true;
    }
    pthread_join(vcpu->thread, NULL);
    vcpu->thread = 0;
    g_propagate_prefixed_error(error, g_steal_pointer(&vcpu->error), "CPU %u: ", vcpu->index);
    return false;
}

void vcpu_pause(struct vcpu *vcpu)
{
    vcpu_request(vcpu, VCPU_PAUSE);
}

void vcpu_pause_wait(struct vcpu *vcpu)
{
    pthread_mutex_lock(&vcpu->sleep_lock);
    while (!vcpu->paused && !vcpu->error)
        pthread_cond_wait(&vcpu->wakeup, &vcpu->sleep_lock);
    pthread_mutex_unlock(&vcpu->sleep_lock);
}

void vcpu_resume(struct vcpu *vcpu)
{
    /* Both are changed here and not by the woken thread, so that a pause asked for before it wakes
     * is not taken for the one that ends now. */
    pthread_mutex_lock(&vcpu->sleep_lock);
    atomic_fetch_and(&vcpu->requests, ~(unsigned)VCPU_PAUSE);
    vcpu->paused = false;
    vcpu->resume = true;
    pthread_cond_broadcast(&vcpu->wakeup);
    pthread_mutex_unlock(&vcpu->sleep_lock);
}

void vcpu_state_replaced(struct vcpu *vcpu)
{
    pthread_mutex_lock(&vcpu->sleep_lock);
    atomic_fetch_and(&vcpu->requests, VCPU_PAUSE | VCPU_EXIT | VCPU_ENGINE);
    vcpu->state_changed = true;
    pthread_mutex_unlock(&vcpu->sleep_lock);
}

void vcpu_registers_changed(struct vcpu *vcpu)
{
    pthread_mutex_lock(&vcpu->sleep_lock);
    vcpu->registers_changed = true;
    pthread_mutex_unlock(&vcpu->sleep_lock);
}

void vcpu_end(struct vcpu *vcpu)
{
    if (!vcpu->thread)
        return;
    /* No kick: it is paused, and its thread takes the engine's part down as soon as it wakes. */
    pthread_mutex_lock(&vcpu->sleep_lock);
    atomic_fetch_or(&vcpu->requests, VCPU_EXIT);
    pthread_cond_broadcast(&vcpu->wakeup);
    pthread_mutex_unlock(&vcpu->sleep_lock);
    pthread_join(vcpu->thread, NULL);
    vcpu->thread = 0;
}
