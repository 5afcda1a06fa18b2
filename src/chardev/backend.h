/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a back end implements, and the core's part of a chardev. Only src/chardev includes this.
 *
 * A back end either owns descriptors (it sets in_fd and out_fd; the core reads, writes, queues and
 * polls) or implements `write` itself. Lock order: a front end's device lock, then
 * chardev->lock. */
#ifndef YADO_CHARDEV_BACKEND_H
#define YADO_CHARDEV_BACKEND_H

#include <pthread.h>
#include <stdatomic.h>
#include <sys/types.h>

#include "chardev/chardev.h"
#include "util/keyval.h"

#define CHARDEV_QUEUE_SOFT (1u << 20)
#define CHARDEV_QUEUE_HARD (64u << 20)
#define CHARDEV_SLOTS 4

struct chardev_driver {
    const char *name, *help;
    size_t size;                /* of the back end's struct, whose first member is struct chardev */
    const char *const *options; /* the names `open` takes */
    bool (*open)(struct chardev *chardev, struct keyval *options, GError **error);
    void (*close)(struct chardev *chardev);
    void (*activate)(struct chardev *chardev); /* may be NULL */
    /* Back ends without descriptors; called with chardev->lock held. */
    void (*write)(struct chardev *chardev, const uint8_t *data, size_t length);
    /* Writes to out_fd without blocking, as write(2). NULL: write(2) itself, of a descriptor that
     * is non-blocking or a regular file. Called with chardev->lock held. */
    ssize_t (*send)(struct chardev *chardev, const uint8_t *data, size_t length);
    /* Main loop: input has ended or output failed; the back end closes or replaces descriptors.
     * NULL: nothing more is read, output is dropped. */
    void (*lost)(struct chardev *chardev);
    bool drop_when_stalled;
};

/* One front end; its buffer holds input a mux has already read. */
struct chardev_slot {
    const struct chardev_frontend *frontend;
    void *opaque;
    uint8_t *buffer; /* mux only */
    size_t start, length;
};

struct chardev {
    char *id;                            /* [const] */
    const struct chardev_driver *driver; /* [const] */
    bool is_mux;                         /* [const] after it is made */
    bool opened;                         /* [main] somebody is at the other end */

    struct chardev_slot slots[CHARDEV_SLOTS]; /* [main] */
    unsigned slot_count, focus;               /* [main] */
    bool escaped;                             /* [main] mux: the last byte was the escape key */
    uint64_t left_ns;                         /* [main] mux: when the leave key was pressed last */

    int in_fd;                 /* [main] -1: no input */
    GSource *source;           /* [main] */
    gpointer in_tag, out_tag;  /* [main] the source's polls */
    atomic_bool input_blocked; /* accept_input must wake the main loop */
    atomic_bool failed;        /* writing failed; the main loop calls lost() */

    pthread_mutex_t lock;
    int out_fd;           /* [lock] -1: output is dropped */
    GByteArray *queue;    /* [lock] */
    size_t queue_start;   /* [lock] bytes of `queue` already written */
    uint64_t progress_ns; /* [lock] when the back end last took something */
    bool drop_reported;   /* [lock] */
};

extern const struct chardev_driver chardev_stdio, chardev_file, chardev_pty, chardev_socket,
    chardev_null;

/* core.c. `options` without driver, id and mux; NULL and an error if it cannot be opened. */
struct chardev *chardev_open(const struct chardev_driver *driver, const char *id,
                             struct keyval *options, bool mux, GError **error);
/* Main loop: replaces both descriptors (-1 for none) and forgets queued output. */
void chardev_set_fds(struct chardev *chardev, int in_fd, int out_fd);
/* Tells the front end in focus, and remembers whether anybody is at the other end. */
void chardev_send_event(struct chardev *chardev, enum chardev_event event);

/* mux.c */
void mux_init_slot(struct chardev_slot *slot);
size_t mux_room(const struct chardev *chardev);
void mux_input(struct chardev *chardev, const uint8_t *data, size_t length);
bool mux_pending(const struct chardev *chardev); /* could mux_deliver() deliver something? */
void mux_deliver(struct chardev *chardev);

#endif
