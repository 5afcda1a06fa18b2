/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Flow control in both directions, slow and vanishing peers. */
#include "peer.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <sys/un.h>

static char pattern(size_t position)
{
    return "0123456789abcdefghijklmnopqrstuvwxyz\n"[position % 37];
}

static bool is_pattern(const GString *text, size_t length)
{
    for (size_t i = 0; i < text->len; i++) {
        if (text->str[i] != pattern(i))
            return false;
    }
    return text->len == length;
}

/* --- input --- */

#define PASTE_BYTES (64u << 10)

static void *make_room(void *opaque)
{
    struct chardev *chardev = opaque;
    for (int i = 0; i < 200; i++) {
        chardev_accept_input(chardev);
        g_usleep(50);
    }
    return NULL;
}

/* A paste of 64 KiB into a device with a FIFO of 16 bytes. */
static void test_paste(void)
{
    struct peer peer;
    int far;
    struct chardev *chardev = chardev_pair("paste", "", &far);
    size_t sent = 0;

    peer_init(&peer, 16);
    chardev_attach(chardev, &peer_frontend, &peer, NULL);
    for (size_t emptied = 0; emptied < PASTE_BYTES;) {
        while (sent < PASTE_BYTES) {
            char byte = pattern(sent);
            if (write(far, &byte, 1) != 1)
                break;
            sent++;
        }
        if (!LOOP_UNTIL(peer.got->len > emptied))
            break;
        emptied = peer.got->len;
        peer.room = 16;
        chardev_accept_input(chardev);
    }
    tap_ok(is_pattern(peer.got, PASTE_BYTES), "64 KiB arrive, all and in order");
    tap_ok(!peer.overrun, "the device is never given more than it has room for");

    peer.room = 0;
    tap_ok(write(far, "x", 1) == 1 && !LOOP_UNTIL_MS(100, peer.got->len > PASTE_BYTES)
               && !peer.overrun,
           "a device without room gets nothing");
    GThread *thread = g_thread_new("room", make_room, chardev);
    peer.room = 1;
    tap_ok(LOOP_UNTIL(peer.got->len > PASTE_BYTES), "until another thread says that it has room");
    g_thread_join(thread);
    chardevs_close_all();
    close(far);
    peer_destroy(&peer);
}

/* --- output --- */

#define FLOOD_BYTES (6u << 20)

struct flood {
    struct chardev *chardev;
    gint done;
};

static void *write_flood(void *opaque)
{
    struct flood *flood = opaque;
    char line[37];

    for (size_t i = 0; i < FLOOD_BYTES; i += sizeof(line)) {
        size_t length = MIN(sizeof(line), FLOOD_BYTES - i);
        for (size_t j = 0; j < length; j++)
            line[j] = pattern(i + j);
        chardev_write(flood->chardev, line, length);
    }
    g_atomic_int_set(&flood->done, 1);
    return NULL;
}

static void read_some(int fd, GString *text)
{
    char data[16384];
    ssize_t got;
    while ((got = read(fd, data, sizeof(data))) > 0)
        g_string_append_len(text, data, got);
}

/* Six megabytes against a reader that pauses again and again, but never for a second. */
static void test_slow_reader(void)
{
    int far;
    struct flood flood = { .chardev = chardev_pair("slow", "", &far) };
    g_autoptr(GString) text = g_string_new(NULL);
    GThread *thread = g_thread_new("flood", write_flood, &flood);

    for (int pause = 0; pause < 5; pause++) {
        g_usleep(100000);
        read_some(far, text);
        g_main_context_iteration(NULL, FALSE);
    }
    LOOP_UNTIL((read_some(far, text), text->len >= FLOOD_BYTES));
    tap_ok(is_pattern(text, FLOOD_BYTES), "a slow reader gets 6 MiB, all and in order");
    g_thread_join(thread);
    chardevs_close_all();
    close(far);
}

/* A reader that never reads: the writer must get through, in bounded time. */
static void test_stalled_reader(void)
{
    int far;
    struct flood flood = { .chardev = chardev_pair("stalled", "", &far) };
    uint64_t start_ns = clock_now_ns();
    GThread *thread = g_thread_new("flood", write_flood, &flood);

    LOOP_UNTIL(g_atomic_int_get(&flood.done));
    g_thread_join(thread);
    tap_ok(clock_now_ns() - start_ns < 9000000000ull, "a reader that never reads does not stop us");
    g_autoptr(GString) text = g_string_new(NULL);
    LOOP_UNTIL((read_some(far, text), text->len >= 1u << 20));
    tap_ok(text->len >= 1u << 20 && text->len < FLOOD_BYTES, "and has a megabyte to read later");
    chardev_write(flood.chardev, "END", 3);
    tap_ok(LOOP_UNTIL((read_some(far, text), g_str_has_suffix(text->str, "END"))),
           "and then everything new");
    chardevs_close_all();
    close(far);
}

static void test_close_flushes(void)
{
    g_autofree char *path = g_build_filename(g_get_tmp_dir(), "yado-test-XXXXXX", NULL);
    close(g_mkstemp(path));
    g_autofree char *text = g_strdup_printf("file,id=f,path=%s", path);
    struct flood flood = { .chardev = chardev_new(text, NULL) };
    g_autofree char *content = NULL;
    gsize length;

    write_flood(&flood);
    chardevs_flush(1000);
    chardevs_close_all();
    g_file_get_contents(path, &content, &length, NULL);
    tap_ok(length == FLOOD_BYTES, "a file has it all after the end");
    g_autofree char *append = g_strdup_printf("file,id=f,path=%s,append=on", path);
    chardev_write(chardev_new(append, NULL), "more", 4);
    chardevs_close_all();
    g_clear_pointer(&content, g_free);
    g_file_get_contents(path, &content, &length, NULL);
    tap_ok(length == FLOOD_BYTES + 4, "append=on keeps what is there");
    unlink(path);
}

/* --- peers that come and go --- */

static int peer_connect(const char *path)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    g_strlcpy(address.sun_path, path, sizeof(address.sun_path));
    if (connect(fd, (struct sockaddr *)&address, sizeof(address))) {
        close(fd);
        return -1;
    }
    fcntl(fd, F_SETFL, O_NONBLOCK);
    return fd;
}

static void test_server(void)
{
    g_autofree char *folder = g_dir_make_tmp("yado-test-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(folder, "socket", NULL);
    g_autofree char *text = g_strdup_printf("unix:%s,server,nowait", path);
    struct chardev *chardev = chardev_new_short("server", text, NULL);
    struct peer peer;

    peer_init(&peer, 1000);
    chardev_attach(chardev, &peer_frontend, &peer, NULL);
    chardev_write(chardev, "nobody hears this", 17);
    for (int round = 0; round < 3; round++) {
        int far = peer_connect(path);
        size_t opened = peer.events->len + 1;
        LOOP_UNTIL(peer.events->len >= opened);
        g_autoptr(GString) got = g_string_new(NULL);
        chardev_write(chardev, "hello", 5);
        LOOP_UNTIL((read_some(far, got), got->len >= 5));
        tap_is(got->str, "hello", "a peer that connects gets what comes then");
        g_string_truncate(peer.got, 0);
        bool written = write(far, "answer", 6) == 6;
        tap_ok(written && LOOP_UNTIL(peer.got->len == 6), "and is heard");
        close(far);
        /* Its end is noticed by writing in one round, by reading in the others. */
        if (round == 1)
            chardev_write(chardev, "into the void", 13);
        tap_ok(LOOP_UNTIL(peer.events->len > opened), "when it is gone the device is told");
    }
    tap_is(peer.events->str, "ocococ", "open and close, in turn");
    chardevs_close_all();
    tap_ok(g_access(path, F_OK) != 0, "the socket's path is removed at the end");
    rmdir(folder);
    peer_destroy(&peer);
}

static void test_reconnect(void)
{
    g_autofree char *folder = g_dir_make_tmp("yado-test-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(folder, "socket", NULL);
    g_autofree char *server_text = g_strdup_printf("unix:%s,server=on,wait=off", path);
    g_autofree char *client_text = g_strdup_printf("socket,id=client,path=%s,reconnect=1", path);
    struct chardev *client = chardev_new(client_text, NULL);
    struct chardev *server = chardev_new_short("server", server_text, NULL);
    struct peer peer, far_peer;

    peer_init(&peer, 1000);
    peer_init(&far_peer, 1000);
    chardev_attach(server, &peer_frontend, &far_peer, NULL);
    tap_ok(client != NULL, "with reconnect= a server need not be there yet");
    chardev_attach(client, &peer_frontend, &peer, NULL);
    tap_ok(LOOP_UNTIL(peer.events->len == 1 && far_peer.events->len == 1), "it is tried again");
    chardev_write(server, "hi", 2);
    tap_ok(LOOP_UNTIL(peer.got->len == 2), "and works");
    chardevs_close_all();
    rmdir(folder);
    peer_destroy(&peer);
    peer_destroy(&far_peer);
}

static void test_attach(void)
{
    struct peer peer;
    struct chardev *chardev = chardev_new("null,id=n", NULL);
    g_autoptr(GError) error = NULL;

    peer_init(&peer, 1);
    tap_ok(chardev_attach(chardev, &peer_frontend, &peer, NULL), "a device attaches");
    tap_is(peer.events->str, "o", "and hears that the other end is there");
    tap_ok(!chardev_attach(chardev, &peer_frontend, &peer, &error)
               && strstr(error->message, "mux=on"),
           "a second does not");
    chardev_detach(chardev);
    tap_ok(chardev_attach(chardev, &peer_frontend, &peer, NULL), "but may when the first has left");
    chardevs_close_all();
    tap_ok(!chardev_find("n"), "closed chardevs are forgotten");
    peer_destroy(&peer);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    test_attach();
    test_paste();
    test_slow_reader();
    test_stalled_reader();
    test_close_flushes();
    test_server();
    test_reconnect();
    return tap_done();
}
