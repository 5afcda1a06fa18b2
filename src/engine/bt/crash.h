/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef YADO_ENGINE_BT_CRASH_H
#define YADO_ENGINE_BT_CRASH_H

#include <signal.h>

#include "engine/bt/bt.h"

/* Reports a signal that is no guest exception, on standard error and in the log file. `v`: whose
 * thread it is, with the guest's registers recovered as far as that is possible, or NULL; `bt` may
 * be NULL then. Async-signal-safe; the caller ends the process. */
void bt_crash(struct bt *bt, struct bt_vcpu *v, int signal, const siginfo_t *info, void *context);

#endif
