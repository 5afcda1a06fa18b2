/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Lists of internal snapshots, for info and snapshot. */
#ifndef YADO_IMG_SNAPSHOTS_H
#define YADO_IMG_SNAPSHOTS_H

#include "block/driver.h"

/* struct block_snapshot; frees its strings with itself. NULL and an error. */
GArray *snapshots_get(struct block_node *node, GError **error);
/* "Snapshot list:" and the table. */
void snapshots_print(GArray *list);

#endif
