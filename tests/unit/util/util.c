/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "util/util.h"

#include <errno.h>
#include <fcntl.h>

#include "tap.h"

static const char *const option_names[] = { "accel",   "append", "kernel", "machine",
                                            "microvm", "serial", "smp",    NULL };

static const struct {
    const char *word, *nearest; /* NULL: no hint */
} hints[] = {
    { "machin", "machine" },
    { "kernle", "kernel" }, /* two neighbours swapped are one error */
    { "SERIAL", "serial" },
    { "micro", "microvm" }, /* an abbreviation, although two letters are missing */
    { "smq", "smp" },
    { "spice", NULL },
    { "zzzzzzzzzzzz", NULL },
    { "x", NULL },
    { "", NULL },
    { "a word that is much longer than any name we know, so that its table would not fit", NULL },
};

static void test_hints(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(hints); i++) {
        g_autofree char *expected = hints[i].nearest
                                        ? g_strdup_printf("; did you mean '%s'?", hints[i].nearest)
                                        : g_strdup("");
        g_autofree char *name = g_strdup_printf("hint for '%s'", hints[i].word);
        tap_is(hint_nearest(hints[i].word, option_names), expected, name);
    }
}

static void test_errors(void)
{
    g_autoptr(GError) error = NULL;
    tap_ok(!fail(NULL, "nobody listens"), "fail() without a receiver returns false");
    tap_ok(!fail(&error, "disk '%s' is %d bytes long", "a", 3) && error, "fail() sets the error");
    tap_is(error->message, "disk 'a' is 3 bytes long", "fail() formats the sentence");
    fail_prefix(&error, "in -device %s: ", "x");
    tap_is(error->message, "in -device x: disk 'a' is 3 bytes long", "fail_prefix() puts before");

    g_autoptr(GError) second = NULL;
    errno = ENOENT;
    fail_errno(&second, "cannot open '%s'", "100%s");
    tap_is(second->message, "cannot open '100%s': No such file or directory",
           "fail_errno() appends errno's text and takes '%' literally");
    tap_ok(errno == ENOENT, "fail_errno() keeps errno");
}

static bool is_open(int fd)
{
    return fcntl(fd, F_GETFD) >= 0;
}

static void test_descriptors(void)
{
    int closed, kept;
    {
        auto_close int first = open("/dev/null", O_RDONLY | O_CLOEXEC);
        auto_close int second = open("/dev/null", O_RDONLY | O_CLOEXEC);
        closed = first;
        kept = take_fd(&second);
    }
    tap_ok(!is_open(closed), "auto_close closes at the end of the scope");
    tap_ok(is_open(kept), "take_fd() moves the descriptor out");
    close(kept);
}

int main(void)
{
    test_hints();
    test_errors();
    test_descriptors();
    return tap_done();
}
