/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The human monitor's commands, for whoever has a line of text: a console (console.h), gdb's
 * `monitor`, QMP's human-monitor-command. Main loop only.
 *
 * A command is one function and one row beside it, see command.h. */
#ifndef YADO_MONITOR_HMP_H
#define YADO_MONITOR_HMP_H

#include "util/util.h"

struct vm;

/* Runs one line and returns what it printed, "" if nothing; lines end in "\n". The caller frees it.
 * `cpu` is the vCPU that commands look at (`info registers`, `x`, `$rip`); `cpu N` changes it. NULL
 * stands for the first. A running guest is held only while a command looks at it. */
char *hmp_execute(struct vm *vm, unsigned *cpu, const char *line);

/* What the last word of `line` may become: a NULL-terminated list (g_strfreev), in order. Commands,
 * topics of `info` and `help`, log categories, ids of chardevs. */
char **hmp_complete(const char *line);

#endif
