/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Inside the core: shared by io_sync.c and io_async.c. */
#ifndef YADO_BLOCK_IO_H
#define YADO_BLOCK_IO_H

#include "block/driver.h"

/* Requests are cut into pieces no larger than this, so that a bounce buffer stays small. */
enum { BLOCK_BOUNCE_BYTES = 1 << 20 };

static inline bool block_op_writes(enum block_op op)
{
    return op == BLOCK_WRITE || op == BLOCK_WRITE_ZEROES || op == BLOCK_DISCARD;
}

/* Whether node->driver can take the request as it is: offsets, lengths and addresses. */
bool io_is_aligned(const struct block_node *node, enum block_op op, uint64_t offset,
                   uint64_t length, struct iov data);

/* 0, or why the node does not take this request at all. */
int io_check(struct block_node *node, enum block_op op, uint64_t offset, uint64_t length);

/* Asks the driver, with its lock if it wants that and it can be had at once or `wait`. */
bool io_lookup(struct block_node *node, enum block_op op, unsigned flags, uint64_t offset,
               uint64_t length, bool wait, struct block_extent *extent);

/* Counts a write in; false if the gate is closed. gate_enter() waits. Left with
 * block_guard_leave(&gate->writes). */
bool gate_try_enter(struct block_gate *gate);
void gate_enter(struct block_gate *gate);
/* Waits until no write is under way and lets none begin. One at a time. */
void gate_close(struct block_gate *gate);
void gate_open(struct block_gate *gate);

/* One request, synchronously, from the node's entrance on. */
int io_sync(struct block_node *node, enum block_op op, unsigned flags, uint64_t offset,
            uint64_t length, struct iov data);

#endif
