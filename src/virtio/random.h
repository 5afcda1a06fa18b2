/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Sources of randomness: `-object rng-random` (a device such as /dev/urandom), `rng-builtin` (the
 * host's generator) and `rng-egd` (a daemon behind a chardev). Main loop only. */
#ifndef YADO_VIRTIO_RANDOM_H
#define YADO_VIRTIO_RANDOM_H

#include "util/util.h"

struct random_source;
struct reference_kind;

struct random_request {
    /* Called once from the main loop, never within random_source_ask(), with 1 to `length` bytes in
     * the buffer. */
    void (*arrived)(struct random_request *request, size_t bytes);
    /* The source's. */
    uint8_t *buffer;
    size_t length;
};

/* `buffer` stays valid until it arrived or was forgotten. */
void random_source_ask(struct random_source *source, struct random_request *request, void *buffer,
                       size_t length);
void random_source_forget(struct random_source *source, struct random_request *request);

/* A source of its own for a device that was given none. Released by random_reference. */
struct random_source *random_source_builtin(GError **error);

/* For properties that name one. */
extern const struct reference_kind random_reference;

#endif
