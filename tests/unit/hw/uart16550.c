/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The UART as Linux's 8250 driver meets it, its interrupts one by one, and 64 KiB both ways through
 * a socket. */
#include "test_board.h"

#include <sys/socket.h>

#include "chardev/chardev.h"

#define COM1 0x3f8
enum { DATA, IER, IIR, LCR, MCR, LSR, MSR, SCRATCH };

static int peer; /* the other end of the serial line */

static struct device *uart_add(struct test_board *board)
{
    static unsigned number;
    g_autoptr(GError) error = NULL;
    int fds[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) < 0)
        return NULL;
    peer = fds[1];
    g_autofree char *id = g_strdup_printf("line%u", number++);
    g_autofree char *text = g_strdup_printf("socket,id=%s,fd=%d", id, fds[0]);
    struct device *dev = NULL;
    if (chardev_new(text, &error))
        dev = device_new(&board->vm, "isa-serial", NULL, &error);
    if (dev && device_set(dev, "chardev", id, &error) && device_realize(dev, &error))
        return dev;
    tap_ok(false, "isa-serial: %s", error->message);
    return NULL;
}

static uint8_t get(struct test_board *board, unsigned reg)
{
    return inb(board, COM1 + reg);
}

static void set(struct test_board *board, unsigned reg, uint8_t value)
{
    outb(board, COM1 + reg, value);
}

static void send_line(const char *text)
{
    if (write(peer, text, strlen(text)) < 0)
        tap_ok(false, "the test cannot write");
}

static bool irq4(struct test_board *board)
{
    outb(board, 0x20, 0x0a);
    if (!(inb(board, 0x20) & 0x10))
        return false;
    bool got = take(board) == 0x24;
    outb(board, 0x20, 0x20);
    return got;
}

/* The steps of autoconfig() in Linux's 8250 driver that decide what the port is. */
static void test_autodetect(struct test_board *board)
{
    set(board, IER, 0);
    tap_ok(get(board, IER) == 0, "IER takes 0");
    set(board, IER, 0x0f);
    tap_ok(get(board, IER) == 0x0f, "IER takes 0x0f");
    set(board, IER, 0xff);
    tap_ok(get(board, IER) == 0x0f, "and no more (XScale, 16750)");
    set(board, IER, 0);
    set(board, MCR, 0x1a);
    tap_ok((get(board, MSR) & 0xf0) == 0x90, "loopback shows OUT2 and RTS as DCD and CTS");
    set(board, MCR, 0);
    set(board, LCR, 0xbf);
    set(board, IIR, 0); /* would be EFR of a 16650 */
    set(board, LCR, 0);
    set(board, IIR, 1);
    tap_ok(get(board, IIR) >> 6 == 3, "FIFOs work: 16550A");
    set(board, LCR, 0x80);
    tap_ok(get(board, IIR) != 0, "no 16650's EFR behind DLAB");
    set(board, LCR, 0xbf);
    tap_ok(get(board, IIR) != 0, "nor behind 0xbf");
    set(board, LCR, 0);
    set(board, IIR, 0x21);
    tap_ok((get(board, IIR) & 0x20) == 0, "no 64 byte FIFO");
    set(board, IIR, 0);
    tap_ok(get(board, IIR) == 0x01, "FIFOs off again");
    set(board, SCRATCH, 0xa5);
    tap_ok(get(board, SCRATCH) == 0xa5, "scratch register");
    set(board, LCR, 0x83);
    set(board, DATA, 1);
    set(board, IER, 2);
    tap_ok(get(board, DATA) == 1 && get(board, IER) == 2, "divisor");
    set(board, LCR, 3);
    tap_ok(get(board, IER) == 0 && get(board, LCR) == 3, "is not IER");
    tap_ok((get(board, MSR) & 0xf0) == 0xb0 && get(board, MSR) == 0xb0,
           "the far end is ready, and changed once");
    /* THRE test of serial8250_do_startup() */
    set(board, IER, 2);
    tap_ok((get(board, IIR) & 0x0f) == 2, "enabling the transmit interrupt raises it");
    tap_ok((get(board, IIR) & 0x0f) == 1, "reading IIR takes it back");
    set(board, IER, 0);
    set(board, IER, 2);
    tap_ok((get(board, IIR) & 0x0f) == 2, "enabling it again raises it again");
    set(board, IER, 0);
}

static void test_interrupts(struct test_board *board)
{
    pic_program(board);
    set(board, IIR, 0x81); /* trigger 8 */
    set(board, IER, 0x02);
    tap_ok(irq4(board) && get(board, IIR) == 0xc2, "transmitter empty");
    set(board, DATA, 'x');
    tap_ok(irq4(board), "a character raises it anew");
    set(board, DATA, 'y');
    get(board, IIR);
    set(board, DATA, 'z');
    tap_ok(irq4(board), "so does one after IIR was read");
    get(board, IIR);
    set(board, IER, 0x05);
    tap_ok(!irq4(board), "disabled, it is silent");

    send_line("1234567");
    run_loop_until(get(board, LSR) & 1);
    tap_ok(irq4(board) && get(board, IIR) == 0xcc, "below the trigger: time-out");
    tap_ok(get(board, DATA) == '1' && get(board, IIR) == 0xc1, "a read takes it back");
    run_loop_until(get(board, IIR) == 0xcc);
    tap_ok(irq4(board), "what is left times out again");
    send_line("89abcdef");
    run_loop_until(get(board, IIR) == 0xc4);
    tap_ok(get(board, IIR) == 0xc4, "at the trigger: data");
    set(board, IER, 0x07);
    tap_ok(get(board, IIR) == 0xc4, "data goes before the transmitter");
    char text[16] = "";
    for (unsigned i = 0; i < 14; i++)
        text[i] = get(board, DATA);
    tap_is(text, "23456789abcdef", "all characters in order");
    tap_ok(get(board, IIR) == 0xc2, "then the transmitter's turn");
    tap_ok(get(board, LSR) == 0x60, "nothing left");

    set(board, IER, 0x08);
    set(board, MCR, 0x13);
    tap_ok(get(board, IIR) == 0xc0, "modem lines changed");
    tap_ok(get(board, MSR) == 0x38 && get(board, IIR) == 0xc1, "which ones");
    set(board, MCR, 0);
    get(board, MSR);
    set(board, IER, 0);
}

static void test_loopback(struct test_board *board)
{
    set(board, IIR, 0x01);
    set(board, MCR, 0x10);
    for (unsigned i = 0; i < 17; i++)
        set(board, DATA, 'A' + i);
    set(board, IER, 4);
    tap_ok(get(board, IIR) == 0xc6, "the 17th character overruns");
    tap_ok(get(board, LSR) == 0x63 && get(board, LSR) == 0x61, "shown once");
    bool right = true;
    for (unsigned i = 0; i < 16; i++)
        right &= get(board, DATA) == 'A' + i;
    tap_ok(right && !(get(board, LSR) & 1), "16 came back");
    set(board, IIR, 0);
    set(board, DATA, 'a');
    set(board, DATA, 'b');
    tap_ok((get(board, LSR) & 3) == 3 && get(board, DATA) == 'a',
           "without FIFO there is room for one");
    set(board, DATA, 'c');
    set(board, IIR, 1);
    tap_ok(!(get(board, LSR) & 1), "switching the FIFO on empties it");
    set(board, MCR, 0);
    set(board, IER, 0);
}

#define PASTE (64 * 1024)

static uint8_t pattern(size_t i)
{
    return i * 31 + (i >> 8);
}

static void test_paste(struct test_board *board)
{
    size_t sent = 0, received = 0, wrong = 0;
    uint64_t end = clock_now_ns() + 20000000000ull;
    set(board, IIR, 0x81);
    while (received < PASTE && clock_now_ns() < end) {
        uint8_t chunk[4096];
        for (size_t i = 0; i < sizeof(chunk); i++)
            chunk[i] = pattern(sent + i);
        ssize_t n = write(peer, chunk, MIN(sizeof(chunk), PASTE - sent));
        if (n > 0)
            sent += n;
        while (g_main_context_iteration(NULL, FALSE))
            ;
        for (unsigned i = 0; i < 3 && (get(board, LSR) & 1); i++, received++)
            wrong += get(board, DATA) != pattern(received);
        wrong += (get(board, LSR) & 2) != 0;
    }
    tap_ok(received == PASTE && !wrong, "64 KiB pasted, none lost");
}

static void test_output(struct test_board *board)
{
    size_t received = 0, wrong = 0;
    for (size_t i = 0; i < PASTE; i++)
        set(board, DATA, pattern(i));
    uint64_t end = clock_now_ns() + 20000000000ull;
    while (received < PASTE && clock_now_ns() < end) {
        uint8_t chunk[4096];
        ssize_t n = read(peer, chunk, sizeof(chunk));
        for (ssize_t i = 0; i < n; i++)
            wrong += chunk[i] != pattern(received + i);
        received += MAX(n, 0);
        while (g_main_context_iteration(NULL, FALSE))
            ;
    }
    tap_ok(received == PASTE && !wrong, "64 KiB written, none lost");
    set(board, DATA, '!');
    run_loop(20);
    char last = 0;
    tap_ok(read(peer, &last, 1) == 1 && last == '!', "a single character leaves soon");
}

static void test_end(struct test_board *board)
{
    char last = 0;
    set(board, DATA, 'q');
    device_free(board->vm.devices->pdata[board->vm.devices->len - 1]);
    tap_ok(read(peer, &last, 1) == 1 && last == 'q', "the end of the device flushes its output");
    tap_ok(get(board, LSR) == 0xff, "and unmaps it");
}

static void test_places(struct test_board *board)
{
    static const struct {
        const char *property, *value;
        bool good;
    } cases[] = {
        { "index", "1", true }, { "index", "4", false },     { "iobase", "0xfff9", false },
        { "irq", "16", false }, { "iobase", "0x500", true },
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;
        struct device *dev = device_new(&board->vm, "isa-serial", NULL, NULL);
        bool good = device_set(dev, cases[i].property, cases[i].value, &error)
                    && device_realize(dev, &error);
        tap_ok(good == cases[i].good && good == !error, "%s=%s", cases[i].property, cases[i].value);
        device_free(dev);
    }
}

int main(void)
{
    static void (*const tests[])(struct test_board * board) = {
        test_autodetect, test_interrupts, test_loopback, test_paste,
        test_output,     test_end,        test_places,
    };
    for (size_t i = 0; i < G_N_ELEMENTS(tests); i++) {
        struct test_board board;
        test_board_init(&board, 1);
        if (uart_add(&board))
            tests[i](&board);
        test_board_end(&board);
        close(peer);
    }
    return tap_done();
}
