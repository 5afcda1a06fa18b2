/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Keys of the mux, and what its front ends get. */
#include "peer.h"

static unsigned quits;

static void quit(void *opaque)
{
    quits++;
}

static const struct mux_case {
    const char *keys;
    const char *first, *second; /* what the two front ends get */
    const char *first_events;   /* beside the first 'o' */
    unsigned quits;
} cases[] = {
    { "hello", "hello", "", "", 0 },
    { "a\1\1b", "a\1b", "", "", 0 },
    { "a\1"
      "ab",
      "a\1b", "", "", 0 },
    { "one\1ctwo\1cthree", "onethree", "two", "co", 0 },
    { "x\1by", "xy", "", "b", 0 },
    { "\1zrest", "rest", "", "", 0 }, /* unknown command: nothing */
    { "\1x", "", "", "", 1 },
    { "a\35b", "a\35b", "", "", 0 }, /* the leave key alone is a key */
    { "a\35\35", "a\35", "", "", 1 },
    { "\35a\35", "\35a\35", "", "", 0 }, /* twice, but not one after the other */
};

static void test_keys(const struct mux_case *row, bool one_by_one)
{
    struct peer first, second;
    int far;
    struct chardev *chardev = chardev_pair("mux", ",mux=on", &far);
    size_t length = strlen(row->keys), wanted = strlen(row->first) + strlen(row->second);

    quits = 0;
    peer_init(&first, 100);
    peer_init(&second, 100);
    chardev_attach(chardev, &peer_frontend, &first, NULL);
    chardev_attach(chardev, &peer_frontend, &second, NULL);
    for (size_t i = 0; i < length; i += one_by_one ? 1 : length) {
        if (write(far, row->keys + i, one_by_one ? 1 : length) < 1)
            tap_note("writing failed");
        for (int turn = 0; one_by_one && turn < 4; turn++)
            g_main_context_iteration(NULL, FALSE);
    }
    LOOP_UNTIL(first.got->len + second.got->len >= wanted && quits >= row->quits);
    g_autofree char *shown = g_strescape(row->keys, NULL);
    tap_ok(!strcmp(first.got->str, row->first) && !strcmp(second.got->str, row->second)
               && !strcmp(first.events->str + 1, row->first_events) && quits == row->quits,
           "keys '%s'%s", shown, one_by_one ? ", one by one" : "");
    chardevs_close_all();
    close(far);
    peer_destroy(&first);
    peer_destroy(&second);
}

/* Ctrl-A x must work when the guest has stopped reading. */
static void test_deaf_guest(void)
{
    struct peer peer;
    int far;
    struct chardev *chardev = chardev_pair("mux", ",mux=on", &far);

    quits = 0;
    peer_init(&peer, 0);
    chardev_attach(chardev, &peer_frontend, &peer, NULL);
    bool written = write(far, "hello?", 6) == 6 && write(far, "\1x", 2) == 2;
    tap_ok(written && LOOP_UNTIL(quits == 1), "Ctrl-A x ends a guest that does not read");
    peer.room = 4;
    chardev_accept_input(chardev);
    LOOP_UNTIL(peer.got->len == 4);
    tap_ok(!strcmp(peer.got->str, "hell") && !peer.overrun, "what it did not take has waited");
    peer.room = 4;
    chardev_accept_input(chardev);
    LOOP_UNTIL(peer.got->len == 6);
    tap_is(peer.got->str, "hello?", "and comes when it has room");
    chardevs_close_all();
    close(far);
    peer_destroy(&peer);
}

static void test_paste(void)
{
    struct peer peer;
    int far;
    struct chardev *chardev = chardev_pair("mux", ",mux=on", &far);
    g_autofree char *text = g_strnfill(64 << 10, 'p');
    size_t sent = 0, emptied = 0;

    peer_init(&peer, 16);
    chardev_attach(chardev, &peer_frontend, &peer, NULL);
    while (emptied < 64 << 10) {
        ssize_t length = write(far, text + sent, (64 << 10) - sent);
        sent += MAX(length, 0);
        if (!LOOP_UNTIL(peer.got->len > emptied))
            break;
        emptied = peer.got->len;
        peer.room = 16;
        chardev_accept_input(chardev);
    }
    tap_ok(!strcmp(peer.got->str, text) && !peer.overrun, "64 KiB pass a mux, all of them");
    chardevs_close_all();
    close(far);
    peer_destroy(&peer);
}

int main(void)
{
    const struct chardev_mux_keys keys = { .escape = 1, .leave = 0x1d, .quit = quit };

    chardevs_set_mux_keys(&keys);
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        test_keys(&cases[i], false);
        test_keys(&cases[i], true);
    }
    test_deaf_guest();
    test_paste();
    return tap_done();
}
