/* SPDX-License-Identifier: GPL-2.0-or-later */
/* From a complete configuration to a running machine and back to an exit code: the part `yado
 * system` and `yado run` share. Main thread only. */
#ifndef YADO_CLI_SESSION_H
#define YADO_CLI_SESSION_H

#include "chardev/chardev.h"
#include "cli/disks.h"
#include "vm/vm.h"

struct session {
    struct vm_config *config; /* taken over by session_run() */
    GPtrArray *chardev_texts; /* char *, one per -chardev */
    GPtrArray *serial_texts;  /* char *, at most VM_SERIAL_PORTS; "none": no such port */
    GPtrArray *object_texts;  /* char *, one per -object */
    struct disks *disks;
    char *monitor_text; /* short form, or "none"; NULL: the first "mon:" of the serial ports */
    char *gdb_text;     /* where a debugger connects, see gdb_chardev_open(); NULL: nowhere */
    char *gdb_line;     /* the command that connects there, printed when it can; or NULL */
    char *pidfile;
    bool daemonize;
    struct chardev_mux_keys keys; /* quit and opaque are filled in */
    const char *notice;           /* one line printed when the console begins, or NULL */
    bool name_signals;            /* say which signal ended the machine */
};

struct session *session_new(void);
void session_free(struct session *session);

/* Returns the process's exit code; errors are reported. */
int session_run(struct session *session);

#endif
