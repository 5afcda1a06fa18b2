/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Byte streams between a guest device (front end) and the outside (back end): stdio, file, pty,
 * sockets, null; and the mux that shares one back end between consoles.
 *
 * Threads: chardev_write() and chardev_accept_input() from any thread, everything else main loop
 * only. Front end callbacks run on the main loop with no lock held.
 *
 * Output: a write goes to the back end at once as far as it takes it; the rest is queued and
 * written by the main loop. Past CHARDEV_QUEUE_SOFT queued bytes a writer is slowed to the back
 * end's pace, at most 10 ms per call, so a reader that is merely slow loses nothing. A socket or
 * pty whose reader has taken nothing for a second loses new output until it reads again; a socket
 * nobody is connected to loses it always, as an unplugged serial cable does.
 *
 * Input: never more is read than the front end can take, so the rest waits at its source. */
#ifndef YADO_CHARDEV_CHARDEV_H
#define YADO_CHARDEV_CHARDEV_H

#include "util/util.h"

struct chardev;

/* OPENED and CLOSED: somebody is at the other end, or no longer; of a mux, and this front end has
 * the input. */
enum chardev_event { CHARDEV_OPENED, CHARDEV_CLOSED, CHARDEV_BREAK };

struct chardev_frontend {
    /* How many bytes the device can take now; 0 stops reading until chardev_accept_input(). */
    size_t (*can_receive)(void *opaque);
    void (*receive)(void *opaque, const uint8_t *data, size_t length);
    void (*event)(void *opaque, enum chardev_event event); /* may be NULL */
};

/* Connects a device; one front end per chardev (a mux has several, the first has the input). */
bool chardev_attach(struct chardev *chardev, const struct chardev_frontend *frontend, void *opaque,
                    GError **error);
/* Disconnects; of a mux, every front end. */
void chardev_detach(struct chardev *chardev);

/* All of `length` is taken (buffered if the back end is slow). */
void chardev_write(struct chardev *chardev, const void *data, size_t length);

/* Any thread: the device has room again. */
void chardev_accept_input(struct chardev *chardev);

/* From `-chardev` text ("socket,id=x,path=…") or the short form of -serial ("mon:stdio", "file:x").
 * "mon:" makes a mux; attaching the monitor to it is the caller's. Chardevs live until
 * chardevs_close_all(). */
struct chardev *chardev_new(const char *definition, GError **error);
struct chardev *chardev_new_short(const char *id, const char *definition, GError **error);
struct chardev *chardev_find(const char *id);
void chardev_print_help(void); /* -chardev help */

/* One after the other, in order of definition. */
void chardevs_visit(void (*visit)(const char *id, const char *driver, bool connected, void *opaque),
                    void *opaque);
/* Closes one that no device uses. */
bool chardev_remove(const char *id, GError **error);
/* The device at `chardev` sees a break on its line. False: there is no such chardev. */
bool chardev_send_break(const char *id, GError **error);

/* Keys of a mux: `escape` (0: none) starts QEMU's two-key commands; `leave` (0: none) pressed
 * twice within half a second ends the machine. */
struct chardev_mux_keys {
    uint8_t escape, leave;
    void (*quit)(void *opaque);
    void *opaque;
};
void chardevs_set_mux_keys(const struct chardev_mux_keys *keys);

bool chardevs_use_stdio(void); /* is one of them stdio? (not together with -daemonize) */
void chardevs_activate(void);  /* the machine starts: the terminal becomes raw */

/* Gives readers that are behind time to take what is queued: until all is taken, or one takes
 * nothing for `patience_ms`. */
void chardevs_flush(unsigned patience_ms);
void chardevs_close_all(void); /* restores the terminal */

#endif
