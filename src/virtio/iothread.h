/* SPDX-License-Identifier: GPL-2.0-or-later */
/* `-object iothread,id=ID`: a thread with an event loop on which devices work, and the block layer
 * completes what they asked for. Main loop only, unless a function says otherwise. */
#ifndef YADO_VIRTIO_IOTHREAD_H
#define YADO_VIRTIO_IOTHREAD_H

#include "util/util.h"

struct block_context;
struct reference_kind;
struct iothread;

/* Any thread. */
GMainContext *iothread_loop(struct iothread *iothread);

/* NULL: the main loop's. */
struct block_context *iothread_block_context(struct iothread *iothread);

/* Removes a source from the loop (NULL: the main one) and returns when its callback does not run
 * any more. Drops the reference. */
void iothread_detach(struct iothread *iothread, GSource *source);

/* For properties that name one. */
extern const struct reference_kind iothread_reference;

#endif
