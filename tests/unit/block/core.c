/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The block layer's core over real files: both ways of doing I/O, sizes that are not multiples of
 * anything, permissions and locks. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "block/backend.h"
#include "block/driver.h"

#include "tap.h"

static char *folder;

static char *file_make(const char *name, size_t size, int byte)
{
    g_autofree char *contents = g_malloc(size + 1);
    char *path = g_build_filename(folder, name, NULL);
    memset(contents, byte, size);
    g_file_set_contents(path, contents, size, NULL);
    return path;
}

static struct block_node *open_or_note(const char *path, const char *format, unsigned flags)
{
    g_autoptr(GError) error = NULL;
    struct block_node *node = block_open(path, format, NULL, flags, &error);
    if (!node)
        tap_note("%s", error->message);
    return node;
}

static void test_sync(unsigned flags, const char *name)
{
    g_autofree char *path = file_make("sync", 1 << 20, 'a');
    auto_block *node = open_or_note(path, "raw", BLOCK_OPEN_RW | BLOCK_OPEN_UNMAP | flags);
    static const struct {
        uint64_t offset;
        size_t length;
    } rows[] = { { 0, 1 },        { 1, 511 },           { 511, 2 },     { 4095, 4098 },
                 { 1000, 70000 }, { (1 << 20) - 3, 3 }, { 65536, 4096 } };
    g_autofree uint8_t *expected = g_malloc(1 << 20), *got = g_malloc((1 << 20) + 100);

    if (!tap_ok(node, "%s: opens", name))
        return;
    memset(expected, 'a', 1 << 20);
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree uint8_t *data = g_malloc(rows[i].length);
        memset(data, '0' + i, rows[i].length);
        memset(expected + rows[i].offset, '0' + i, rows[i].length);
        tap_ok(!block_pwrite(node, rows[i].offset, data, rows[i].length, i & 1 ? BLOCK_FUA : 0),
               "%s: writes %zu bytes at %" PRIu64, name, rows[i].length, rows[i].offset);
    }
    memset(expected + 777, 0, 100000);
    tap_ok(!block_write_zeroes(node, 777, 100000, BLOCK_MAY_UNMAP), "%s: writes zeroes", name);
    tap_ok(!block_flush(node), "%s: flushes", name);
    tap_ok(!block_pread(node, 0, got, (1 << 20) + 100), "%s: reads beyond the end", name);
    tap_ok(!memcmp(got, expected, 1 << 20) && buffer_is_zero(got + (1 << 20), 100),
           "%s: what was written is read, and zeroes after the end", name);
    tap_ok(!block_pread(node, 12345, got, 6789) && !memcmp(got, expected + 12345, 6789),
           "%s: an odd piece", name);
    tap_ok(block_pwrite(node, (1 << 20) - 1, got, 2, 0) == -EIO, "%s: not beyond the end", name);
    tap_ok(block_pread(node, UINT64_MAX - 1, got, 100) == -EIO, "%s: offsets wrap nowhere", name);
}

static unsigned pending;
static int last_error;

static void async_done(struct block_request *request, int error)
{
    pending--;
    if (error)
        last_error = error;
}

static void test_async(unsigned flags, const char *name)
{
    enum { COUNT = 64, SIZE = 8192 };
    g_autofree char *path = file_make("async", COUNT * SIZE, 'a');
    auto_block *node = open_or_note(path, "raw", BLOCK_OPEN_RW | BLOCK_OPEN_UNMAP | flags);
    g_autoptr(GError) error = NULL;
    struct block_context *context = block_context_new(NULL, &error);
    struct block_request requests[COUNT] = { 0 };
    struct iovec vec[COUNT][2];
    uint8_t *memory = aligned_alloc(4096, COUNT * SIZE);

    for (int round = 0; round < 2; round++) {
        last_error = 0;
        pending = COUNT;
        for (unsigned i = 0; i < COUNT; i++) {
            uint8_t *base = memory + i * SIZE;
            if (round == 0)
                memset(base, i, SIZE);
            else
                memset(base, 0xee, SIZE);
            vec[i][0] = (struct iovec){ base, SIZE / 2 };
            vec[i][1] = (struct iovec){ base + SIZE / 2, SIZE / 2 };
            requests[i] = (struct block_request){ .op = round ? BLOCK_READ : BLOCK_WRITE,
                                                  .offset = i * SIZE,
                                                  .length = SIZE,
                                                  .data = iov_whole(vec[i], 2),
                                                  .done = async_done,
                                                  .context = context };
            block_submit(node, &requests[i]);
        }
        while (pending)
            block_context_wait(context);
        tap_ok(!last_error, "%s: %s", name, round ? "reads" : "writes");
        struct block_request flush = { .op = BLOCK_FLUSH, .done = async_done, .context = context };
        pending = 1;
        block_submit(node, &flush);
        while (pending)
            block_context_wait(context);
    }
    bool same = true;
    for (unsigned i = 0; i < COUNT * SIZE; i++)
        same &= memory[i] == (uint8_t)(i / SIZE);
    tap_ok(same && !last_error, "%s: what was written is read", name);

    struct block_request odd = {
        .op = BLOCK_WRITE, .offset = 3, .length = 5, .done = async_done, .context = context
    };
    struct iovec odd_vec;
    odd.data = iov_flat(&odd_vec, "hello", 5);
    pending = 1;
    block_submit(node, &odd);
    while (pending)
        block_context_wait(context);
    char got[6] = "";
    tap_ok(!last_error && !block_pread(node, 3, got, 5) && !strcmp(got, "hello"),
           "%s: an unaligned write", name);
    block_context_free(context);
    free(memory);
}

static void test_names(void)
{
    g_autofree char *path = file_make("na:me", 4096, 'n');
    g_autofree char *with_prefix = g_strdup_printf("file:%s", path);
    g_autofree char *json = g_strdup_printf("json:{\"driver\":\"raw\",\"offset\":1024,\"file\":"
                                            "{\"driver\":\"file\",\"filename\":\"%s\"}}",
                                            path);
    g_autofree char *dotted = g_strdup_printf("json:{\"driver\":\"raw\",\"size\":\"512\","
                                              "\"file.filename\":\"%s\"}",
                                              path);
    static const struct {
        const char *name;
        bool good;
        const char *message;
    } bad[] = {
        { "json:{", false, "Could not parse" },
        { "json:{\"driver\":\"raw\",\"colour\":1,\"file\":{\"driver\":\"null-co\"}}", false,
          "does not support the option 'colour'" },
        { "json:{\"driver\":\"ram\"}", false, "Unknown driver 'ram'" },
        { "json:{\"driver\":\"raw\"}", false, "must be specified for \"file\"" },
        { "gopher:x", false, "Unknown protocol 'gopher'" },
        { "/nonexistent/x", false, "No such file" },
    };
    auto_block *a = open_or_note(with_prefix, NULL, 0), *b = open_or_note(json, NULL, 0);
    auto_block *c = open_or_note(dotted, NULL, 0);
    tap_ok(a && block_length(a) == 4096 && a->probed_raw, "file: and a guess");
    tap_ok(b && block_length(b) == 3072 && !b->probed_raw, "json: with an offset");
    tap_ok(c && block_length(c) == 512, "json: with dots and numbers as text");
    tap_ok(b && g_str_has_prefix(b->filename, "json:{"), "its name says how to open it again");
    tap_is(a ? a->filename : NULL, path, "a plain one's is the path");
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GError) error = NULL;
        auto_block *node = block_open(bad[i].name, NULL, NULL, 0, &error);
        tap_ok(!node && error && strstr(error->message, bad[i].message), "refused: %s",
               bad[i].name);
        if (error)
            tap_note("%s", error->message);
    }
}

/* Another process tries; returns its error, or NULL if it may. */
static bool other_may(const char *path, unsigned flags, unsigned perm, unsigned shared)
{
    fflush(NULL);
    pid_t child = fork();
    if (!child) {
        g_autoptr(GError) error = NULL;
        struct block_node *node = block_open(path, "raw", NULL, flags, &error);
        bool good = node && block_attach(node, "other", perm, shared, &error);
        _exit(good ? 0 : strstr(error->message, "Is another process using the image") ? 1 : 2);
    }
    int status;
    waitpid(child, &status, 0);
    return status == 0;
}

static void test_permissions(void)
{
    const unsigned rw = BLOCK_PERM_READ | BLOCK_PERM_WRITE;
    const unsigned no_write = BLOCK_PERM_ALL & ~BLOCK_PERM_WRITE;
    g_autofree char *path = file_make("locked", 65536, 'l');
    auto_block *node = open_or_note(path, "raw", BLOCK_OPEN_RW);
    g_autoptr(GError) error = NULL;

    struct block_child *user = block_attach(node, "disk0", rw, no_write, &error);
    tap_ok(user, "a writer that shares reading");
    struct block_child *second = block_attach(node, "disk1", rw, BLOCK_PERM_ALL, &error);
    tap_ok(!second && error, "no second writer");
    tap_note("%s", error ? error->message : "");
    second = block_attach(node, "reader", BLOCK_PERM_READ, BLOCK_PERM_ALL, NULL);
    tap_ok(second, "but a reader");
    block_detach(second);

    tap_ok(!other_may(path, BLOCK_OPEN_RW, rw, BLOCK_PERM_ALL), "nor one in another process");
    tap_ok(!other_may(path, 0, BLOCK_PERM_READ, no_write), "nor one there who minds our writing");
    tap_ok(other_may(path, 0, BLOCK_PERM_READ, BLOCK_PERM_ALL), "a reader there who does not");
    block_detach(user);
    tap_ok(other_may(path, BLOCK_OPEN_RW, rw, no_write), "and anybody when we are done");
}

static void test_backend(void)
{
    g_autofree char *path = file_make("disk", 65536, 'd');
    g_autoptr(GError) error = NULL;
    auto_block *node = open_or_note(path, NULL, BLOCK_OPEN_RW);
    struct block_backend *backend = block_backend_new("drive0", &error);
    struct block_context *context = block_context_new(NULL, &error);
    struct iovec vec;
    uint8_t sector[512] = "QFI\xfb";
    struct block_request request = { .op = BLOCK_WRITE,
                                     .length = 512,
                                     .done = async_done,
                                     .data = iov_flat(&vec, sector, 512),
                                     .context = context };
    static const struct {
        uint64_t offset;
        int expected;
        const char *what;
    } rows[] = { { 65024, 0, "the last sector" },
                 { 65025, -EIO, "one byte beyond the end" },
                 { 65536, -EIO, "the end" },
                 { UINT64_MAX, -EIO, "far beyond" } };

    tap_ok(!block_backend_new("drive0", NULL), "an id is used once");
    tap_ok(block_backend_find("drive0") == backend, "and found");
    tap_ok(block_backend_insert(backend, node, false, &error), "a medium");
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        request.offset = rows[i].offset;
        request.data = iov_flat(&vec, sector, 512);
        pending = 1;
        last_error = 0;
        block_backend_submit(backend, &request);
        while (pending)
            block_context_wait(context);
        tap_ok(last_error == rows[i].expected, "writing %s: %d", rows[i].what, last_error);
    }
    block_backend_eject(backend);
    pending = 1;
    request.offset = 0;
    block_backend_submit(backend, &request);
    while (pending)
        block_context_wait(context);
    tap_ok(last_error == -ENOMEDIUM, "without a medium");
    block_backend_free(backend);
    tap_ok(!block_backend_find("drive0"), "forgotten");
    block_context_free(context);
}

int main(void)
{
    g_autoptr(GError) error = NULL;
    folder = g_dir_make_tmp("yado-block-XXXXXX", &error);

    test_sync(0, "cached");
    test_async(0, "ring");
    g_setenv("YADO_NO_IO_URING", "1", TRUE);
    test_async(0, "threads");
    g_unsetenv("YADO_NO_IO_URING");
    int direct = open(folder, O_TMPFILE | O_RDWR | O_DIRECT, 0600);
    if (direct >= 0) {
        close(direct);
        test_sync(BLOCK_OPEN_DIRECT, "direct");
        test_async(BLOCK_OPEN_DIRECT, "direct ring");
    } else {
        tap_skip("O_DIRECT", "the file system of temporary files has none");
    }
    test_names();
    test_permissions();
    test_backend();

    g_autofree char *command = g_strdup_printf("rm -rf '%s'", folder);
    return system(command) ? 1 : tap_done();
}
