/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Going on and stopping. All-stop: while one vCPU is stopped, all are.
 *
 * In code whose CS base is not zero, gdb's $pc is an offset and breakpoints are linear addresses,
 * so gdb does not see that it stands at a breakpoint and would not step over it: then the engine is
 * asked to leave the breakpoint out once. For the same reason gdb is not told there that a
 * breakpoint was the reason; it would take it for one that has been removed. */
#include <inttypes.h>
#include <string.h>

#include "gdb/server.h"
#include "vm/vcpu.h"
#include "x86/inspect.h"

/* gdb's own numbers of signals, whatever the host's are. */
enum { SIGNAL_INT = 2, SIGNAL_QUIT = 3, SIGNAL_TRAP = 5 };

/* --- stop replies --- */

static bool is_hardware_break(const struct gdb_server *server, uint64_t addr)
{
    const GArray *points = server->vm->debug.points;

    for (guint i = 0; i < points->len; i++) {
        const struct debug_point *point = &g_array_index(points, struct debug_point, i);
        if (point->kind == DEBUG_BREAK_HARD && point->addr == addr)
            return true;
    }
    return false;
}

static void append_reason(const struct gdb_server *server, GString *to)
{
    const struct x86_cpu *cpu = server->vcpu->cpu;
    const struct debug_stop *stop = &server->vcpu->debug.stop;
    static const char *const watches[] = { [DEBUG_WATCH_WRITE] = "watch",
                                           [DEBUG_WATCH_READ] = "rwatch",
                                           [DEBUG_WATCH_ACCESS] = "awatch" };

    switch (stop->kind) {
    case DEBUG_BREAK_SOFT:
    case DEBUG_BREAK_HARD:
        if (stop->addr != cpu->rip)
            break;
        if (is_hardware_break(server, stop->addr))
            g_string_append(to, server->has_hwbreak ? "hwbreak:;" : "");
        else
            g_string_append(to, server->has_swbreak ? "swbreak:;" : "");
        break;
    case DEBUG_WATCH_WRITE:
    case DEBUG_WATCH_READ:
    case DEBUG_WATCH_ACCESS:
        g_string_append_printf(to, "%s:%" PRIx64 ";", watches[stop->kind], stop->addr);
        break;
    case DEBUG_BREAK_REGION:
    case DEBUG_STEP:
        break;
    }
}

/* Registers gdb asks for at every stop. */
static void append_registers(const struct gdb_server *server, GString *to)
{
    for (unsigned i = 0; i < server->layout.count; i++) {
        const struct gdb_reg *reg = &server->layout.regs[i];
        uint8_t bytes[GDB_REG_BYTES];
        bool general = reg->kind == GDB_REG_GENERAL && (reg->index == RSP || reg->index == RBP);
        if (!general && reg->kind != GDB_REG_RIP)
            continue;
        gdb_reg_read(server->vcpu->cpu, reg, bytes);
        g_string_append_printf(to, "%02x:", i);
        hex_append(to, bytes, reg->bits / 8);
        g_string_append_c(to, ';');
    }
}

void gdb_stop_reply(struct gdb_server *server, enum debug_event event)
{
    g_autoptr(GString) text = g_string_new(NULL);
    unsigned signal = event == DEBUG_EVENT_PAUSE      ? SIGNAL_INT
                      : event == DEBUG_EVENT_SHUTDOWN ? SIGNAL_QUIT
                                                      : SIGNAL_TRAP;

    if (event == DEBUG_EVENT_END) {
        gdb_reply(server, "W%02x", server->vm->exit_code & 0xff);
        return;
    }
    if (event == DEBUG_EVENT_RESET)
        gdb_console(server, "The machine was reset.\n");
    if (event == DEBUG_EVENT_SHUTDOWN)
        gdb_console(server, "The guest has shut down.\n");
    g_string_printf(text, "T%02xthread:%02x;", signal, server->vcpu->index + 1);
    if (event == DEBUG_EVENT_STOP)
        append_reason(server, text);
    append_registers(server, text);
    gdb_link_packet(&server->link, text->str, text->len);
}

/* --- going on --- */

static bool must_skip_break(const struct vm *vm, const struct x86_cpu *cpu)
{
    uint64_t linear = x86_linear_rip(cpu);

    if (linear == cpu->rip)
        return false;
    for (guint i = 0; i < vm->debug.points->len; i++) {
        const struct debug_point *point = &g_array_index(vm->debug.points, struct debug_point, i);
        if (point->addr == linear
            && (point->kind == DEBUG_BREAK_SOFT || point->kind == DEBUG_BREAK_HARD))
            return true;
    }
    return false;
}

/* Each vCPU's action has been set. */
static void resume(struct gdb_server *server)
{
    g_autoptr(GError) error = NULL;
    struct vm *vm = server->vm;

    for (unsigned i = 0; i < vm->config->cpus; i++) {
        struct vcpu *vcpu = vm->vcpus[i];
        vcpu->debug.step_interrupts = server->step_interrupts;
        vcpu->debug.skip_break = must_skip_break(vm, vcpu->cpu);
    }
    server->waiting = true;
    if (!debug_resume(vm, &error)) {
        g_autofree char *text = g_strdup_printf("Cannot go on: %s.\n", error->message);
        gdb_console(server, text);
        server->waiting = false;
        gdb_stop_reply(server, DEBUG_EVENT_PAUSE);
    } else if (vm->state == RUN_STATE_SHUTDOWN) {
        server->waiting = false;
        gdb_stop_reply(server, DEBUG_EVENT_SHUTDOWN);
    }
}

static void action_set(struct vcpu *vcpu, enum vcpu_action action, uint64_t low, uint64_t high)
{
    vcpu->debug.action = action;
    vcpu->debug.range_low = low;
    vcpu->debug.range_high = high;
}

/* c and s, which only clients without vCont send: the thread of Hc does it, the others go on. */
static void resume_simply(struct gdb_server *server, enum vcpu_action action, const char *args)
{
    struct vcpu *chosen = server->resumed ? server->resumed : server->vcpu;
    uint64_t rip;

    if (*args) {
        if (!hex_number(&args, &rip) || *args) {
            gdb_reply_error(server, GDB_EINVAL);
            return;
        }
        chosen->cpu->rip = rip;
        vcpu_registers_changed(chosen);
    }
    for (unsigned i = 0; i < server->vm->config->cpus; i++)
        action_set(server->vm->vcpus[i], VCPU_CONTINUE, 0, 0);
    chosen->debug.action = action;
    resume(server);
}

void gdb_continue(struct gdb_server *server, const char *args, size_t args_length)
{
    resume_simply(server, VCPU_CONTINUE, args);
}

void gdb_step(struct gdb_server *server, const char *args, size_t args_length)
{
    resume_simply(server, VCPU_STEP, args);
}

/* Signals mean nothing to a machine. */
static const char *skip_signal(const char *args)
{
    uint64_t signal;

    hex_number(&args, &signal);
    return *args == ';' ? args + 1 : args;
}

void gdb_continue_signal(struct gdb_server *server, const char *args, size_t args_length)
{
    resume_simply(server, VCPU_CONTINUE, skip_signal(args));
}

void gdb_step_signal(struct gdb_server *server, const char *args, size_t args_length)
{
    resume_simply(server, VCPU_STEP, skip_signal(args));
}

struct vcont_action {
    enum vcpu_action action;
    uint64_t low, high;
    struct vcpu *vcpu; /* NULL: all */
};

/* "c", "C05", "s", "S05", "r1000,1010", each perhaps with ":thread" */
static bool vcont_parse(struct gdb_server *server, const char **text, struct vcont_action *action)
{
    char letter = *(*text)++;
    uint64_t signal;

    *action = (struct vcont_action){ .action = VCPU_CONTINUE };
    switch (letter) {
    case 'c':
        break;
    case 's':
        action->action = VCPU_STEP;
        break;
    case 'C':
    case 'S':
        action->action = letter == 'S' ? VCPU_STEP : VCPU_CONTINUE;
        if (!hex_number(text, &signal))
            return false;
        break;
    case 'r':
        action->action = VCPU_STEP;
        if (!hex_number(text, &action->low) || *(*text)++ != ','
            || !hex_number(text, &action->high))
            return false;
        break;
    default:
        return false;
    }
    if (**text == ':') {
        (*text)++;
        if (!gdb_thread_parse(server, text, &action->vcpu))
            return false;
    }
    return !**text || **text == ';';
}

/* `args`: ";action[:thread];action…". Of several that fit a thread the first counts; one that none
 * fits stays stopped. */
void gdb_vcont(struct gdb_server *server, const char *args)
{
    struct vm *vm = server->vm;
    g_autofree bool *decided = g_new0(bool, vm->config->cpus);
    bool any = false;

    for (unsigned i = 0; i < vm->config->cpus; i++)
        action_set(vm->vcpus[i], VCPU_HOLD, 0, 0);
    while (*args == ';') {
        struct vcont_action action;
        args++;
        if (!vcont_parse(server, &args, &action)) {
            any = false;
            break;
        }
        for (unsigned i = 0; i < vm->config->cpus; i++) {
            if (decided[i] || (action.vcpu && action.vcpu != vm->vcpus[i]))
                continue;
            decided[i] = any = true;
            action_set(vm->vcpus[i], action.action, action.low, action.high);
        }
    }
    if (any && !*args)
        resume(server);
    else
        gdb_reply_error(server, GDB_EINVAL);
}
