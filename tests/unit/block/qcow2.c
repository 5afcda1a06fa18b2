/* SPDX-License-Identifier: GPL-2.0-or-later */
/* qcow2 images of many shapes under random work, compared with a copy in memory, checked by our own
 * check and, where it is installed, by QEMU's. */
#include <errno.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "block/driver.h"

#include "tap.h"

enum { DISK = 3 << 20, SNAPSHOTS = 3 };

static char *folder;
static GRand *rnd;
static bool peer;

static const struct shape {
    const char *name, *options;
    bool backing;
} shapes[] = {
    { "defaults", "", false },
    { "v2", "compat=0.10", false },
    { "v2 over a backing file", "compat=0.10", true },
    { "clusters of 512", "cluster_size=512", false },
    { "clusters of 512, refcounts of 64 bits", "cluster_size=512,refcount_bits=64", true },
    { "clusters of 4k", "cluster_size=4k", true },
    { "clusters of 2M", "cluster_size=2M", true },
    { "refcounts of 1 bit", "refcount_bits=1,cluster_size=4k", false },
    { "refcounts of 2 bits", "refcount_bits=2,cluster_size=1k", true },
    { "lazy refcounts", "lazy_refcounts=on,cluster_size=4k", false },
    { "extended L2", "extended_l2=on", true },
    { "extended L2, 16k", "extended_l2=on,cluster_size=16k", true },
    { "zstd", "compression_type=zstd,cluster_size=16k", true },
    { "preallocated metadata", "preallocation=metadata,cluster_size=4k", false },
    { "preallocated", "preallocation=falloc", false },
    { "data file", "data_file=%s/data,cluster_size=4k", false },
    { "raw data file", "data_file=%s/data,data_file_raw=on", false },
};

struct work {
    const struct shape *shape;
    char *path;
    struct block_node *node;
    uint8_t *shadow;
    uint64_t length;
    struct {
        uint8_t *shadow;
        uint64_t length;
    } snapshots[SNAPSHOTS];
};

static uint32_t below(uint32_t limit)
{
    return g_rand_int_range(rnd, 0, limit);
}

static bool note(GError *error)
{
    if (error)
        tap_note("%s", error->message);
    return !error;
}

static bool work_open(struct work *work)
{
    g_autoptr(GError) error = NULL;
    work->node = block_open(work->path, "qcow2", NULL,
                            BLOCK_OPEN_RW | BLOCK_OPEN_RESIZE | BLOCK_OPEN_UNMAP, &error);
    note(error);
    return work->node;
}

/* A range as guests and tools make them: aligned, or cut anywhere. */
static void random_range(const struct work *work, uint64_t *offset, uint64_t *length)
{
    static const uint32_t units[] = { 1, 512, 4096, 65536 };
    uint32_t unit = units[below(G_N_ELEMENTS(units))];
    *offset = below(work->length / unit) * (uint64_t)unit;
    *length = (1 + below(below(8) ? 40 : 4)) * (uint64_t)unit + (below(4) ? 0 : below(unit));
    *length = CLAMP(*length, 1, work->length - *offset);
}

static bool do_write(struct work *work, unsigned flags)
{
    uint64_t offset, length;
    random_range(work, &offset, &length);
    if (flags & BLOCK_COMPRESSED) {
        uint64_t cluster = work->node->cluster_size;
        offset = offset / cluster * cluster;
        length = cluster * (1 + below(3));
        length = MIN(length, work->length - offset);
    }
    uint8_t *at = work->shadow + offset;
    unsigned start = below(256);
    for (uint64_t i = 0; i < length; i++)
        at[i] = start + i / 300 * 7;
    return !block_pwrite(work->node, offset, at, length, flags);
}

static bool do_zero(struct work *work, unsigned flags)
{
    uint64_t offset, length;
    random_range(work, &offset, &length);
    memset(work->shadow + offset, 0, length);
    return !block_write_zeroes(work->node, offset, length, flags);
}

/* What a discard leaves is not defined; it is read back. */
static bool do_discard(struct work *work)
{
    uint64_t offset, length;
    random_range(work, &offset, &length);
    return !block_discard(work->node, offset, length)
           && !block_pread(work->node, offset, work->shadow + offset, length);
}

static bool same(struct work *work)
{
    g_autofree uint8_t *got = g_malloc(work->length);
    if (block_pread(work->node, 0, got, work->length))
        return false;
    for (uint64_t i = 0; i < work->length; i++) {
        if (got[i] != work->shadow[i]) {
            tap_note("byte %" PRIu64 " is %02x, not %02x", i, got[i], work->shadow[i]);
            return false;
        }
    }
    return true;
}

static bool do_snapshot(struct work *work)
{
    const struct block_snapshot_ops *ops = work->node->driver->snapshots;
    unsigned slot = below(SNAPSHOTS);
    g_autofree char *name = g_strdup_printf("snap%u", slot);
    g_autoptr(GError) error = NULL;
    uint8_t **copy = &work->snapshots[slot].shadow;

    if (strstr(work->shape->options, "data_file")
        || strstr(work->shape->options, "refcount_bits=1,")
        || strstr(work->shape->options, "refcount_bits=2,"))
        return true;
    if (!*copy) {
        struct block_snapshot snapshot = { .name = name };
        *copy = g_memdup2(work->shadow, work->length);
        work->snapshots[slot].length = work->length;
        ops->create(work->node, &snapshot, &error);
    } else if (below(2)) {
        ops->remove(work->node, name, &error);
        g_clear_pointer(copy, g_free);
    } else {
        ops->apply(work->node, name, &error);
        work->length = work->snapshots[slot].length;
        memcpy(work->shadow, *copy, work->length);
    }
    return note(error);
}

static bool do_resize(struct work *work)
{
    uint64_t length = DISK / 2 + below(DISK / 2 / 512) * 512ull;
    g_autoptr(GError) error = NULL;

    if (strstr(work->shape->options, "0.10") || strstr(work->shape->options, "data_file_raw"))
        return true; /* version 2 cannot once it has snapshots */
    block_truncate(work->node, length, BLOCK_PREALLOC_OFF, &error);
    if (length > work->length) {
        /* The backing file shows through where the disk was not, as QEMU has it. */
        uint64_t old = work->length;
        work->length = length;
        return note(error) && !block_pread(work->node, old, work->shadow + old, length - old);
    }
    work->length = length;
    return note(error);
}

static void tell(struct block_check *check, bool error, const char *text)
{
    tap_note("%s", text);
}

static bool sound(struct work *work)
{
    struct block_check check = { .message = tell };
    g_autoptr(GError) error = NULL;
    work->node->driver->check(work->node, &check, &error);
    return note(error) && !check.corruptions && !check.leaks && !check.check_errors;
}

static bool command(const char *format, ...) G_GNUC_PRINTF(1, 2);
static bool command(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    g_autofree char *line = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    int status = system(line);
    if (status)
        tap_note("%s: %d", line, WEXITSTATUS(status));
    return status == 0;
}

/* QEMU finds nothing wrong, and the same contents. */
static void peer_check(struct work *work)
{
    if (!peer) {
        tap_skip("QEMU's check", "qemu-img is not installed");
        return;
    }
    g_autofree char *raw = g_build_filename(folder, "copy", NULL);
    g_file_set_contents(raw, (char *)work->shadow, work->length, NULL);
    tap_ok(
        command("/usr/bin/qemu-img check -q -f qcow2 %s >&2", work->path)
            && command("/usr/bin/qemu-img compare -q -f qcow2 -F raw %s %s >&2", work->path, raw),
        "%s: QEMU agrees", work->shape->name);
}

static bool work_step(struct work *work)
{
    switch (below(24)) {
    case 0:
    case 1:
        return do_zero(work, 0);
    case 2:
    case 3:
        return do_zero(work, BLOCK_MAY_UNMAP);
    case 4:
        return do_discard(work);
    case 5:
    case 6:
        return strstr(work->shape->options, "data_file") || do_write(work, BLOCK_COMPRESSED);
    case 7:
        return do_snapshot(work);
    case 8:
        return do_resize(work);
    case 9:
        return !block_flush(work->node);
    case 10:
        block_unref(work->node);
        return work_open(work);
    default:
        return do_write(work, below(8) ? 0 : BLOCK_FUA);
    }
}

static bool work_create(struct work *work)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *text =
        strstr(work->shape->options, "%s")
            ? g_strdup_printf("data_file=%s/data%s", folder, strchr(work->shape->options, ','))
            : g_strdup(work->shape->options);
    auto_json *options = options_from_text(text, NULL, &error);

    options_set(options, "size", "3M");
    if (work->shape->backing) {
        g_autofree char *backing = g_build_filename(folder, "backing", NULL);
        for (unsigned i = 0; i < DISK / 3 * 2; i++)
            work->shadow[i] = i / 777;
        g_file_set_contents(backing, (char *)work->shadow, DISK / 3 * 2, NULL);
        options_set(options, "backing_file", backing);
        options_set(options, "backing_fmt", "raw");
    }
    block_create("qcow2", work->path, options, &error);
    return note(error);
}

static void test_shape(const struct shape *shape, unsigned steps)
{
    struct work work = { .shape = shape, .length = DISK };
    bool good = true;

    work.path = g_build_filename(folder, "image.qcow2", NULL);
    work.shadow = g_malloc0(DISK);
    if (!tap_ok(work_create(&work) && work_open(&work), "%s: is created", shape->name))
        return;
    for (unsigned i = 0; i < steps && good; i++) {
        good = work_step(&work) && (i % 16 || same(&work));
        if (good && i % 64 == 0)
            good = !block_flush(work.node) && sound(&work);
        if (!good)
            tap_note("at step %u", i);
    }
    tap_ok(good && same(&work), "%s: keeps what is written", shape->name);
    tap_ok(!block_flush(work.node) && sound(&work), "%s: check finds nothing", shape->name);
    block_unref(work.node);
    peer_check(&work);
    for (unsigned i = 0; i < SNAPSHOTS; i++)
        g_free(work.snapshots[i].shadow);
    g_free(work.shadow);
    g_free(work.path);
}

/* Makes the image say that it has a persistent bitmap: the autoclear bit, and the extension. */
static bool bitmap_announce(const char *path)
{
    static const uint8_t extension[] = {
        0x23, 0x85, 0x28, 0x75, 0, 0, 0, 24, /* bitmaps, 24 bytes */
        0,    0,    0,    1,    0, 0, 0, 0,  /* one of them */
        0,    0,    0,    0,    0, 0, 0, 32, /* directory: bytes, offset */
        0,    0,    0,    0,    0, 1, 0, 0,  [39] = 0,
    };
    g_autofree char *bytes = NULL;
    gsize size;
    if (!g_file_get_contents(path, &bytes, &size, NULL) || size < 65536)
        return false;
    bytes[95] |= 1;
    memcpy(bytes + (uint8_t)bytes[103], extension, sizeof(extension));
    return g_file_set_contents(path, bytes, size, NULL);
}

static void test_bitmaps(void)
{
    g_autofree char *path = g_build_filename(folder, "bitmaps.qcow2", NULL);
    auto_json *options = json_pack("{s:i}", "size", 1 << 20);
    struct block_check check = { .message = tell };
    g_autoptr(GError) error = NULL, refused = NULL, unchecked = NULL;

    if (!tap_ok(block_create("qcow2", path, options, &error) && bitmap_announce(path),
                "an image with a persistent bitmap"))
        return;
    auto_block *writing = block_open(path, "qcow2", NULL, BLOCK_OPEN_RW, &refused);
    tap_ok(!writing && refused && strstr(refused->message, "bitmaps"),
           "is not opened for writing, which the bitmap would not notice");
    auto_block *reading = block_open(path, "qcow2", NULL, 0, &error);
    tap_ok(reading, "but for reading");
    tap_ok(reading && !reading->driver->check(reading, &check, &unchecked) && unchecked,
           "nor checked, which would take the bitmap for leaked space");
}

int main(int argc, char **argv)
{
    const char *seed_text = getenv("SEED"), *steps_text = getenv("STEPS");
    guint32 seed = seed_text ? strtoul(seed_text, NULL, 10) : g_random_int();
    unsigned steps = steps_text ? strtoul(steps_text, NULL, 10) : 200;

    tap_note("SEED=%u", seed);
    peer = g_file_test("/usr/bin/qemu-img", G_FILE_TEST_IS_EXECUTABLE);
    rnd = g_rand_new_with_seed(seed);
    folder = g_dir_make_tmp("yado-qcow2-XXXXXX", NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(shapes); i++) {
        if (argc < 2 || strstr(shapes[i].name, argv[1]))
            test_shape(&shapes[i], steps);
    }
    test_bitmaps();
    g_autofree char *clean = g_strdup_printf("rm -rf '%s'", folder);
    return system(clean) ? 1 : tap_done();
}
