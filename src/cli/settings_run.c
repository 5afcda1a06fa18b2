/* SPDX-License-Identifier: GPL-2.0-or-later */
/* -rtc, -action: what the clock shows, and what is done when the guest or a watchdog ends. */
#include <string.h>
#include <time.h>

#include "cli/settings.h"
#include "hw/watchdog/watchdog.h"
#include "util/keyval.h"

#define SECOND_NS 1000000000ll

/* --- -rtc ------------------------------------------------------------------------------------ */

/* "2006-06-17" or "2006-06-17T16:01:21", in UTC. */
static bool parse_date(const char *text, time_t *when)
{
    struct tm date = { 0 };
    const char *end = strptime(text, "%Y-%m-%dT%H:%M:%S", &date);
    if (!end || *end) {
        memset(&date, 0, sizeof(date));
        end = strptime(text, "%Y-%m-%d", &date);
    }
    *when = timegm(&date);
    return end && !*end;
}

static bool take_base(struct vm_config *config, const char *base, GError **error)
{
    time_t now = time(NULL), when;
    struct tm local;
    if (!strcmp(base, "utc")) {
        config->rtc_offset_ns = 0;
    } else if (!strcmp(base, "localtime")) {
        localtime_r(&now, &local);
        config->rtc_offset_ns = local.tm_gmtoff * SECOND_NS;
    } else if (parse_date(base, &when)) {
        config->rtc_offset_ns = (int64_t)(when - now) * SECOND_NS;
    } else {
        return fail(error,
                    "base is utc, localtime, or a date such as 2006-06-17T16:01:21 or 2006-06-17, "
                    "not '%s'",
                    base);
    }
    return true;
}

bool settings_rtc(struct vm_config *config, const char *text, GError **error)
{
    static const char *const names[] = { "base", "clock", "driftfix", NULL };
    auto_keyval *options = keyval_parse(text, "base", error);
    if (!options)
        return false;
    const char *base = keyval_take(options, "base"), *clock = keyval_take(options, "clock");
    const char *drift = keyval_take(options, "driftfix");
    if (base && !take_base(config, base, error))
        return false;
    if (clock && strcmp(clock, "host") && strcmp(clock, "rt"))
        return fail(error,
                    "clock is host (the host's time) or rt (which its corrections do not "
                    "move), not '%s'",
                    clock);
    if (drift && strcmp(drift, "none") && strcmp(drift, "slew"))
        return fail(error, "driftfix is none or slew, not '%s'", drift);
    if (clock)
        config->rtc_monotonic = !strcmp(clock, "rt");
    if (drift)
        config->rtc_slew = !strcmp(drift, "slew");
    return keyval_finish(options, names, error);
}

/* --- -action --------------------------------------------------------------------------------- */

static int word_index(const char *const *words, const char *word)
{
    for (int i = 0; words[i]; i++)
        if (!strcmp(words[i], word))
            return i;
    return -1;
}

/* One of the words, if the name was given; its index, or -1. */
static bool take_word(struct keyval *options, const char *name, const char *const *words,
                      int *index, GError **error)
{
    const char *value = keyval_take(options, name);
    *index = value ? word_index(words, value) : -1;
    if (!value || *index >= 0)
        return true;
    g_autofree char *all = g_strjoinv(", ", (char **)words);
    return fail(error, "%s is one of %s, not '%s'", name, all, value);
}

bool settings_watchdog_action(struct vm_config *config, const char *text, GError **error)
{
    int index = word_index(watchdog_action_names, text);
    g_autofree char *all = g_strjoinv(", ", (char **)watchdog_action_names);
    if (index < 0)
        return fail(error, "it is one of %s, not '%s'", all, text);
    config->watchdog_action = index;
    return true;
}

bool settings_action(struct vm_config *config, const char *text, GError **error)
{
    static const char *const names[] = { "reboot", "shutdown", "panic", "watchdog", NULL };
    static const char *const reboots[] = { "reset", "shutdown", NULL };
    static const char *const shutdowns[] = { "poweroff", "pause", NULL };
    auto_keyval *options = keyval_parse(text, NULL, error);
    int reboot, shutdown, panic, watchdog;
    if (!options || !take_word(options, "reboot", reboots, &reboot, error)
        || !take_word(options, "shutdown", shutdowns, &shutdown, error)
        || !take_word(options, "panic", panic_action_names, &panic, error)
        || !take_word(options, "watchdog", watchdog_action_names, &watchdog, error)
        || !keyval_finish(options, names, error))
        return false;
    if (reboot >= 0)
        config->no_reboot = reboot == 1;
    if (shutdown >= 0)
        config->no_shutdown = shutdown == 1;
    if (panic >= 0)
        config->panic_action = panic;
    if (watchdog >= 0)
        config->watchdog_action = watchdog;
    return true;
}
