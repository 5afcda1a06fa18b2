/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "util/timer.h"

#include <pthread.h>

#include "tap.h"

#define MS 1000000u
#define MANY 200

struct probe {
    struct timer timer;
    uint64_t due_ns, fired_ns;
    unsigned times;
};

static unsigned fired_count;
static struct probe *fired_order[MANY];

static void probe_fire(void *opaque)
{
    struct probe *probe = opaque;
    probe->fired_ns = clock_now_ns();
    probe->times++;
    if (fired_count < MANY)
        fired_order[fired_count] = probe;
    fired_count++;
}

static gboolean stop_loop(void *opaque)
{
    g_main_loop_quit(opaque);
    return G_SOURCE_REMOVE;
}

static void run_loop_ms(unsigned ms)
{
    GMainLoop *loop = g_main_loop_new(NULL, FALSE);
    g_timeout_add(ms, stop_loop, loop);
    g_main_loop_run(loop);
    g_main_loop_unref(loop);
}

static void test_before_start(void)
{
    struct probe probe = { 0 };
    timer_init(&probe.timer, probe_fire, &probe);
    timer_arm(&probe.timer, clock_now_ns());
    g_autoptr(GError) error = NULL;
    tap_ok(timers_start(&error), "timers start");
    run_loop_ms(20);
    tap_ok(probe.times == 1, "a timer armed before the start fires");
}

static void test_single(void)
{
    struct probe probe = { 0 };
    timer_init(&probe.timer, probe_fire, &probe);
    uint64_t deadline_ns = clock_now_ns() + 10 * MS;
    timer_arm(&probe.timer, deadline_ns);
    run_loop_ms(40);
    tap_ok(probe.times == 1, "a timer fires once");
    tap_ok(probe.fired_ns >= deadline_ns, "never early");

    timer_arm(&probe.timer, 0);
    run_loop_ms(20);
    tap_ok(probe.times == 2, "a deadline in the past fires at once");

    timer_arm(&probe.timer, clock_now_ns() + 5 * MS);
    timer_cancel(&probe.timer);
    timer_cancel(&probe.timer);
    run_loop_ms(20);
    tap_ok(probe.times == 2, "a cancelled timer stays silent");

    timer_arm(&probe.timer, clock_now_ns() + 5 * MS);
    timer_arm(&probe.timer, clock_now_ns() + 10000 * (uint64_t)MS);
    run_loop_ms(20);
    tap_ok(probe.times == 2, "a postponed timer does not fire at its first deadline");
    timer_arm(&probe.timer, clock_now_ns() + 5 * MS);
    run_loop_ms(20);
    tap_ok(probe.times == 3, "nor does it miss an advanced one");

    timer_arm(&probe.timer, UINT64_MAX);
    run_loop_ms(5);
    timer_cancel(&probe.timer);
    tap_ok(probe.times == 3, "the deadline UINT64_MAX is never");
}

static void test_order(void)
{
    static struct probe probes[MANY];
    uint64_t start_ns = clock_now_ns() + 20 * MS;
    uint32_t random = 12345;
    fired_count = 0;
    for (unsigned i = 0; i < MANY; i++) {
        random = random * 1664525 + 1013904223;
        timer_init(&probes[i].timer, probe_fire, &probes[i]);
        probes[i].due_ns = start_ns + (random >> 16) * 100;
        timer_arm(&probes[i].timer, probes[i].due_ns);
    }
    for (unsigned i = 0; i < MANY; i += 3)
        timer_cancel(&probes[i].timer);
    for (unsigned i = 0; i < MANY; i += 6) {
        random = random * 1664525 + 1013904223;
        probes[i].due_ns = start_ns + (random >> 16) * 100;
        timer_arm(&probes[i].timer, probes[i].due_ns);
    }
    run_loop_ms(80);

    unsigned expected = 0, right = 0;
    for (unsigned i = 0; i < MANY; i++) {
        bool armed = i % 3 || i % 6 == 0;
        expected += armed;
        right += probes[i].times == armed;
    }
    tap_ok(fired_count == expected && right == MANY, "of %u timers the %u armed ones fire", MANY,
           expected);
    bool ordered = true;
    for (unsigned i = 1; i < fired_count && i < MANY; i++)
        ordered &= fired_order[i - 1]->due_ns <= fired_order[i]->due_ns;
    tap_ok(ordered, "the earliest first");
}

struct ticker {
    struct timer timer;
    unsigned ticks;
};

static void ticker_fire(void *opaque)
{
    struct ticker *ticker = opaque;
    ticker->ticks++;
    timer_arm(&ticker->timer, 1); /* long past */
}

static void test_starvation(void)
{
    struct ticker ticker = { 0 };
    timer_init(&ticker.timer, ticker_fire, &ticker);
    timer_arm(&ticker.timer, 1);
    for (unsigned i = 0; i < 5; i++)
        g_main_context_iteration(NULL, TRUE);
    timer_cancel(&ticker.timer);
    tap_ok(ticker.ticks > 0 && ticker.ticks <= 5,
           "a timer that re-arms itself in the past lets the loop go on");
}

static void *arm_from_thread(void *opaque)
{
    struct probe *probes = opaque;
    for (unsigned round = 0; round < 2000; round++) {
        for (unsigned i = 0; i < 4; i++)
            timer_arm(&probes[i].timer, clock_now_ns() + (round % 7) * 1000);
        timer_cancel(&probes[round % 4].timer);
    }
    for (unsigned i = 0; i < 4; i++)
        timer_arm(&probes[i].timer, clock_now_ns() + MS);
    return NULL;
}

static void test_threads(void)
{
    static struct probe probes[2][4];
    pthread_t threads[2];
    for (unsigned t = 0; t < 2; t++) {
        for (unsigned i = 0; i < 4; i++)
            timer_init(&probes[t][i].timer, probe_fire, &probes[t][i]);
        pthread_create(&threads[t], NULL, arm_from_thread, probes[t]);
    }
    run_loop_ms(50);
    for (unsigned t = 0; t < 2; t++)
        pthread_join(threads[t], NULL);
    run_loop_ms(50);
    bool fired = true;
    for (unsigned t = 0; t < 2; t++) {
        for (unsigned i = 0; i < 4; i++)
            fired &= probes[t][i].times > 0 && probes[t][i].timer.deadline_ns == UINT64_MAX;
    }
    tap_ok(fired, "timers armed and cancelled by two threads all fire in the end");
}

int main(void)
{
    test_before_start();
    test_single();
    test_order();
    test_starvation();
    test_threads();
    return tap_done();
}
