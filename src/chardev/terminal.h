/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The terminal on standard input: raw while the machine runs, as it was in every other moment.
 *
 * A process has one terminal, so this state is the process's. */
#ifndef YADO_CHARDEV_TERMINAL_H
#define YADO_CHARDEV_TERMINAL_H

#include "util/util.h"

/* Before any engine installs handlers of its own: has terminal_restore() called at exit() and when
 * a fatal signal kills us. */
void terminal_guard(void);

/* Makes it raw, if standard input is one: every key goes to the guest, uninterpreted. `signals`:
 * but Ctrl-C, Ctrl-\ and Ctrl-Z still act on this process. Main loop. */
void terminal_make_raw(bool signals);

/* As it was before terminal_make_raw(). Async-signal-safe. */
void terminal_restore(void);

/* Stops this process as Ctrl-Z does, with the terminal restored meanwhile. */
void terminal_suspend(void);

/* After SIGCONT: raw again if it was and we are in the foreground. */
void terminal_continue(void);

#endif
