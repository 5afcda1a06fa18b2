/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A device as chardev tests need one: it takes what it has room for and remembers everything. */
#ifndef YADO_TESTS_CHARDEV_PEER_H
#define YADO_TESTS_CHARDEV_PEER_H

#include <fcntl.h>
#include <sys/socket.h>

#include "chardev/chardev.h"
#include "tap.h"
#include "util/timer.h"

struct peer {
    size_t room;  /* bytes it takes before it has to be emptied */
    bool overrun; /* was given more than that */
    GString *got;
    GString *events; /* 'o', 'c', 'b' */
};

static size_t peer_can_receive(void *opaque)
{
    return ((struct peer *)opaque)->room;
}

static void peer_receive(void *opaque, const uint8_t *data, size_t length)
{
    struct peer *peer = opaque;
    peer->overrun |= length > peer->room;
    peer->room -= MIN(length, peer->room);
    g_string_append_len(peer->got, (const char *)data, length);
}

static void peer_event(void *opaque, enum chardev_event event)
{
    g_string_append_c(((struct peer *)opaque)->events, "ocb"[event]);
}

static const struct chardev_frontend peer_frontend = {
    .can_receive = peer_can_receive,
    .receive = peer_receive,
    .event = peer_event,
};

static void peer_init(struct peer *peer, size_t room)
{
    *peer = (struct peer){ .room = room, .got = g_string_new(NULL), .events = g_string_new(NULL) };
}

static void peer_destroy(struct peer *peer)
{
    g_string_free(peer->got, TRUE);
    g_string_free(peer->events, TRUE);
}

/* A chardev whose other end is `*far`. `more` is added to its definition. */
static struct chardev *chardev_pair(const char *id, const char *more, int *far)
{
    int ends[2];
    g_autoptr(GError) error = NULL;

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends))
        g_error("socketpair");
    g_autofree char *text = g_strdup_printf("socket,id=%s,fd=%d%s", id, ends[0], more);
    struct chardev *chardev = chardev_new(text, &error);
    if (!chardev)
        g_error("%s", error->message);
    fcntl(ends[1], F_SETFL, O_NONBLOCK);
    *far = ends[1];
    return chardev;
}

/* Runs the main loop until `expression` holds; false after ten seconds. */
#define LOOP_UNTIL(expression) LOOP_UNTIL_MS(10000, expression)
#define LOOP_UNTIL_MS(milliseconds, expression) \
    ({ \
        uint64_t end_ns = clock_now_ns() + milliseconds * 1000000ull; \
        unsigned tick = g_timeout_add(5, loop_tick, NULL); \
        while (!(expression) && clock_now_ns() < end_ns) \
            g_main_context_iteration(NULL, TRUE); \
        g_source_remove(tick); \
        (expression); \
    })

static gboolean loop_tick(gpointer opaque)
{
    return G_SOURCE_CONTINUE;
}

#endif
