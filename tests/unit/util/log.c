/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "util/log.h"

#include "tap.h"

static const struct {
    const char *text;
    bool valid;
    unsigned mask;
} lists[] = {
    { "int", true, LOG_INT },
    { "int,io,guest_errors", true, LOG_INT | LOG_IO | LOG_GUEST_ERRORS },
    { "all", true, (1u << LOG_BIT_COUNT) - 1 },
    { "none", true, 0 },
    { "exec,nochain", true, LOG_EXEC | LOG_NOCHAIN },
    { "", false, 0 },
    { "int,", false, 0 },
    { "in", false, 0 },
    { "guest_error", false, 0 },
};

static void test_categories(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(lists); i++) {
        g_autoptr(GError) error = NULL;
        unsigned mask = 0;
        bool valid = log_parse_categories(lists[i].text, &mask, &error);
        tap_ok(valid == lists[i].valid && valid == !error && mask == lists[i].mask, "-d '%s' is %s",
               lists[i].text, lists[i].valid ? "valid" : "refused");
    }
    g_autoptr(GError) error = NULL;
    unsigned mask;
    log_parse_categories("guest_error", &mask, &error);
    tap_is(error->message, "log category 'guest_error' is unknown; did you mean 'guest_errors'?",
           "the refusal names the nearest category");
}

static void test_file(void)
{
    g_autoptr(GError) error = NULL;
    tap_ok(!log_open("/nonexistent/log", &error) && error,
           "a log file that cannot be opened is an error");

    g_autofree char *path = g_build_filename(g_get_tmp_dir(), "yado-unit-log", NULL);
    tap_ok(log_open(path, NULL), "a log file can be opened");
    log_set_mask(LOG_GUEST_ERRORS | LOG_INT);
    log_if(LOG_IO, "not wanted");
    for (unsigned i = 0; i < 1000; i++)
        log_if(LOG_GUEST_ERRORS, "guest error %u", i);
    for (unsigned i = 0; i < 500; i++)
        log_if(LOG_INT, "interrupt %u\n", i);

    g_autofree char *text = NULL;
    g_file_get_contents(path, &text, NULL, NULL);
    g_auto(GStrv) lines = g_strsplit(text ? text : "", "\n", -1);
    unsigned errors = 0, interrupts = 0, others = 0;
    for (char **line = lines; *line && line[1]; line++) {
        if (g_str_has_prefix(*line, "guest error "))
            errors++;
        else if (g_str_has_prefix(*line, "interrupt "))
            interrupts++;
        else
            others++;
    }
    tap_ok(errors >= 20 && errors <= 60, "messages a guest can cause at will are limited");
    tap_ok(interrupts == 500, "others are all written, one line each");
    tap_ok(others >= 1 && others <= 2, "what was left out is said once a second");
    unlink(path);
}

static void test_process_id(void)
{
    g_autofree char *pattern = g_build_filename(g_get_tmp_dir(), "yado-unit-log-%d.txt", NULL);
    g_autofree char *path = g_strdup_printf("%s/yado-unit-log-%d.txt", g_get_tmp_dir(), getpid());
    g_autoptr(GError) error = NULL;

    tap_ok(log_open(pattern, NULL) && !access(path, F_OK),
           "%%d in a file's name is the process id");
    unlink(path);
    tap_ok(!log_open("/tmp/a%s", &error) && strstr(error->message, "may contain one %d"),
           "anything else with %% is refused");
}

static const struct {
    const char *text;
    bool valid;
    uint64_t in[2], out[2];
} filters[] = {
    { "0x8000..0x8fff", true, { 0x8000, 0x8fff }, { 0x7fff, 0x9000 } },
    { "0x8000+0x200", true, { 0x8000, 0x81ff }, { 0x7fff, 0x8200 } },
    { "0xffff-0x100", true, { 0xff00, 0xffff }, { 0xfeff, 0x10000 } },
    { "0x1000+1,0x3000..0x3000", true, { 0x1000, 0x3000 }, { 0x1001, 0x3001 } },
    { "0xffffffffffffffff+1", true, { UINT64_MAX, UINT64_MAX }, { 0, UINT64_MAX - 1 } },
    { "10..20", true, { 10, 20 }, { 9, 21 } },
    { "0..0xffffffffffffffff", true, { 0, UINT64_MAX }, { 0 } },
    { "0x8000", false, { 0 }, { 0 } },
    { "0x8000..", false, { 0 }, { 0 } },
    { "..0x8000", false, { 0 }, { 0 } },
    { "0x9000..0x8000", false, { 0 }, { 0 } },
    { "0x8000.0x9000", false, { 0 }, { 0 } },
    { "0x8000+0", false, { 0 }, { 0 } },
    { "0x10-0x100", false, { 0 }, { 0 } },
    { "0xffffffffffffffff+2", false, { 0 }, { 0 } },
    { "0x1ffffffffffffffff..1", false, { 0 }, { 0 } },
    { "0x8000..0x9000,", false, { 0 }, { 0 } },
    { "-1..2", false, { 0 }, { 0 } },
    { "0x8000..0x9000x", false, { 0 }, { 0 } },
};

static void test_filter(void)
{
    tap_ok(log_in_range(0) && log_in_range(UINT64_MAX), "without a filter everything is logged");
    for (size_t i = 0; i < G_N_ELEMENTS(filters); i++) {
        g_autoptr(GError) error = NULL;
        bool valid = log_parse_filter(filters[i].text, &error), good = valid == filters[i].valid;
        for (unsigned n = 0; n < 2 && valid; n++) {
            good &= log_in_range(filters[i].in[n]);
            good &= filters[i].out[n] ? !log_in_range(filters[i].out[n]) : true;
        }
        tap_ok(good && valid == !error, "-dfilter '%s' is %s", filters[i].text,
               filters[i].valid ? "valid" : "refused");
    }
}

int main(void)
{
    test_categories();
    test_file();
    test_process_id();
    test_filter();
    return tap_done();
}
