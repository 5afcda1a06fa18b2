/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The phases of a start, for -timing: when each was first reached, in milliseconds since exec.
 *
 * One start per process, so this state is the process's. Any thread may mark; a phase counts when
 * it is reached first, later marks are free of cost but a load. */
#ifndef YADO_VM_TIMING_H
#define YADO_VM_TIMING_H

#include "util/util.h"

#define TIMING_PHASES(X) \
    X(PROCESS, "process", "main() reached") \
    X(DEVICES, "devices", "engine, memory and devices exist") \
    X(LOADED, "loaded", "kernel or firmware in guest memory") \
    X(KERNEL, "kernel entry", "first guest instruction") \
    X(USER, "first user instruction", "guest reached CPL 3")

#define X(name, label, meaning) TIMING_##name,
enum timing_phase { TIMING_PHASES(X) TIMING_COUNT };
#undef X

/* Called first thing in main(): the reference of all phases. */
void timing_init(void);

/* -timing: prints a line on standard error for each phase reached so far, and for each as it is
 * reached. Before threads start. */
void timing_print(void);

/* Records `phase` if it is the first time. */
void timing_mark(enum timing_phase phase);
bool timing_marked(enum timing_phase phase);

#endif
