/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The packets, by their first character. (GDB manual, appendix E.2 "Packets") */
#include <inttypes.h>
#include <string.h>

#include "gdb/server.h"
#include "vm/vcpu.h"

bool gdb_skip(const char **text, const char *prefix)
{
    size_t length = strlen(prefix);

    if (strncmp(*text, prefix, length))
        return false;
    *text += length;
    return true;
}

static bool thread_number(struct gdb_server *server, const char **text, struct vcpu **vcpu)
{
    uint64_t id;

    *vcpu = NULL;
    if (gdb_skip(text, "-1"))
        return true;
    if (!hex_number(text, &id) || id > server->vm->config->cpus)
        return false;
    if (id)
        *vcpu = server->vm->vcpus[id - 1];
    return true;
}

/* "pPROCESS.THREAD", "pPROCESS" or "THREAD"; the one process is 1. */
bool gdb_thread_parse(struct gdb_server *server, const char **text, struct vcpu **vcpu)
{
    uint64_t process;

    if (!gdb_skip(text, "p"))
        return thread_number(server, text, vcpu);
    *vcpu = NULL;
    if (!gdb_skip(text, "-1") && (!hex_number(text, &process) || process > 1))
        return false;
    return !gdb_skip(text, ".") || thread_number(server, text, vcpu);
}

/* --- threads --- */

/* Hg: for registers and memory; Hc: for c and s. */
static void select_thread(struct gdb_server *server, const char *args, size_t length)
{
    char what = *args++;
    struct vcpu *vcpu;

    if ((what != 'g' && what != 'c') || !gdb_thread_parse(server, &args, &vcpu) || *args) {
        gdb_reply_error(server, GDB_EINVAL);
        return;
    }
    if (what == 'c')
        server->resumed = vcpu;
    else if (vcpu)
        server->vcpu = vcpu;
    gdb_reply_ok(server);
}

static void thread_alive(struct gdb_server *server, const char *args, size_t length)
{
    struct vcpu *vcpu;

    if (gdb_thread_parse(server, &args, &vcpu) && vcpu && !*args)
        gdb_reply_ok(server);
    else
        gdb_reply_error(server, GDB_EINVAL);
}

/* --- registers --- */

static bool descriptor_read(void *opaque, uint64_t linear, uint64_t *descriptor)
{
    return debug_read(opaque, linear, descriptor, sizeof(*descriptor)) == sizeof(*descriptor);
}

static bool register_write(struct gdb_server *server, const struct gdb_reg *reg,
                           const uint8_t *bytes)
{
    uint8_t before[GDB_REG_BYTES];

    gdb_reg_read(server->vcpu->cpu, reg, before);
    if (!memcmp(before, bytes, reg->bits / 8))
        return true;
    if (!gdb_reg_write(server->vcpu->cpu, reg, bytes, descriptor_read, server->vcpu))
        return false;
    vcpu_registers_changed(server->vcpu);
    return true;
}

static void read_registers(struct gdb_server *server, const char *args, size_t length)
{
    g_string_truncate(server->reply, 0);
    for (unsigned i = 0; i < server->layout.count; i++) {
        const struct gdb_reg *reg = &server->layout.regs[i];
        uint8_t bytes[GDB_REG_BYTES];
        gdb_reg_read(server->vcpu->cpu, reg, bytes);
        hex_append(server->reply, bytes, reg->bits / 8);
    }
    gdb_link_packet(&server->link, server->reply->str, server->reply->len);
}

/* Those the packet holds; a short one leaves the rest alone. What a register cannot take is left as
 * it was: gdb writes all to change one. */
static void write_registers(struct gdb_server *server, const char *args, size_t length)
{
    for (unsigned i = 0; i < server->layout.count; i++) {
        const struct gdb_reg *reg = &server->layout.regs[i];
        uint8_t bytes[GDB_REG_BYTES] = { 0 };
        unsigned size = reg->bits / 8;
        if (hex_bytes(args, bytes, size) != size)
            break;
        register_write(server, reg, bytes);
        args += 2 * size;
    }
    gdb_reply_ok(server);
}

static const struct gdb_reg *register_parse(struct gdb_server *server, const char **args)
{
    uint64_t number;

    if (!hex_number(args, &number) || number >= server->layout.count)
        return NULL;
    return &server->layout.regs[number];
}

static void read_register(struct gdb_server *server, const char *args, size_t length)
{
    const struct gdb_reg *reg = register_parse(server, &args);
    uint8_t bytes[GDB_REG_BYTES];

    if (!reg) {
        gdb_reply_error(server, GDB_EINVAL);
        return;
    }
    gdb_reg_read(server->vcpu->cpu, reg, bytes);
    g_string_truncate(server->reply, 0);
    hex_append(server->reply, bytes, reg->bits / 8);
    gdb_link_packet(&server->link, server->reply->str, server->reply->len);
}

static void write_register(struct gdb_server *server, const char *args, size_t length)
{
    const struct gdb_reg *reg = register_parse(server, &args);
    uint8_t bytes[GDB_REG_BYTES] = { 0 };
    unsigned size = reg ? reg->bits / 8 : 0;

    if (!reg || *args++ != '=' || hex_bytes(args, bytes, size) != size
        || !register_write(server, reg, bytes))
        gdb_reply_error(server, GDB_EINVAL);
    else
        gdb_reply_ok(server);
}

/* --- break- and watchpoints --- */

/* "type,addr,kind": kind is the length of what is watched. */
static bool point_parse(const char *args, struct debug_point *point)
{
    static const enum debug_kind kinds[] = { DEBUG_BREAK_SOFT, DEBUG_BREAK_HARD, DEBUG_WATCH_WRITE,
                                             DEBUG_WATCH_READ, DEBUG_WATCH_ACCESS };
    unsigned type = *args++ - '0';
    uint64_t end;

    if (type >= G_N_ELEMENTS(kinds) || *args++ != ',' || !hex_number(&args, &point->addr)
        || *args++ != ',' || !hex_number(&args, &point->length) || (*args && *args != ';'))
        return false;
    point->kind = kinds[type];
    if (point->kind == DEBUG_BREAK_SOFT || point->kind == DEBUG_BREAK_HARD)
        point->length = 1;
    return point->length && !__builtin_add_overflow(point->addr, point->length - 1, &end);
}

static void insert_point(struct gdb_server *server, const char *args, size_t length)
{
    g_autoptr(GError) error = NULL;
    struct debug_point point;

    if (!point_parse(args, &point))
        gdb_reply_error(server, GDB_EINVAL);
    else if (!debug_point_add(server->vm, point, &error))
        gdb_reply(server, "E.%s", error->message);
    else
        gdb_reply_ok(server);
}

static void remove_point(struct gdb_server *server, const char *args, size_t length)
{
    struct debug_point point;

    if (!point_parse(args, &point)) {
        gdb_reply_error(server, GDB_EINVAL);
        return;
    }
    debug_point_remove(server->vm, point);
    gdb_reply_ok(server);
}

/* --- the rest --- */

static void stop_reason(struct gdb_server *server, const char *args, size_t length)
{
    /* The machine still stands where it was stopped; the console text is not for now. */
    enum debug_event event = server->last_event;

    gdb_stop_reply(server, event == DEBUG_EVENT_STOP ? event : DEBUG_EVENT_PAUSE);
}

static void detach(struct gdb_server *server, const char *args, size_t length)
{
    gdb_reply_ok(server);
    gdb_detach(server);
}

static void kill_machine(struct gdb_server *server, const char *args, size_t length)
{
    vm_request_shutdown(server->vm, VM_SHUTDOWN_HOST_UI);
}

static void v_packet(struct gdb_server *server, const char *args, size_t length)
{
    if (gdb_skip(&args, "Cont?")) {
        gdb_reply(server, "vCont;c;C;s;S;r");
    } else if (gdb_skip(&args, "Cont")) {
        gdb_vcont(server, args);
    } else if (gdb_skip(&args, "Kill;")) {
        gdb_reply_ok(server);
        kill_machine(server, args, 0);
    } else {
        gdb_reply(server, "%s", ""); /* vMustReplyEmpty among them */
    }
}

static const gdb_handler handlers[128] = {
    ['?'] = stop_reason,
    ['c'] = gdb_continue,
    ['C'] = gdb_continue_signal,
    ['D'] = detach,
    ['g'] = read_registers,
    ['G'] = write_registers,
    ['H'] = select_thread,
    ['k'] = kill_machine,
    ['m'] = gdb_memory_read,
    ['M'] = gdb_memory_write,
    ['p'] = read_register,
    ['P'] = write_register,
    ['q'] = gdb_query,
    ['Q'] = gdb_set,
    ['s'] = gdb_step,
    ['S'] = gdb_step_signal,
    ['T'] = thread_alive,
    ['v'] = v_packet,
    ['x'] = gdb_memory_read_binary,
    ['X'] = gdb_memory_write_binary,
    ['z'] = remove_point,
    ['Z'] = insert_point,
};

void gdb_command(struct gdb_server *server, char *data, size_t length)
{
    uint8_t letter = data[0];

    if (length && letter < G_N_ELEMENTS(handlers) && handlers[letter])
        handlers[letter](server, data + 1, length - 1);
    else
        gdb_reply(server, "%s", "");
}
