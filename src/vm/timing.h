/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The phases of a start, for -timing: when each was first reached, in milliseconds since exec.
 *
 * One start per process, so this state is the process's. Any thread may mark; a phase counts when it is
 * reached first, later marks are free of cost but a load. */
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

extern bool timing_enabled; /* set by -timing before threads start */

/* Called first thing in main(): the reference of all phases. */
void timing_init(void);

/* Records `phase` if it is the first time; with -timing, prints its line on standard error. */
void timing_mark(enum timing_phase phase);
bool timing_marked(enum timing_phase phase);

#endif
