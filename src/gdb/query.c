/* SPDX-License-Identifier: GPL-2.0-or-later */
/* q and Q packets: what the server can do, the list of threads, descriptions, and QEMU's own. */
#include <inttypes.h>
#include <string.h>

#include "gdb/server.h"

static void reply_text(struct gdb_server *server, GString *text)
{
    gdb_link_packet(&server->link, text->str, text->len);
}

/* --- what both sides can do --- */

static void query_supported(struct gdb_server *server, const char *args, size_t length)
{
    server->has_swbreak = strstr(args, "swbreak+") != NULL;
    server->has_hwbreak = strstr(args, "hwbreak+") != NULL;
    gdb_reply(server,
              "PacketSize=%x;QStartNoAckMode+;qXfer:features:read+;qXfer:threads:read+;"
              "vContSupported+;swbreak+;hwbreak+;qqemu.PhyMemMode+",
              GDB_PACKET_BYTES);
}

static void set_no_ack(struct gdb_server *server, const char *args, size_t length)
{
    gdb_reply_ok(server); /* this one is still acknowledged */
    server->link.no_ack = true;
}

/* For lldb. */
static void query_host_info(struct gdb_server *server, const char *args, size_t length)
{
    bool wide = server->layout.arch == GDB_X86_64;
    g_autoptr(GString) text = g_string_new("triple:");
    const char *triple = wide ? "x86_64-unknown-unknown" : "i386-unknown-unknown";

    hex_append(text, triple, strlen(triple));
    g_string_append_printf(text, ";endian:little;ptrsize:%d;", wide ? 8 : 4);
    reply_text(server, text);
}

static void query_process_info(struct gdb_server *server, const char *args, size_t length)
{
    g_autoptr(GString) text = g_string_new("pid:1;endian:little;");

    g_string_append_printf(text, "ptrsize:%d;", server->layout.arch == GDB_X86_64 ? 8 : 4);
    reply_text(server, text);
}

/* Attached to what was there, so that gdb detaches when it ends, and does not kill. */
static void query_attached(struct gdb_server *server, const char *args, size_t length)
{
    gdb_reply(server, "1");
}

/* --- threads --- */

static void query_current_thread(struct gdb_server *server, const char *args, size_t length)
{
    gdb_reply(server, "QC%02x", server->vcpu->index + 1);
}

static void query_threads(struct gdb_server *server, const char *args, size_t length)
{
    g_autoptr(GString) text = g_string_new("m");

    for (unsigned i = 0; i < server->vm->config->cpus; i++)
        g_string_append_printf(text, "%s%02x", i ? "," : "", i + 1);
    reply_text(server, text);
}

static void query_threads_more(struct gdb_server *server, const char *args, size_t length)
{
    gdb_reply(server, "l"); /* the first packet held them all */
}

static char *thread_description(const struct vcpu *vcpu)
{
    const struct x86_cpu *cpu = vcpu->cpu;

    return g_strdup_printf("CPU#%u [%s]", vcpu->index,
                           cpu->wait_for_sipi ? "not started"
                           : cpu->halted      ? "halted "
                                              : "running");
}

static void query_thread_info(struct gdb_server *server, const char *args, size_t length)
{
    struct vcpu *vcpu;
    g_autoptr(GString) text = g_string_new(NULL);

    if (!gdb_thread_parse(server, &args, &vcpu) || !vcpu) {
        gdb_reply_error(server, GDB_EINVAL);
        return;
    }
    g_autofree char *description = thread_description(vcpu);
    hex_append(text, description, strlen(description));
    reply_text(server, text);
}

static char *threads_xml(const struct gdb_server *server)
{
    GString *xml = g_string_new("<?xml version=\"1.0\"?>\n<threads>\n");

    for (unsigned i = 0; i < server->vm->config->cpus; i++) {
        g_autofree char *description = thread_description(server->vm->vcpus[i]);
        g_string_append_printf(xml, "<thread id=\"%x\" core=\"%u\">%s</thread>\n", i + 1, i,
                               description);
    }
    g_string_append(xml, "</threads>\n");
    return g_string_free(xml, FALSE);
}

/* --- qXfer --- */

/* A piece of a document: "offset,length". 'm': there is more; 'l': the last. */
static void reply_piece(struct gdb_server *server, const char *document, const char *args)
{
    uint64_t offset, length;
    size_t total = strlen(document);

    if (!hex_number(&args, &offset) || *args++ != ',' || !hex_number(&args, &length) || *args
        || offset > total) {
        gdb_reply_error(server, GDB_EINVAL);
        return;
    }
    /* Half a packet, as each byte may have to be escaped. */
    size_t piece = MIN(MIN(length, total - offset), GDB_PACKET_BYTES / 2 - 1);
    g_string_assign(server->reply, offset + piece < total ? "m" : "l");
    g_string_append_len(server->reply, document + offset, piece);
    reply_text(server, server->reply);
}

/* Read from its beginning, it describes the code that runs now: so gdb's `unset tdesc filename`
 * makes it follow a change between 16, 32 and 64 bits. */
static void query_features(struct gdb_server *server, const char *args, size_t length)
{
    if (!gdb_skip(&args, "target.xml:")) {
        gdb_reply(server, "E00");
        return;
    }
    if (g_str_has_prefix(args, "0,"))
        gdb_layout_choose(server);
    reply_piece(server, server->xml, args);
}

static void query_threads_xml(struct gdb_server *server, const char *args, size_t length)
{
    g_autofree char *xml = threads_xml(server);

    reply_piece(server, xml, args + strspn(args, ":"));
}

/* --- QEMU's --- */

static void query_physical(struct gdb_server *server, const char *args, size_t length)
{
    gdb_reply(server, "%d", server->physical);
}

static void set_physical(struct gdb_server *server, const char *args, size_t length)
{
    if (strcmp(args, "0") && strcmp(args, "1")) {
        gdb_reply_error(server, GDB_EINVAL);
        return;
    }
    server->physical = *args == '1';
    gdb_reply_ok(server);
}

#define STEP_ENABLE 1u
#define STEP_NO_INTERRUPTS 2u
#define STEP_NO_TIMERS 4u /* are interrupts */

static void query_step_bits(struct gdb_server *server, const char *args, size_t length)
{
    gdb_reply(server, "ENABLE=%x,NOIRQ=%x,NOTIMER=%x", STEP_ENABLE, STEP_NO_INTERRUPTS,
              STEP_NO_TIMERS);
}

static void query_step(struct gdb_server *server, const char *args, size_t length)
{
    gdb_reply(server, "0x%x",
              STEP_ENABLE | (server->step_interrupts ? 0 : STEP_NO_INTERRUPTS | STEP_NO_TIMERS));
}

static void set_step(struct gdb_server *server, const char *args, size_t length)
{
    uint64_t bits;

    gdb_skip(&args, "0x");
    if (!hex_number(&args, &bits) || *args
        || bits & ~(uint64_t)(STEP_ENABLE | STEP_NO_INTERRUPTS | STEP_NO_TIMERS)) {
        gdb_reply_error(server, GDB_EINVAL);
        return;
    }
    server->step_interrupts = !(bits & STEP_NO_INTERRUPTS);
    gdb_reply_ok(server);
}

/* --- the rest --- */

/* gdb moves the symbols of the file it has loaded: all of them by as much as the first segment. */
static void query_offsets(struct gdb_server *server, const char *args, size_t length)
{
    struct gdb_kernel kernel;

    if (gdb_kernel_find(server->vcpu, &kernel) && kernel.offset)
        gdb_reply(server, "TextSeg=%" PRIx64, kernel.base);
    else
        gdb_reply(server, "%s", "");
}

static void query_monitor(struct gdb_server *server, const char *args, size_t length)
{
    size_t max = length / 2;
    g_autofree char *line = g_malloc(max + 1);

    size_t got = hex_bytes(args, (uint8_t *)line, max);
    if (length % 2 || got != max) {
        gdb_reply_error(server, GDB_EINVAL);
        return;
    }
    line[max] = '\0';
    g_autofree char *text = gdb_monitor(server, line);
    gdb_console(server, text);
    gdb_reply_ok(server);
}

static void query_nothing(struct gdb_server *server, const char *args, size_t length)
{
    gdb_reply_ok(server); /* qSymbol: no symbol is wanted of gdb */
}

struct query {
    const char *name; /* with the separator before its arguments, if it has any */
    gdb_handler run;
};

static const struct query queries[] = {
    { "Supported", query_supported },
    { "HostInfo", query_host_info },
    { "ProcessInfo", query_process_info },
    { "Attached", query_attached },
    { "fThreadInfo", query_threads },
    { "sThreadInfo", query_threads_more },
    { "ThreadExtraInfo,", query_thread_info },
    { "Xfer:features:read:", query_features },
    { "Xfer:threads:read:", query_threads_xml },
    { "Search:memory:", gdb_memory_search },
    { "Rcmd,", query_monitor },
    { "Offsets", query_offsets },
    { "Symbol:", query_nothing },
    { "qemu.PhyMemMode", query_physical },
    { "qemu.sstepbits", query_step_bits },
    { "qemu.sstep", query_step },
    { "C", query_current_thread },
};

static const struct query settings[] = {
    { "StartNoAckMode", set_no_ack },
    { "qemu.PhyMemMode:", set_physical },
    { "qemu.sstep=", set_step },
    { "qemu.sstep:", set_step },
};

/* An empty reply says: there is no such packet. A name without separator ends there. */
static void dispatch(struct gdb_server *server, const struct query *table, size_t count,
                     const char *args, size_t length)
{
    for (size_t i = 0; i < count; i++) {
        const char *rest = args;
        size_t name_length = strlen(table[i].name);
        char last = table[i].name[name_length - 1];
        if (!gdb_skip(&rest, table[i].name) || (g_ascii_isalpha(last) && g_ascii_isalpha(*rest)))
            continue;
        table[i].run(server, rest, length - name_length);
        return;
    }
    gdb_reply(server, "%s", "");
}

void gdb_query(struct gdb_server *server, const char *args, size_t length)
{
    dispatch(server, queries, G_N_ELEMENTS(queries), args, length);
}

void gdb_set(struct gdb_server *server, const char *args, size_t length)
{
    dispatch(server, settings, G_N_ELEMENTS(settings), args, length);
}
