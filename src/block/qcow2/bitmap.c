/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Persistent bitmaps. (Specification: "Bitmaps".) */
#include "block/qcow2/qcow2.h"

void qcow2_bitmaps_visit(struct qcow2 *s,
                         void (*use)(void *opaque, uint64_t offset, uint64_t bytes), void *opaque)
{
}

json_t *qcow2_bitmaps_info(struct qcow2 *s)
{
    return NULL;
}
