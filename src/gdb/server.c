/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The connection and the machine's life as gdb sees it.
 *
 *      nobody  --client connects-->  stopped  --c, s, vCont-->  running
 *                                       ^---- stop, Ctrl-C ----'
 *      stopped --D-->  nobody, and the machine goes on
 *      the client disappears: nobody; breakpoints go, the machine stays as it is */
#include "gdb/server.h"

#include <string.h>

#include "chardev/chardev.h"

/* --- replies --- */

void gdb_reply(struct gdb_server *server, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    g_string_vprintf(server->reply, format, args);
    va_end(args);
    gdb_link_packet(&server->link, server->reply->str, server->reply->len);
}

void gdb_reply_ok(struct gdb_server *server)
{
    gdb_link_packet(&server->link, "OK", 2);
}

void gdb_reply_error(struct gdb_server *server, enum gdb_errno number)
{
    gdb_reply(server, "E%02x", number);
}

#define CONSOLE_PIECE 1024

void gdb_console(struct gdb_server *server, const char *text)
{
    for (size_t left = strlen(text); left;) {
        size_t piece = MIN(left, CONSOLE_PIECE);
        g_string_assign(server->reply, "O");
        hex_append(server->reply, text, piece);
        gdb_link_packet(&server->link, server->reply->str, server->reply->len);
        text += piece;
        left -= piece;
    }
}

/* --- the machine --- */

static void machine_stopped(void *opaque, enum debug_event event, struct vcpu *vcpu)
{
    struct gdb_server *server = opaque;

    bool at_kernel = vcpu && vcpu->debug.stop.kind == DEBUG_BREAK_REGION;

    server->last_event = event;
    if (vcpu)
        server->vcpu = vcpu;
    if (at_kernel) {
        g_autofree char *text = gdb_kernel_text(vcpu);
        gdb_kernel_wait_end(server->vm);
        gdb_console(server, text);
    }
    if (server->waiting || event == DEBUG_EVENT_END) {
        server->waiting = false;
        gdb_stop_reply(server, event);
    }
}

static const struct debug_client client = { .stopped = machine_stopped };

/* --- the client --- */

void gdb_layout_choose(struct gdb_server *server)
{
    const struct x86_cpu *cpu = server->vcpu->cpu;
    enum gdb_arch arch = gdb_arch_now(cpu);

    if (server->arch_wanted >= 0)
        arch = server->arch_wanted;
    else if (server->vm->state == RUN_STATE_PRELAUNCH || server->refused)
        arch = gdb_arch_widest(cpu); /* what runs now is not what one waits for */
    gdb_layout_init(&server->layout, arch, cpu);
    g_free(server->xml);
    server->xml = gdb_layout_xml(&server->layout);
}

static void client_connected(struct gdb_server *server)
{
    g_autoptr(GError) error = NULL;

    gdb_link_reset(&server->link);
    if (!debug_attach(server->vm, &client, server, &error)) {
        report_error("gdb: %s", error->message);
        return;
    }
    server->attached = true;
    server->waiting = server->physical = server->step_interrupts = false;
    server->has_swbreak = server->has_hwbreak = false;
    server->arch_wanted = -1;
    server->read_all = server->registers_seen = false;
    server->vcpu = server->vm->vcpus[0];
    server->resumed = NULL;
    server->last_event = DEBUG_EVENT_PAUSE;
    vm_pause(server->vm);
    gdb_layout_choose(server);
}

static void client_gone(struct gdb_server *server)
{
    if (!server->attached)
        return;
    /* A gdb that has loaded a 64-bit program cannot do with fewer registers. It leaves with an
     * error; when it comes again it gets them. */
    if (server->read_all && server->layout.arch != GDB_X86_64)
        server->refused = true;
    server->attached = false;
    debug_detach(server->vm);
}

void gdb_detach(struct gdb_server *server)
{
    client_gone(server);
    vm_resume(server->vm);
}

/* --- the link --- */

static void packet_received(void *opaque, char *data, size_t length)
{
    struct gdb_server *server = opaque;

    if (!server->attached) { /* after a detach gdb may go on over the same connection */
        client_connected(server);
        if (!server->attached)
            return;
    }
    /* Only Ctrl-C is for a running machine; and who cannot wait for it to stop, like the human
     * monitor's `cont`, has made it run without gdb's knowledge. */
    server->waiting = false;
    vm_pause(server->vm);
    bool first = !server->registers_seen;
    server->registers_seen |= data[0] == 'g';
    server->read_all = first && data[0] == 'g';
    server->handling = true;
    gdb_command(server, data, length);
    server->handling = false;
}

static void interrupt_received(void *opaque)
{
    struct gdb_server *server = opaque;

    if (!server->attached || !server->waiting)
        return;
    if (server->vm->state == RUN_STATE_RUNNING) {
        vm_pause(server->vm);
    } else { /* it cannot run, for example after its shutdown */
        server->waiting = false;
        gdb_stop_reply(server, server->last_event);
    }
}

static void link_send(void *opaque, const void *data, size_t length)
{
    struct gdb_server *server = opaque;

    chardev_write(server->chardev, data, length);
}

static size_t server_can_receive(void *opaque)
{
    return 4096;
}

static void server_receive(void *opaque, const uint8_t *data, size_t length)
{
    struct gdb_server *server = opaque;

    gdb_link_feed(&server->link, data, length);
}

static void server_event(void *opaque, enum chardev_event event)
{
    if (event == CHARDEV_OPENED)
        client_connected(opaque);
    else if (event == CHARDEV_CLOSED)
        client_gone(opaque);
}

static const struct chardev_frontend frontend = {
    .can_receive = server_can_receive,
    .receive = server_receive,
    .event = server_event,
};

/* --- life --- */

struct chardev *gdb_chardev_open(const char *text, GError **error)
{
    bool socket = g_str_has_prefix(text, "tcp:") || g_str_has_prefix(text, "unix:");
    g_autofree char *full = g_strdup(text);

    if (socket && !strstr(text, ",server") && !strstr(text, ",wait") && !strstr(text, ",nowait")
        && !strstr(text, ",reconnect"))
        full = g_strconcat(text, ",wait=off,server=on", NULL);
    if (socket && g_str_has_prefix(text, "tcp:"))
        full = g_strconcat(full, ",nodelay=on", NULL);
    return chardev_new_short(GDB_CHARDEV_ID, full, error);
}

static void server_free(struct gdb_server *server)
{
    gdb_link_destroy(&server->link);
    g_string_free(server->reply, TRUE);
    g_free(server->xml);
    g_free(server);
}

bool gdb_server_start(struct vm *vm, struct chardev *chardev, GError **error)
{
    struct gdb_server *server = g_new0(struct gdb_server, 1);

    gdb_server_stop(vm);
    server->vm = vm;
    server->chardev = chardev;
    server->reply = g_string_new(NULL);
    server->link.received = packet_received;
    server->link.interrupted = interrupt_received;
    server->link.send = link_send;
    server->link.opaque = server;
    gdb_link_init(&server->link);
    if (!chardev_attach(chardev, &frontend, server, error)) {
        server_free(server);
        return false;
    }
    vm->gdb = server;
    return true;
}

void gdb_server_stop(struct vm *vm)
{
    if (!vm->gdb)
        return;
    chardev_detach(vm->gdb->chardev);
    client_gone(vm->gdb);
    server_free(vm->gdb);
    vm->gdb = NULL;
}
