/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The one interface between a vCPU and what executes it.
 *
 * Each vCPU has one host thread, which calls ops->run() in a loop. Other threads reach a vCPU only
 * by vcpu_request(): it sets request bits and makes the engine leave guest code soon (kick). */
#ifndef YADO_ENGINE_ENGINE_H
#define YADO_ENGINE_ENGINE_H

#include <pthread.h>
#include <stdatomic.h>

#include "util/util.h"
#include "vm/debug.h"
#include "x86/cpu.h"

struct vm;
struct lapic;
struct engine_vm; /* the engine's own per-machine data */

/* Reasons to leave guest code, set by any thread, taken by the vCPU's thread. */
enum vcpu_request {
    VCPU_INTERRUPT = 1u << 0, /* the local APIC or the 8259 has something to deliver */
    VCPU_NMI = 1u << 1,
    VCPU_INIT = 1u << 2,
    VCPU_SIPI = 1u << 3,   /* vector in vcpu->sipi_vector */
    VCPU_PAUSE = 1u << 4,  /* stop executing; the run loop waits until resumed */
    VCPU_EXIT = 1u << 5,   /* the thread ends */
    VCPU_ENGINE = 1u << 6, /* the engine's own business (TLB flush, code invalidation) */
    VCPU_SMI = 1u << 7,    /* enter system management mode; while in it, once more afterwards */
};

/* Why run() returned. */
enum vcpu_exit {
    VCPU_EXIT_REQUEST,      /* PAUSE or EXIT is requested */
    VCPU_EXIT_TRIPLE_FAULT, /* the machine must reset or stop */
    VCPU_EXIT_ERROR,        /* the engine cannot go on; vcpu->error says why */
    VCPU_EXIT_DEBUG,        /* at a break- or watchpoint, or a step is done: vcpu->debug.stop */
};

struct vcpu {
    struct vm *vm;        /* [const] */
    unsigned index;       /* [const] */
    struct x86_cpu *cpu;  /* [const] allocated by the engine (it may need it at a certain place) */
    struct lapic *apic;   /* [const] NULL if the engine's kernel part has the local APICs */
    pthread_t thread;     /* [const] once started */
    int thread_id;        /* [const] once started: the kernel's number of it */
    atomic_uint requests; /* enum vcpu_request bits */
    atomic_uchar sipi_vector;
    pthread_mutex_t sleep_lock;
    pthread_cond_t wakeup;  /* [sleep_lock] halted or paused vCPUs wait here */
    bool paused;            /* [sleep_lock] */
    bool resume;            /* [sleep_lock] */
    bool started;           /* [sleep_lock] vcpu_init is over; `error` says if it failed */
    bool state_changed;     /* [sleep_lock] cpu was changed while stopped: state_put, then run */
    bool registers_changed; /* [sleep_lock] the same, by a debugger: registers_put */
    struct vcpu_debug debug;
    GError *error;
    void *engine; /* the engine's per-vCPU data */
};

struct engine_ops {
    const char *name, *description; /* "kvm", "bt" */
    /* Can this engine run here? If not, `error` says why in one sentence. */
    bool (*probe)(GError **error);
    /* Would one choose it here, given another engine that works? Asked only if another follows in
     * the list; NULL: yes. If not, `error` says why. */
    bool (*advisable)(GError **error);
    /* Called once the machine's memory exists, before devices. */
    bool (*vm_init)(struct vm *vm, GError **error);
    void (*vm_destroy)(struct vm *vm);
    /* True if 8259, I/O APIC, local APIC (and 8254) live in the engine, not in src/hw/intc. */
    bool (*kernel_irqchip)(struct vm *vm);
    /* Drives pin `gsi` of the engine's interrupt controllers (only if kernel_irqchip). */
    void (*irq_set)(struct vm *vm, unsigned gsi, bool level);
    /* Sends a message signalled interrupt (only if kernel_irqchip). Any thread. */
    void (*msi_send)(struct vm *vm, uint64_t address, uint32_t data);
    /* Does VCPU_SMI work? A processor in system management mode sees vm->smm_memory. NULL: no. */
    bool (*smm)(struct vm *vm);
    bool (*vcpu_init)(struct vcpu *vcpu, GError **error); /* on the vCPU's own thread */
    void (*vcpu_destroy)(struct vcpu *vcpu);
    enum vcpu_exit (*run)(struct vcpu *vcpu);
    /* Any thread: make run() look at vcpu->requests soon. Request bits are already set. */
    void (*kick)(struct vcpu *vcpu);
    /* While stopped: make vcpu->cpu current, or put changes made to it into effect. On the vCPU's
     * own thread. */
    void (*state_get)(struct vcpu *vcpu);
    void (*state_put)(struct vcpu *vcpu);
    /* The same for single registers that a debugger has changed; NULL: state_put does. */
    void (*registers_put)(struct vcpu *vcpu);

    /* Debugging; NULL: not supported. Main loop, all vCPUs stopped. debug_update() makes
     * vm->debug.points, and what vcpu->debug asks of each vCPU, take effect from the next run() on.
     * debug_check(), which may be NULL: would there be room for all the points? */
    bool (*debug_update)(struct vm *vm, GError **error);
    bool (*debug_check)(struct vm *vm, GError **error);
    /* NULL: nothing to do. Main loop: all vCPUs are about to go on, or have stopped, after which
     * memory is to be as the guest made it. */
    void (*debug_goes)(struct vm *vm);
    void (*debug_stopped)(struct vm *vm);
    /* NULL: nothing is decided ahead. Main loop, vCPUs may run: log categories or vm->one_insn have
     * changed. */
    void (*translate_again)(struct vm *vm);
};

extern const struct engine_ops engine_kvm, engine_bt;

/* Any thread. Sets the bits, wakes the vCPU if it sleeps, kicks it if it runs. */
void vcpu_request(struct vcpu *vcpu, unsigned requests);

/* The vCPU whose thread this is, or NULL on other threads. Device callbacks use it where hardware
 * knows who asks (local APIC). */
extern _Thread_local struct vcpu *current_vcpu;

#endif
