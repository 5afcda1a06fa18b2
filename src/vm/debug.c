/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vm/debug.h"

#include <string.h>

#include "vm/vcpu.h"
#include "vm/vm.h"
#include "x86/inspect.h"

void debug_init(struct vm *vm)
{
    vm->debug.points = g_array_new(FALSE, FALSE, sizeof(struct debug_point));
}

void debug_destroy(struct vm *vm)
{
    g_array_unref(vm->debug.points);
}

bool debug_attach(struct vm *vm, const struct debug_client *client, void *opaque, GError **error)
{
    if (vm->debug.client)
        return fail(error, "another debugger is attached to this machine");
    if (!vm->engine->debug_update)
        return fail(error, "engine %s does not support debugging", vm->engine->name);
    vm->debug.client = client;
    vm->debug.opaque = opaque;
    return true;
}

static void points_update(struct vm *vm)
{
    g_autoptr(GError) error = NULL;

    if (!vm->engine->debug_update(vm, &error))
        warn("%s", error->message);
    vm->debug.changed = false;
}

void debug_detach(struct vm *vm)
{
    bool running = vm->state == RUN_STATE_RUNNING;

    if (!vm->debug.client)
        return;
    vm->debug.client = NULL;
    if (running)
        vm_pause(vm);
    g_array_set_size(vm->debug.points, 0);
    for (unsigned i = 0; i < vm->config->cpus; i++) {
        vm->vcpus[i]->debug = (struct vcpu_debug){ 0 };
    }
    points_update(vm);
    if (running)
        vm_resume(vm);
}

/* --- points --- */

static bool point_find(const struct vm *vm, struct debug_point point, guint *index)
{
    for (guint i = 0; i < vm->debug.points->len; i++) {
        const struct debug_point *other = &g_array_index(vm->debug.points, struct debug_point, i);
        if (other->kind == point.kind && other->addr == point.addr
            && other->length == point.length) {
            *index = i;
            return true;
        }
    }
    return false;
}

bool debug_point_add(struct vm *vm, struct debug_point point, GError **error)
{
    guint index;

    if (point_find(vm, point, &index))
        return true;
    if (vm->debug.points->len == DEBUG_POINTS_MAX)
        return fail(error, "a machine has at most %u break- and watchpoints", DEBUG_POINTS_MAX);
    g_array_append_val(vm->debug.points, point);
    if (vm->engine->debug_check && !vm->engine->debug_check(vm, error)) {
        g_array_set_size(vm->debug.points, vm->debug.points->len - 1);
        return false;
    }
    vm->debug.changed = true;
    return true;
}

bool debug_point_remove(struct vm *vm, struct debug_point point)
{
    guint index;

    if (!point_find(vm, point, &index))
        return false;
    g_array_remove_index(vm->debug.points, index);
    vm->debug.changed = true;
    return true;
}

/* --- stopping and going on --- */

static bool is_watch(enum debug_kind kind)
{
    return kind == DEBUG_WATCH_WRITE || kind == DEBUG_WATCH_READ || kind == DEBUG_WATCH_ACCESS;
}

/* One that has something to report; of several, the first that is no mere step. */
static struct vcpu *stopped_vcpu(struct vm *vm)
{
    struct vcpu *found = NULL;

    for (unsigned i = 0; i < vm->config->cpus; i++) {
        const struct vcpu_debug *debug = &vm->vcpus[i]->debug;
        if (debug->stopped && (!found || found->debug.stop.kind == DEBUG_STEP))
            found = vm->vcpus[i];
    }
    return found;
}

/* What others came to at the same time, they come to again: a breakpoint is still before them. Not
 * so a watchpoint: that access is over, and waits to be reported. */
static void stops_forget(struct vm *vm, const struct vcpu *reported)
{
    for (unsigned i = 0; i < vm->config->cpus; i++) {
        struct vcpu_debug *debug = &vm->vcpus[i]->debug;
        debug->stopped &= vm->vcpus[i] != reported && is_watch(debug->stop.kind);
        debug->action = VCPU_CONTINUE;
    }
}

bool debug_report(struct vm *vm, enum debug_event event)
{
    struct vcpu *vcpu = NULL;

    if (event == DEBUG_EVENT_STOP || event == DEBUG_EVENT_PAUSE) {
        vcpu = stopped_vcpu(vm);
        event = vcpu ? DEBUG_EVENT_STOP : event;
    }
    stops_forget(vm, vcpu);
    if (!vm->debug.client || (event == DEBUG_EVENT_STOP && !vcpu))
        return false;
    vm->debug.client->stopped(vm->debug.opaque, event, vcpu);
    return true;
}

bool debug_resume(struct vm *vm, GError **error)
{
    if (!vm->engine->debug_update(vm, error))
        return false;
    vm->debug.changed = false;
    struct vcpu *waiting = stopped_vcpu(vm);
    if (waiting) {
        stops_forget(vm, waiting);
        vm->debug.client->stopped(vm->debug.opaque, DEBUG_EVENT_STOP, waiting);
    } else {
        vm_resume(vm);
    }
    return true;
}

bool debug_step_again(const struct vcpu *vcpu)
{
    const struct vcpu_debug *debug = &vcpu->debug;
    uint64_t rip = vcpu->cpu->rip;

    return debug->stop.kind == DEBUG_STEP && rip >= debug->range_low && rip < debug->range_high;
}

/* --- memory --- */

/* Physical memory as the processor sees it. */
static struct address_space *memory_of(const struct vcpu *vcpu)
{
    return vcpu->cpu->smm && vcpu->vm->smm_memory ? vcpu->vm->smm_memory : vcpu->vm->memory;
}

static bool table_read(void *opaque, uint64_t gpa, unsigned size, uint64_t *entry)
{
    uint64_t run;
    const uint8_t *host = address_space_host(memory_of(opaque), gpa, false, &run);

    if (!host || run < size)
        return false;
    *entry = 0;
    memcpy(entry, host, size);
    return true;
}

/* A device, in the pieces a CPU would use. Registers of the local APIC are those of `vcpu`. */
static void device_transfer(struct vcpu *vcpu, uint64_t gpa, uint8_t *buffer, size_t length,
                            bool write)
{
    struct vcpu *before = current_vcpu;

    current_vcpu = vcpu;
    while (length) {
        unsigned size = 8;
        while (size > length || gpa & (size - 1))
            size /= 2;
        uint64_t value = 0;
        if (write) {
            memcpy(&value, buffer, size);
            address_space_write(memory_of(vcpu), gpa, value, size);
        } else {
            value = address_space_read(memory_of(vcpu), gpa, size);
            memcpy(buffer, &value, size);
        }
        gpa += size;
        buffer += size;
        length -= size;
    }
    current_vcpu = before;
}

/* One piece of a physical range, inside one page; false if nothing is mapped there. */
static bool page_transfer(struct vcpu *vcpu, uint64_t gpa, uint8_t *buffer, size_t length,
                          bool write)
{
    struct address_space *space = memory_of(vcpu);
    uint64_t run;
    uint8_t *host = address_space_host(space, gpa, false, &run);

    if (!host || run < length) {
        if (!address_space_is_mapped(space, gpa))
            return false;
        device_transfer(vcpu, gpa, buffer, length, write);
    } else if (write) {
        memcpy(host, buffer, length);
        ram_written(vcpu->vm->memory, gpa, length);
    } else {
        memcpy(buffer, host, length);
    }
    return true;
}

static size_t transfer(struct vcpu *vcpu, uint64_t addr, uint8_t *buffer, size_t length, bool write,
                       bool physical)
{
    size_t done = 0;

    while (done < length) {
        uint64_t at = addr + done, gpa = at;
        size_t here = MIN(length - done, GUEST_PAGE_SIZE - (at & (GUEST_PAGE_SIZE - 1)));
        struct x86_mapping mapping;

        if (!physical) {
            if (!x86_inspect(vcpu->cpu, at, table_read, vcpu, &mapping))
                break;
            gpa = mapping.gpa;
        }
        if (!page_transfer(vcpu, gpa, buffer + done, here, write))
            break;
        done += here;
    }
    return done;
}

size_t debug_read(struct vcpu *vcpu, uint64_t addr, void *buffer, size_t length)
{
    return transfer(vcpu, addr, buffer, length, false, false);
}

size_t debug_write(struct vcpu *vcpu, uint64_t addr, const void *buffer, size_t length)
{
    return transfer(vcpu, addr, (uint8_t *)buffer, length, true, false);
}

size_t debug_read_physical(struct vcpu *vcpu, uint64_t gpa, void *buffer, size_t length)
{
    return transfer(vcpu, gpa, buffer, length, false, true);
}

size_t debug_write_physical(struct vcpu *vcpu, uint64_t gpa, const void *buffer, size_t length)
{
    return transfer(vcpu, gpa, (uint8_t *)buffer, length, true, true);
}
