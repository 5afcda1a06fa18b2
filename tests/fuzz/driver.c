/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Runs a fuzz target, LLVMFuzzerTestOneInput(), on mutations of its seeds for FUZZ_SECONDS (2).
 * With clang the same targets link to libFuzzer instead; this driver needs nothing but the
 * compiler.
 *
 *     fuzz-NAME SEED_FOLDER       fuzz; the last line of output is a TAP result
 *     fuzz-NAME FILE...           run these inputs once, to repeat a crash
 *
 * An input that crashes is left in the working folder as crash-NAME. */
#include <fcntl.h>
#include <glib.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tap.h"

#define INPUT_MAX (1u << 16)
#define HEADER_BYTES 1024u /* where formats have their fields: half of all changes go there */
#define CHANGES_MAX 12

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t input[INPUT_MAX];
static size_t input_size;
static char crash_name[256];

static void crashed(int number)
{
    int fd = open(crash_name, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    if (fd >= 0 && write(fd, input, input_size) == (ssize_t)input_size)
        close(fd);
    signal(number, SIG_DFL);
    raise(number);
}

static void input_set(const void *data, size_t size)
{
    input_size = MIN(size, INPUT_MAX);
    memcpy(input, data, input_size);
}

/* Values at which sizes and counts go wrong. */
static uint8_t interesting_byte(GRand *random)
{
    static const uint8_t values[] = { 0, 1, 4, 0x7f, 0x80, 0xff };
    return g_rand_boolean(random) ? values[g_rand_int_range(random, 0, sizeof(values))]
                                  : g_rand_int(random);
}

static void input_mutate(GRand *random)
{
    if (g_rand_int_range(random, 0, 4) == 0)
        input_size = g_rand_int_range(random, 0, input_size + 1);
    for (int n = g_rand_int_range(random, 0, CHANGES_MAX); n >= 0 && input_size; n--) {
        size_t limit = g_rand_boolean(random) ? MIN(input_size, HEADER_BYTES) : input_size;
        size_t at = g_rand_int_range(random, 0, limit);
        size_t width = MIN(1u << g_rand_int_range(random, 0, 4), input_size - at);
        memset(input + at, interesting_byte(random), width);
    }
}

/* Seeds are kept as text: two hexadecimal digits a byte, white space between them is skipped. */
static GBytes *seed_decode(const char *text, size_t length)
{
    GByteArray *bytes = g_byte_array_new();
    int high = -1;
    for (size_t i = 0; i < length; i++) {
        int digit = g_ascii_xdigit_value(text[i]);
        if (digit < 0)
            continue;
        if (high < 0) {
            high = digit;
        } else {
            uint8_t byte = high << 4 | digit;
            g_byte_array_append(bytes, &byte, 1);
            high = -1;
        }
    }
    return g_byte_array_free_to_bytes(bytes);
}

static GPtrArray *seeds_read(const char *folder)
{
    GPtrArray *seeds = g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);
    g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
    const char *name;
    while (dir && (name = g_dir_read_name(dir))) {
        g_autofree char *path = g_build_filename(folder, name, NULL);
        g_autofree char *data = NULL;
        gsize size;
        if (g_file_get_contents(path, &data, &size, NULL))
            g_ptr_array_add(seeds, seed_decode(data, size));
    }
    return seeds;
}

static void fuzz(const char *name, const char *folder)
{
    const char *text = getenv("FUZZ_SECONDS");
    gint64 end_us = g_get_monotonic_time() + (text ? atoi(text) : 2) * G_USEC_PER_SEC;
    guint32 start = g_get_monotonic_time() ^ getpid();
    g_autoptr(GPtrArray) seeds = seeds_read(folder);
    g_autoptr(GRand) random = g_rand_new_with_seed(start);
    unsigned long runs = 0;
    for (; seeds->len && g_get_monotonic_time() < end_us; runs++) {
        GBytes *seed = seeds->pdata[runs % seeds->len];
        input_set(g_bytes_get_data(seed, NULL), g_bytes_get_size(seed));
        if (runs >= seeds->len)
            input_mutate(random);
        LLVMFuzzerTestOneInput(input, input_size);
    }
    tap_ok(runs > seeds->len, "%s: %lu inputs from %u seeds, start %u", name, runs, seeds->len,
           start);
}

int main(int count, char **arguments)
{
    g_autofree char *name = g_path_get_basename(arguments[0]);
    g_snprintf(crash_name, sizeof(crash_name), "crash-%s", name);
    static const int signals[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT };
    for (size_t i = 0; i < G_N_ELEMENTS(signals); i++)
        signal(signals[i], crashed);
    for (int i = 1; i < count; i++) {
        g_autofree char *data = NULL;
        gsize size;
        if (g_file_test(arguments[i], G_FILE_TEST_IS_DIR)) {
            fuzz(name, arguments[i]);
        } else if (tap_ok(g_file_get_contents(arguments[i], &data, &size, NULL), "%s",
                          arguments[i])) {
            input_set(data, size);
            g_clear_pointer(&data, g_free);
            LLVMFuzzerTestOneInput(input, input_size);
        }
    }
    return tap_done();
}
