/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A server of gdb's remote protocol, on a chardev: a debugger that connects there stops the machine
 * and then rules it. With nobody connected it does nothing. Main loop only. */
#ifndef YADO_GDB_GDB_H
#define YADO_GDB_GDB_H

#include "util/util.h"

/* The chardev of -gdb, unless it is one with another name. */
#define GDB_CHARDEV_ID "gdb"

struct chardev;
struct vm;

/* Opens the chardev that -gdb names, in QEMU's forms: "tcp:[HOST]:PORT[,options]", "unix:PATH",
 * "stdio", "pty", "chardev:ID". Of a socket it is the server, and does not wait for a client,
 * unless the text says otherwise. */
struct chardev *gdb_chardev_open(const char *text, GError **error);

/* From now on, who connects to `chardev` debugs the machine, whose vCPUs have been started. A
 * server that was there is stopped. */
bool gdb_server_start(struct vm *vm, struct chardev *chardev, GError **error);
void gdb_server_stop(struct vm *vm);

#endif
