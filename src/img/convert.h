/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copying disk contents with several threads: for convert, and what else moves whole disks. */
#ifndef YADO_IMG_CONVERT_H
#define YADO_IMG_CONVERT_H

#include "block/driver.h"

struct copy {
    struct block_node **sources; /* one after the other */
    unsigned source_count;
    struct block_node *target;
    uint64_t length; /* bytes to copy; beyond the sources: zeroes */
    unsigned threads;
    uint64_t sparse_bytes; /* zeroes of at least so many bytes are not written; 0: all is written */
    bool compressed;
    bool in_order;           /* the target gets its data in order */
    bool target_is_zero;     /* zeroes need not be written */
    bool target_has_backing; /* what the (one) source's top layer does not have is left out */
    uint64_t backing_length; /* bytes of the target's backing file */
    bool salvage, quiet;     /* unreadable parts become zeroes */
    bool offload;            /* let the host copy where it can */
    uint64_t rate;           /* bytes a second; 0: as fast as possible */
};

/* 0 or a negative errno; a message has been printed. */
int copy_run(struct copy *copy);

#endif
