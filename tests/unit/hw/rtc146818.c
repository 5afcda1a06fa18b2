/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "test_board.h"

#include <time.h>

static uint8_t get(struct test_board *board, uint8_t index)
{
    outb(board, 0x70, index);
    return inb(board, 0x71);
}

static void set(struct test_board *board, uint8_t index, uint8_t value)
{
    outb(board, 0x70, index);
    outb(board, 0x71, value);
}

static unsigned bcd(uint8_t value)
{
    return (value >> 4) * 10 + (value & 15);
}

/* As drivers do: outside an update. */
static time_t read_time(struct test_board *board)
{
    struct tm tm = { 0 };
    uint8_t seconds;
    do {
        while (get(board, 10) & 0x80)
            ;
        seconds = get(board, 0);
        tm.tm_sec = bcd(seconds);
        tm.tm_min = bcd(get(board, 2));
        tm.tm_hour = bcd(get(board, 4));
        tm.tm_mday = bcd(get(board, 7));
        tm.tm_mon = bcd(get(board, 8)) - 1;
        tm.tm_year = bcd(get(board, 0x32)) * 100 + bcd(get(board, 9)) - 1900;
    } while (get(board, 0) != seconds);
    return timegm(&tm);
}

static void test_time(struct test_board *board)
{
    tap_ok(get(board, 13) == 0x80 && get(board, 11) == 0x02, "valid, BCD, 24 hours");
    time_t now = time(NULL), shown = read_time(board);
    tap_ok(shown >= now && shown <= now + 5, "it shows the host's time");

    set(board, 11, 0x82); /* hold */
    static const uint8_t values[][2] = { { 0, 0x30 }, { 2, 0x59 }, { 4, 0x23 },   { 7, 0x28 },
                                         { 8, 0x02 }, { 9, 0x24 }, { 0x32, 0x20 } };
    for (size_t i = 0; i < G_N_ELEMENTS(values); i++)
        set(board, values[i][0], values[i][1]);
    tap_ok(get(board, 0) == 0x30 && !(get(board, 10) & 0x80), "held registers stand still");
    set(board, 11, 0x02);
    tap_ok(get(board, 0) == 0x30 && get(board, 4) == 0x23 && get(board, 7) == 0x28
               && get(board, 6) == 0x04,
           "29 February 2024 is near; the 28th is a Wednesday");
    set(board, 0, 0x59); /* 23:59:59 */
    g_usleep(1100000);
    tap_ok(get(board, 7) == 0x29 && get(board, 8) == 0x02, "a leap day");

    set(board, 11, 0x80); /* 12 hours, BCD */
    set(board, 4, 0x92);  /* 12 pm */
    set(board, 11, 0x00);
    set(board, 11, 0x02);
    tap_ok(get(board, 4) == 0x12, "12 pm is 12");
    set(board, 11, 0x80);
    set(board, 4, 0x12);
    set(board, 11, 0x00);
    set(board, 11, 0x02);
    tap_ok(get(board, 4) == 0x00, "12 am is 0");
    set(board, 11, 0x06);
    set(board, 4, 13);
    tap_ok(get(board, 4) == 13, "binary");
    set(board, 11, 0x04);
    tap_ok(get(board, 4) == 0x81, "13 in binary is 1 pm");
    set(board, 11, 0x02);
    set(board, 0, 0xff); /* nonsense is taken somehow */
    set(board, 7, 0xff);
    set(board, 8, 0xff);
    get(board, 0);
    tap_ok(true, "nonsense does no harm");
}

static void test_memory(struct test_board *board)
{
    rtc_set_cmos(&board->vm, 0x15, 0x80);
    rtc_set_cmos(&board->vm, 0x80, 0xee);
    rtc_set_cmos(&board->vm, 0x0b, 0xee);
    set(board, 0x7f, 0x77);
    tap_ok(get(board, 0x15) == 0x80 && get(board, 0x7f) == 0x77 && get(board, 11) == 2,
           "CMOS bytes");
    outb(board, 0x70, 0x80 | 0x15);
    tap_ok(inb(board, 0x71) == 0x80 && inb(board, 0x70) == 0xff, "the NMI bit is no index bit");
    device_reset(board_find(&board->vm, "rtc"));
    tap_ok(get(board, 0x15) == 0x80, "memory survives a reset");
}

static void test_interrupts(struct test_board *board)
{
    pic_program(board);
    get(board, 12);
    set(board, 10, 0x26);
    set(board, 11, 0x42); /* periodic, 1024 Hz */
    unsigned count = 0;
    uint64_t start = clock_now_ns();
    while (count < 20 && clock_now_ns() - start < 5000000000ull) {
        run_loop(1);
        if (take(board) != 0x28)
            continue;
        count += (get(board, 12) & 0xc0) == 0xc0;
        outb(board, 0xa0, 0x20);
        outb(board, 0x20, 0x20);
    }
    tap_ok(count == 20 && clock_now_ns() - start > 15000000, "periodic interrupts");
    set(board, 11, 0x02);
    get(board, 12);
    if (lapic_has_interrupt(board->cpus[0].apic)) { /* one more period ended meanwhile */
        take(board);
        outb(board, 0xa0, 0x20);
        outb(board, 0x20, 0x20);
    }
    set(board, 11, 0x12); /* update ended */
    run_loop_until(lapic_has_interrupt(board->cpus[0].apic));
    tap_ok(take(board) == 0x28 && (get(board, 12) & 0x90) == 0x90, "update interrupt");
    tap_ok(get(board, 12) == 0, "reading the flags clears them");
    outb(board, 0xa0, 0x20);
    outb(board, 0x20, 0x20);
    set(board, 11, 0x02);

    unsigned second = (bcd(get(board, 0)) + 2) % 60;
    set(board, 1, second / 10 << 4 | second % 10);
    set(board, 3, 0xff);
    set(board, 5, 0xc0);
    get(board, 12);
    set(board, 11, 0x22); /* alarm */
    run_loop_until(lapic_has_interrupt(board->cpus[0].apic));
    tap_ok(take(board) == 0x28 && (get(board, 12) & 0xa0) == 0xa0 && bcd(get(board, 0)) == second,
           "alarm in its second");
}

int main(void)
{
    static void (*const tests[])(struct test_board * board) = {
        test_time,
        test_memory,
        test_interrupts,
    };
    for (size_t i = 0; i < G_N_ELEMENTS(tests); i++) {
        struct test_board board;
        test_board_init(&board, 1);
        test_board_add(&board, "rtc");
        tests[i](&board);
        test_board_end(&board);
    }
    return tap_done();
}
