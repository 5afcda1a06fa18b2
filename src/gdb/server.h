/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Shared by the files of the gdb server.
 *
 *   server.c     the connection: comes, goes, Ctrl-C; stops and ends of the machine
 *   commands.c   the table of packets, threads, registers, breakpoints
 *   resume.c     packets that let vCPUs go on, and the replies when they have stopped
 *   query.c      q and Q packets
 *   memory.c     memory packets
 *   monitor.c    what gdb's `monitor` does that is not the human monitor's
 *   kaslr.c      where a Linux kernel has put itself
 *   layout.c, registers.c, packet.c   registers and framing, with headers of their own
 *
 * A thread is a vCPU; its id is the vCPU's number plus one. */
#ifndef YADO_GDB_SERVER_H
#define YADO_GDB_SERVER_H

#include "gdb/gdb.h"
#include "gdb/packet.h"
#include "gdb/registers.h"
#include "vm/debug.h"
#include "vm/vm.h"

struct gdb_server {
    struct vm *vm;
    struct chardev *chardev;
    struct gdb_link link;
    bool attached;                 /* somebody is there, and the machine is theirs */
    bool handling;                 /* a packet is being handled */
    bool waiting;                  /* the machine runs, and gdb waits to hear why it stopped */
    bool physical;                 /* memory packets mean physical addresses */
    bool has_swbreak, has_hwbreak; /* gdb understands these reasons in a stop reply */
    bool step_interrupts;          /* a step takes interrupts */
    struct vcpu *vcpu;             /* that of register and memory packets: the "general thread" */
    struct vcpu *resumed;          /* that of the packets c and s; NULL: the general thread */
    struct gdb_layout layout;
    int arch_wanted;     /* enum gdb_arch, or -1: what fits */
    bool registers_seen; /* it has read all registers */
    bool read_all;       /* the last packet was the first to read all registers */
    bool refused;        /* a client left at once when it saw the registers of 16- or 32-bit code */
    char *xml;           /* target.xml of `layout` */
    GString *reply;      /* scratch */
    enum debug_event last_event; /* why it is stopped */
};

/* A kind of packet: `args` is what is behind its name, `length` how long that is; it may hold
 * zeros, and ends with one that is not counted. */
typedef void (*gdb_handler)(struct gdb_server *server, const char *args, size_t length);

/* The reply to the packet being handled. */
void gdb_reply(struct gdb_server *server, const char *format, ...) G_GNUC_PRINTF(2, 3);
void gdb_reply_ok(struct gdb_server *server);
/* Two digits as QEMU's server sends them. */
enum gdb_errno { GDB_EFAULT = 0x14, GDB_EINVAL = 0x22 }; /* written in hex */
void gdb_reply_error(struct gdb_server *server, enum gdb_errno number);
/* Text for gdb's user, while a command of `monitor` runs or the machine does. */
void gdb_console(struct gdb_server *server, const char *text);

/* server.c */
void gdb_detach(struct gdb_server *server); /* forgets breakpoints; the machine goes on */
void gdb_layout_choose(struct gdb_server *server);

/* commands.c: one packet. `data` ends with a zero and may hold zeros. */
void gdb_command(struct gdb_server *server, char *data, size_t length);
/* Reads a thread id: "1", "p1.1", "-1", "0". `*vcpu` is NULL for all or any. */
bool gdb_thread_parse(struct gdb_server *server, const char **text, struct vcpu **vcpu);
/* Has the prefix? Moves *text behind it. */
bool gdb_skip(const char **text, const char *prefix);

/* resume.c */
void gdb_continue(struct gdb_server *server, const char *args, size_t length);
void gdb_step(struct gdb_server *server, const char *args, size_t length);
void gdb_continue_signal(struct gdb_server *server, const char *args, size_t length);
void gdb_step_signal(struct gdb_server *server, const char *args, size_t length);
void gdb_vcont(struct gdb_server *server, const char *args);
void gdb_stop_reply(struct gdb_server *server, enum debug_event event);

/* query.c */
void gdb_query(struct gdb_server *server, const char *args, size_t length);
void gdb_set(struct gdb_server *server, const char *args, size_t length);

/* memory.c */
void gdb_memory_read(struct gdb_server *server, const char *args, size_t length);
void gdb_memory_read_binary(struct gdb_server *server, const char *args, size_t length);
void gdb_memory_write(struct gdb_server *server, const char *args, size_t length);
void gdb_memory_write_binary(struct gdb_server *server, const char *args, size_t length);
void gdb_memory_search(struct gdb_server *server, const char *args, size_t length);

/* monitor.c: runs a line, and gives what it has to say; the caller frees it. */
char *gdb_monitor(struct gdb_server *server, const char *line);

/* kaslr.c */
struct gdb_kernel {
    uint64_t base;     /* of its text, where it runs */
    uint64_t offset;   /* from where it was linked to */
    char version[128]; /* "Linux version …", or empty */
};
bool gdb_kernel_find(struct vcpu *vcpu, struct gdb_kernel *kernel);
/* What to tell the user; the caller frees it. */
char *gdb_kernel_text(struct vcpu *vcpu);
/* The machine stops when a kernel executes its first instruction where it stays. False: this engine
 * cannot do that. */
bool gdb_kernel_wait(struct vm *vm, GError **error);
void gdb_kernel_wait_end(struct vm *vm);

#endif
