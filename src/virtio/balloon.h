/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The machine's balloon, for the monitor. Main loop. */
#ifndef YADO_VIRTIO_BALLOON_H
#define YADO_VIRTIO_BALLOON_H

#include "util/util.h"

struct vm;

/* Asks the guest to give memory back, or take it, until it has `bytes`. Fails without a balloon. */
bool balloon_set(struct vm *vm, uint64_t bytes, GError **error);

/* What the guest has now. */
bool balloon_actual(struct vm *vm, uint64_t *bytes, GError **error);

/* What the guest tells about its memory (virtio 1.2, 5.5.6.3), in the specification's order;
 * UINT64_MAX: it has not told. */
#define BALLOON_STATS 10u
extern const char *const balloon_stat_names[BALLOON_STATS]; /* QEMU's: "stat-swap-in", … */
bool balloon_stats(struct vm *vm, const uint64_t **values, uint64_t *updated_seconds,
                   GError **error);
/* Asks the guest for them every so many seconds; 0: never. */
bool balloon_poll_stats(struct vm *vm, unsigned seconds, GError **error);

#endif
