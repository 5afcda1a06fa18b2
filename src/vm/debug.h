/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Break- and watchpoints of a machine, and how its vCPUs are stopped and stepped for a debugger:
 * the part that does not depend on who debugs (the gdb server) nor on the engine.
 *
 *      debugger                        vm                              engine
 *      debug_point_add/remove()  ->    debug.points
 *      debug_resume()            ->    debug_update()            ->    points take effect
 *                                      chosen vCPUs go on        ->    run()
 *      client->stopped()         <-    all vCPUs stop            <-    VCPU_EXIT_DEBUG
 *
 * Main loop only, except where it says otherwise. Points change, and debug_resume() is called, only
 * while all vCPUs are stopped. */
#ifndef YADO_VM_DEBUG_H
#define YADO_VM_DEBUG_H

#include "util/util.h"

#define DEBUG_POINTS_MAX 1024u

struct vm;
struct vcpu;

/* SOFT and HARD breakpoints differ in how KVM makes them, not in what they do. */
enum debug_kind {
    DEBUG_BREAK_SOFT,
    DEBUG_BREAK_HARD,
    DEBUG_BREAK_REGION, /* the first instruction in [addr, addr + length) executed from now on */
    DEBUG_WATCH_WRITE,
    DEBUG_WATCH_READ,
    DEBUG_WATCH_ACCESS,
    DEBUG_STEP, /* a reason to stop, no kind of point */
};

/* `addr` is a linear address (segment base included), whatever is mapped there, now or later, in
 * any address space. */
struct debug_point {
    enum debug_kind kind;
    uint64_t addr, length; /* length of SOFT and HARD breakpoints: 1 */
};

/* Why a vCPU returned VCPU_EXIT_DEBUG. */
struct debug_stop {
    enum debug_kind kind;
    uint64_t addr; /* where it stands; of a watchpoint, the first watched byte accessed */
};

enum vcpu_action {
    VCPU_CONTINUE,
    VCPU_STEP, /* one instruction, or until it leaves the range */
    VCPU_HOLD, /* stays stopped */
};

/* Part of struct vcpu. Set by the main loop while the vCPU is stopped, `stop` by its thread. */
struct vcpu_debug {
    enum vcpu_action action;
    bool step_interrupts;           /* a step takes interrupts as they come */
    uint64_t range_low, range_high; /* VCPU_STEP goes on while rip is inside [low, high) */
    bool skip_break; /* a breakpoint where it stands is not for this time; the engine clears it */
    bool stopped;    /* `stop` is not reported yet */
    struct debug_stop stop;
};

enum debug_event {
    DEBUG_EVENT_STOP,     /* a vCPU came to a point, or finished its step: vcpu->debug.stop */
    DEBUG_EVENT_PAUSE,    /* vm_pause() */
    DEBUG_EVENT_RESET,    /* the machine was reset and stands at its first instruction */
    DEBUG_EVENT_SHUTDOWN, /* the guest has shut down, and the machine stays (-no-shutdown) */
    DEBUG_EVENT_END,      /* the process ends, with vm->exit_code */
};

struct debug_client {
    /* All vCPUs have stopped. `vcpu` is the one it is about, or NULL. */
    void (*stopped)(void *opaque, enum debug_event event, struct vcpu *vcpu);
};

/* Part of struct vm. */
struct vm_debug {
    GArray *points;                    /* struct debug_point */
    bool changed;                      /* since the engine was told */
    const struct debug_client *client; /* NULL: nobody debugs */
    void *opaque;
};

void debug_init(struct vm *vm);
void debug_destroy(struct vm *vm);

/* One client at a time. Removing it (NULL) removes all points and releases held vCPUs; the machine
 * stays as it is, stopped or running. */
bool debug_attach(struct vm *vm, const struct debug_client *client, void *opaque, GError **error);
void debug_detach(struct vm *vm);

/* Adding what is there already does nothing. False where the engine has no room for one more. */
bool debug_point_add(struct vm *vm, struct debug_point point, GError **error);
/* False if there is none. */
bool debug_point_remove(struct vm *vm, struct debug_point point);

/* Lets the machine go on, each vCPU as vcpu->debug says. False, and still stopped, if the engine
 * cannot make a point. */
bool debug_resume(struct vm *vm, GError **error);

/* vm.c: all vCPUs have stopped for this. False: no client that wants to know. */
bool debug_report(struct vm *vm, enum debug_event event);

/* The vCPU's thread, after VCPU_EXIT_DEBUG: is this a step that goes on inside its range? */
bool debug_step_again(const struct vcpu *vcpu);

/* Memory as the debugger sees it: by linear address through the page tables `vcpu` uses, whatever
 * they permit; nothing of the guest's state changes but what is written. RAM, ROM (writes as well),
 * and devices. Returns how many bytes were transferred before something was not there. */
size_t debug_read(struct vcpu *vcpu, uint64_t addr, void *buffer, size_t length);
size_t debug_write(struct vcpu *vcpu, uint64_t addr, const void *buffer, size_t length);
size_t debug_read_physical(struct vcpu *vcpu, uint64_t gpa, void *buffer, size_t length);
size_t debug_write_physical(struct vcpu *vcpu, uint64_t gpa, const void *buffer, size_t length);

#endif
