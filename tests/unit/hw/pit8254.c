/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The timer against the host's clock. Bounds are wide: tests run on busy machines. */
#include "test_board.h"

#define TICK_NS 838

static void program(struct test_board *board, unsigned channel, unsigned mode, uint16_t count)
{
    outb(board, 0x43, channel << 6 | 0x30 | mode << 1);
    outb(board, 0x40 + channel, count);
    outb(board, 0x40 + channel, count >> 8);
}

static uint16_t latch(struct test_board *board, unsigned channel)
{
    outb(board, 0x43, channel << 6);
    uint8_t low = inb(board, 0x40 + channel);
    return low | inb(board, 0x40 + channel) << 8;
}

static uint8_t status(struct test_board *board, unsigned channel)
{
    outb(board, 0x43, 0xe0 | 2 << channel);
    return inb(board, 0x40 + channel);
}

static void test_counting(struct test_board *board)
{
    program(board, 0, 2, 0);
    uint64_t start = clock_now_ns();
    uint16_t first = latch(board, 0);
    g_usleep(5000);
    uint16_t second = latch(board, 0);
    uint64_t ticks = (clock_now_ns() - start) / TICK_NS;
    uint16_t counted = first - second;
    if (ticks < 60000)
        tap_ok(counted >= 5000000 / TICK_NS - 200 && counted <= ticks + 200,
               "it counts at 1.19 MHz");
    outb(board, 0x43, 0);
    uint64_t until_latch = (clock_now_ns() - start) / TICK_NS;
    uint8_t low = inb(board, 0x40);
    g_usleep(5000);
    outb(board, 0x43, 0); /* a second latch does not replace the first */
    uint16_t latched = low | inb(board, 0x40) << 8;
    if (until_latch < 60000)
        tap_ok((uint16_t)(first - latched) <= until_latch + 200, "a latched count stays");
    tap_ok((status(board, 0) & 0x7f) == 0x34, "status: mode 2, both bytes, loaded");
    outb(board, 0x43, 0x36);
    tap_ok((status(board, 0) & 0x40) == 0x40, "status: nothing loaded yet");
    outb(board, 0x43, 0x31 | 2 << 1); /* BCD */
    outb(board, 0x40, 0x00);
    outb(board, 0x40, 0x10);
    latched = latch(board, 0);
    tap_ok((latched & 0xf) <= 9 && (latched >> 4 & 0xf) <= 9 && latched <= 0x1000, "decimal");
    outb(board, 0x43, 0x20);
    outb(board, 0x40, 0x12);
    tap_ok(inb(board, 0x40) <= 0x12, "high byte only");
    outb(board, 0x43, 0xde); /* read back count and status of all */
    tap_ok(inb(board, 0x43) == 0xff, "the control word cannot be read");
}

static void test_interrupts(struct test_board *board)
{
    pic_program(board);
    program(board, 0, 2, 1193); /* 1 kHz */
    unsigned count = 0;
    uint64_t start = clock_now_ns();
    while (count < 20 && clock_now_ns() - start < 5000000000ull) {
        run_loop(1);
        if (take(board) == 0x20) {
            count++;
            outb(board, 0x20, 0x20);
        }
    }
    tap_ok(count == 20 && clock_now_ns() - start > 15000000, "mode 2 interrupts every millisecond");
    program(board, 0, 4, 2386);
    run_loop(30);
    take(board);
    outb(board, 0x20, 0x20);
    run_loop(10);
    tap_ok(take(board) == -1, "mode 4 interrupts once");
    program(board, 0, 0, 60000);
    take(board);
    outb(board, 0x20, 0x20);
    tap_ok(!(status(board, 0) & 0x80) && take(board) == -1, "mode 0 starts low");
    run_loop_until(status(board, 0) & 0x80);
    run_loop(5);
    tap_ok(take(board) == 0x20, "and interrupts when it rises");
    outb(board, 0x20, 0x20);
    program(board, 0, 2, 1);
    run_loop(5);
    tap_ok(true, "the shortest count does not stop the world");
    program(board, 0, 3, 0);
}

/* How Linux measures other clocks: channel 2 in mode 0, the gate and OUT at port 0x61. */
static void test_calibration(struct test_board *board)
{
    outb(board, 0x61, (inb(board, 0x61) & ~2) | 1);
    program(board, 2, 0, 11932); /* 10 ms */
    uint64_t start = clock_now_ns();
    tap_ok(!(inb(board, 0x61) & 0x20), "OUT is low while it counts");
    while (!(inb(board, 0x61) & 0x20) && clock_now_ns() - start < 5000000000ull)
        ;
    uint64_t took = clock_now_ns() - start;
    tap_ok(took > 9900000 && took < 1000000000, "and rises after 10 ms");

    program(board, 2, 0, 60000);
    outb(board, 0x61, 0);
    uint16_t stopped = latch(board, 2);
    g_usleep(2000);
    tap_ok(latch(board, 2) == stopped, "a closed gate stops the count");
    outb(board, 0x61, 1);
    g_usleep(2000);
    tap_ok(latch(board, 2) != stopped, "which goes on when it opens");

    program(board, 2, 1, 60000);
    tap_ok(inb(board, 0x61) & 0x20, "mode 1 waits for its trigger");
    outb(board, 0x61, 0);
    outb(board, 0x61, 1);
    tap_ok(!(inb(board, 0x61) & 0x20), "a rising gate starts the pulse");
    g_usleep(60000);
    tap_ok(inb(board, 0x61) & 0x20, "which ends");

    unsigned toggles = 0;
    uint8_t last = inb(board, 0x61);
    for (start = clock_now_ns(); clock_now_ns() - start < 1000000;) {
        uint8_t now = inb(board, 0x61);
        toggles += (now ^ last) >> 4 & 1;
        last = now;
    }
    tap_ok(toggles >= 2 && toggles < 200, "the refresh bit toggles");
}

int main(void)
{
    static void (*const tests[])(struct test_board * board) = {
        test_counting,
        test_interrupts,
        test_calibration,
    };
    for (size_t i = 0; i < G_N_ELEMENTS(tests); i++) {
        struct test_board board;
        test_board_init(&board, 1);
        test_board_add(&board, "pit");
        tests[i](&board);
        test_board_end(&board);
    }
    return tap_done();
}
