/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Byte streams between a guest device (front end) and the outside (back end): stdio, file, pty,
 * sockets, null, ring buffer; and the mux that shares one back end between consoles.
 *
 * Threads: chardev_write() from any thread, never blocks the vCPU on a slow peer longer than the
 * back end's rule says; it buffers or drops as documented per back end. Front end callbacks run on the
 * main loop with no lock held. */
#ifndef YADO_CHARDEV_CHARDEV_H
#define YADO_CHARDEV_CHARDEV_H

#include "util/util.h"

struct chardev;

enum chardev_event { CHARDEV_OPENED, CHARDEV_CLOSED, CHARDEV_BREAK };

struct chardev_frontend {
    /* How many bytes the device can take now; 0 stops reading until chardev_accept_input(). */
    size_t (*can_receive)(void *opaque);
    void (*receive)(void *opaque, const uint8_t *data, size_t length);
    void (*event)(void *opaque, enum chardev_event event);
};

/* Connects a device; one front end per chardev (a mux has several). */
bool chardev_attach(struct chardev *chardev, const struct chardev_frontend *frontend, void *opaque,
                    GError **error);
void chardev_detach(struct chardev *chardev);

/* All of `length` is taken (buffered if the back end is slow). */
void chardev_write(struct chardev *chardev, const void *data, size_t length);

/* Any thread: the device has room again. */
void chardev_accept_input(struct chardev *chardev);

/* From `-chardev` text ("socket,id=x,path=…") or the short form of -serial ("mon:stdio", "file:x"). */
struct chardev *chardev_new(const char *definition, GError **error);
struct chardev *chardev_new_short(const char *id, const char *definition, GError **error);
struct chardev *chardev_find(const char *id);
void chardevs_close_all(void); /* restores the terminal */

#endif
