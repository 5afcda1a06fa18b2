/* SPDX-License-Identifier: GPL-2.0-or-later */
/* isa-serial: a 16550A UART (National Semiconductor PC16550D data sheet).
 *
 * Input comes at the speed of its reader: the back end is asked for no more than the receive FIFO
 * holds, so nothing is ever lost. Whatever arrived is old enough for the character timeout at once;
 * only what a driver leaves in the FIFO has to wait four characters' time again.
 *
 * Output leaves at once as far as the guest can see: the transmitter is always empty. Behind that,
 * bytes are gathered for up to a millisecond or until the buffer is full, and go to the back end in
 * one piece; a kernel's boot messages would otherwise cost a system call per character.
 *
 * The interrupt line is a level, (an enabled cause is pending). After each identification read the
 * transmitter's cause is gone, and the next character written raises it again; on an edge-triggered
 * controller that edge is what keeps a driver going that stopped its loop early. OUT2 does not gate
 * the line: peers do not either, and small guests rely on it.
 *
 * Threads: registers on any vCPU's thread, back end and timers on the main loop; all state is under
 * dev.lock. */
#include <inttypes.h>
#include <string.h>

#include "chardev/chardev.h"
#include "hw/board.h"
#include "hw/device.h"
#include "util/log.h"
#include "util/timer.h"
#include "vm/vm.h"

enum { REG_DATA, REG_IER, REG_IIR_FCR, REG_LCR, REG_MCR, REG_LSR, REG_MSR, REG_SCRATCH };

#define IER_RECEIVE 0x01
#define IER_TRANSMIT 0x02
#define IER_LINE 0x04
#define IER_MODEM 0x08

#define IIR_NONE 0x01
#define IIR_MODEM 0x00
#define IIR_TRANSMIT 0x02
#define IIR_RECEIVE 0x04
#define IIR_LINE 0x06
#define IIR_TIMEOUT 0x0c
#define IIR_FIFO 0xc0

#define FCR_ENABLE 0x01
#define FCR_CLEAR_RECEIVE 0x02
#define FCR_CLEAR_TRANSMIT 0x04
#define FCR_TRIGGER_SHIFT 6

#define LCR_DLAB 0x80

#define MCR_DTR 0x01
#define MCR_RTS 0x02
#define MCR_OUT1 0x04
#define MCR_OUT2 0x08
#define MCR_LOOP 0x10
#define MCR_MASK 0x1f

#define LSR_DATA 0x01
#define LSR_OVERRUN 0x02
#define LSR_BREAK 0x10
#define LSR_THR_EMPTY 0x20
#define LSR_IDLE 0x40
#define LSR_FIFO_ERROR 0x80

#define MSR_DELTA_CTS 0x01
#define MSR_DELTA_DSR 0x02
#define MSR_TRAILING_RI 0x04
#define MSR_DELTA_DCD 0x08
#define MSR_CTS 0x10
#define MSR_DSR 0x20
#define MSR_RI 0x40
#define MSR_DCD 0x80

#define FIFO_SIZE 16
#define CLOCK_HZ 1843200 /* 16 times the fastest baud rate */
#define GATHER_BYTES 1024
#define GATHER_NS 1000000

struct uart {
    struct device dev;
    struct region region;
    struct chardev *chardev;     /* [const] property; borrowed */
    uint32_t iobase, irq, index; /* [const] properties; all ones: by index */
    struct irq_line line;        /* [const] */
    struct timer timeout_timer, gather_timer;

    /* All below: [dev.lock] */
    uint8_t ier, fcr, lcr, mcr, msr, scratch;
    uint16_t divisor;
    uint8_t fifo[FIFO_SIZE], fifo_errors[FIFO_SIZE]; /* byte and its LSR error bits */
    uint8_t fifo_head, fifo_count;
    bool overrun;
    bool thr_pending;     /* the transmitter's interrupt cause */
    bool timeout_pending; /* the character timeout's */
    bool timeout_armed;   /* timeout_timer will fire */
    uint64_t last_read_ns;
    uint8_t gathered[GATHER_BYTES];
    uint32_t gathered_count;
};

/* --- state the registers show --------------------------------------------------------------- */

static bool uart_fifo_on(const struct uart *uart)
{
    return uart->fcr & FCR_ENABLE;
}

static unsigned uart_room(const struct uart *uart)
{
    unsigned size = uart_fifo_on(uart) ? FIFO_SIZE : 1;
    return uart->fifo_count < size ? size - uart->fifo_count : 0;
}

static unsigned uart_trigger(const struct uart *uart)
{
    static const uint8_t levels[] = { 1, 4, 8, 14 };
    return uart_fifo_on(uart) ? levels[uart->fcr >> FCR_TRIGGER_SHIFT] : 1;
}

static uint8_t uart_lsr(const struct uart *uart)
{
    uint8_t lsr = LSR_THR_EMPTY | LSR_IDLE;
    if (uart->overrun)
        lsr |= LSR_OVERRUN;
    if (uart->fifo_count) {
        lsr |= LSR_DATA | uart->fifo_errors[uart->fifo_head];
        for (unsigned i = 0; uart_fifo_on(uart) && i < uart->fifo_count; i++)
            if (uart->fifo_errors[(uart->fifo_head + i) % FIFO_SIZE])
                lsr |= LSR_FIFO_ERROR;
    }
    return lsr;
}

/* The pending cause of the highest priority (data sheet, table V). */
static uint8_t uart_cause(const struct uart *uart)
{
    if ((uart->ier & IER_LINE) && (uart_lsr(uart) & (LSR_OVERRUN | LSR_BREAK)))
        return IIR_LINE;
    if ((uart->ier & IER_RECEIVE) && uart->fifo_count >= uart_trigger(uart))
        return IIR_RECEIVE;
    if ((uart->ier & IER_RECEIVE) && uart->timeout_pending)
        return IIR_TIMEOUT;
    if ((uart->ier & IER_TRANSMIT) && uart->thr_pending)
        return IIR_TRANSMIT;
    if ((uart->ier & IER_MODEM) && (uart->msr & 0x0f))
        return IIR_MODEM;
    return IIR_NONE;
}

static void uart_update_line(struct uart *uart)
{
    irq_set(&uart->line, uart_cause(uart) != IIR_NONE);
}

/* --- receiver ------------------------------------------------------------------------------- */

static uint64_t uart_timeout_ns(const struct uart *uart)
{
    uint64_t divisor = uart->divisor ? uart->divisor : 1;
    return 4 * 10 * 16 * divisor * 1000000000ull / CLOCK_HZ;
}

static void uart_push(struct uart *uart, uint8_t byte, uint8_t errors)
{
    if (!uart_room(uart)) { /* only the guest itself, in loopback, can get here */
        uart->overrun = true;
        return;
    }
    unsigned tail = (uart->fifo_head + uart->fifo_count) % FIFO_SIZE;
    uart->fifo[tail] = byte;
    uart->fifo_errors[tail] = errors;
    uart->fifo_count++;
}

static void uart_received(struct uart *uart)
{
    uart->timeout_pending = uart_fifo_on(uart) && uart->fifo_count;
    uart_update_line(uart);
}

static void uart_clear_receiver(struct uart *uart)
{
    uart->fifo_head = uart->fifo_count = 0;
    uart->timeout_pending = false;
    if (uart->chardev)
        chardev_accept_input(uart->chardev);
}

/* Data was left in the FIFO: its timeout begins anew with each read. The timer is armed once and
 * looks at last_read_ns when it fires, so that draining a FIFO does not move it 15 times. */
static void uart_timeout_begin(struct uart *uart)
{
    uart->last_read_ns = clock_now_ns();
    if (!uart->timeout_armed) {
        uart->timeout_armed = true;
        timer_arm(&uart->timeout_timer, uart->last_read_ns + uart_timeout_ns(uart));
    }
}

static void uart_timeout_fired(void *opaque)
{
    struct uart *uart = opaque;
    pthread_mutex_lock(&uart->dev.lock);
    uint64_t due_ns = uart->last_read_ns + uart_timeout_ns(uart);
    if (!uart->timeout_armed || !uart->fifo_count || !uart_fifo_on(uart)) {
        uart->timeout_armed = false;
    } else if (clock_now_ns() < due_ns) {
        timer_arm(&uart->timeout_timer, due_ns);
    } else {
        uart->timeout_armed = false;
        uart->timeout_pending = true;
        uart_update_line(uart);
    }
    pthread_mutex_unlock(&uart->dev.lock);
}

static uint8_t uart_pop(struct uart *uart)
{
    if (!uart->fifo_count)
        return 0;
    uint8_t byte = uart->fifo[uart->fifo_head];
    uart->fifo_head = (uart->fifo_head + 1) % FIFO_SIZE;
    uart->fifo_count--;
    uart->timeout_pending = false;
    if (uart->fifo_count)
        uart_timeout_begin(uart);
    else if (uart->chardev)
        chardev_accept_input(uart->chardev);
    uart_update_line(uart);
    return byte;
}

static size_t uart_can_receive(void *opaque)
{
    struct uart *uart = opaque;
    pthread_mutex_lock(&uart->dev.lock);
    size_t room = (uart->mcr & MCR_LOOP) ? 0 : uart_room(uart); /* loopback cuts the wire */
    pthread_mutex_unlock(&uart->dev.lock);
    return room;
}

static void uart_receive(void *opaque, const uint8_t *data, size_t length)
{
    struct uart *uart = opaque;
    pthread_mutex_lock(&uart->dev.lock);
    for (size_t i = 0; i < length; i++)
        uart_push(uart, data[i], 0);
    uart_received(uart);
    pthread_mutex_unlock(&uart->dev.lock);
}

static void uart_event(void *opaque, enum chardev_event event)
{
    struct uart *uart = opaque;
    if (event != CHARDEV_BREAK)
        return;
    pthread_mutex_lock(&uart->dev.lock);
    uart_push(uart, 0, LSR_BREAK);
    uart_received(uart);
    pthread_mutex_unlock(&uart->dev.lock);
}

static const struct chardev_frontend uart_frontend = {
    .can_receive = uart_can_receive,
    .receive = uart_receive,
    .event = uart_event,
};

/* --- transmitter ---------------------------------------------------------------------------- */

static void uart_flush(struct uart *uart)
{
    if (uart->gathered_count && uart->chardev)
        chardev_write(uart->chardev, uart->gathered, uart->gathered_count);
    uart->gathered_count = 0;
}

static void uart_gather_fired(void *opaque)
{
    struct uart *uart = opaque;
    pthread_mutex_lock(&uart->dev.lock);
    uart_flush(uart);
    pthread_mutex_unlock(&uart->dev.lock);
}

static void uart_transmit(struct uart *uart, uint8_t byte)
{
    if (uart->mcr & MCR_LOOP) {
        uart_push(uart, byte, 0);
        uart->timeout_pending = uart_fifo_on(uart);
    } else {
        if (uart->gathered_count == 0)
            timer_arm(&uart->gather_timer, clock_now_ns() + GATHER_NS);
        uart->gathered[uart->gathered_count++] = byte;
        if (uart->gathered_count == GATHER_BYTES)
            uart_flush(uart);
    }
    uart->thr_pending = true;
    uart_update_line(uart);
}

/* --- modem lines ---------------------------------------------------------------------------- */

/* The lines as they come in: the far end is always ready; in loopback our own outputs. */
static uint8_t uart_modem_lines(const struct uart *uart)
{
    if (!(uart->mcr & MCR_LOOP))
        return MSR_CTS | MSR_DSR | MSR_DCD;
    return (uart->mcr & MCR_RTS ? MSR_CTS : 0) | (uart->mcr & MCR_DTR ? MSR_DSR : 0)
           | (uart->mcr & MCR_OUT1 ? MSR_RI : 0) | (uart->mcr & MCR_OUT2 ? MSR_DCD : 0);
}

static void uart_update_modem(struct uart *uart)
{
    uint8_t lines = uart_modem_lines(uart);
    uint8_t changed = (lines ^ uart->msr) & 0xf0;
    uint8_t delta = (changed & (MSR_CTS | MSR_DSR | MSR_DCD)) >> 4;
    if ((changed & MSR_RI) && !(lines & MSR_RI)) /* only the end of a ring counts */
        delta |= MSR_TRAILING_RI;
    uart->msr = lines | (uart->msr & 0x0f) | delta;
}

static void uart_write_mcr(struct uart *uart, uint8_t value)
{
    bool was_loop = uart->mcr & MCR_LOOP;
    uart->mcr = value & MCR_MASK;
    uart_update_modem(uart);
    uart_update_line(uart);
    if (was_loop && !(uart->mcr & MCR_LOOP) && uart->chardev)
        chardev_accept_input(uart->chardev);
}

/* --- registers ------------------------------------------------------------------------------ */

static void uart_write_ier(struct uart *uart, uint8_t value)
{
    uint8_t rising = value & ~uart->ier;
    uart->ier = value & 0x0f;
    if (rising & IER_TRANSMIT) /* enabling it with the transmitter empty raises it at once */
        uart->thr_pending = true;
    uart_update_line(uart);
}

static void uart_write_fcr(struct uart *uart, uint8_t value)
{
    bool toggled = (value ^ uart->fcr) & FCR_ENABLE; /* switching modes empties both FIFOs */
    if (toggled || (value & FCR_CLEAR_RECEIVE))
        uart_clear_receiver(uart);
    if (toggled || (value & FCR_CLEAR_TRANSMIT))
        uart->thr_pending = true;
    /* The other bits are only taken together with the enable bit. */
    uart->fcr = value & FCR_ENABLE ? value & 0xc9 : 0;
    uart_update_line(uart);
}

static uint8_t uart_read_iir(struct uart *uart)
{
    uint8_t cause = uart_cause(uart);
    if (cause == IIR_TRANSMIT) {
        uart->thr_pending = false;
        uart_update_line(uart);
    }
    return cause | (uart_fifo_on(uart) ? IIR_FIFO : 0);
}

static uint8_t uart_read_lsr(struct uart *uart)
{
    uint8_t lsr = uart_lsr(uart);
    if (lsr & (LSR_OVERRUN | LSR_BREAK)) {
        uart->overrun = false;
        uart->fifo_errors[uart->fifo_head] = 0;
        uart_update_line(uart);
    }
    return lsr;
}

static uint8_t uart_read_msr(struct uart *uart)
{
    uint8_t msr = uart->msr;
    if (msr & 0x0f) {
        uart->msr &= 0xf0;
        uart_update_line(uart);
    }
    return msr;
}

static uint64_t uart_read(struct device *dev, uint64_t offset, unsigned size)
{
    struct uart *uart = container_of(dev, struct uart, dev);
    bool dlab = uart->lcr & LCR_DLAB;
    switch (offset) {
    case REG_DATA:
        return dlab ? uart->divisor & 0xff : uart_pop(uart);
    case REG_IER:
        return dlab ? uart->divisor >> 8 : uart->ier;
    case REG_IIR_FCR:
        return uart_read_iir(uart);
    case REG_LCR:
        return uart->lcr;
    case REG_MCR:
        return uart->mcr;
    case REG_LSR:
        return uart_read_lsr(uart);
    case REG_MSR:
        return uart_read_msr(uart);
    default:
        return uart->scratch;
    }
}

static void uart_write(struct device *dev, uint64_t offset, uint64_t value, unsigned size)
{
    struct uart *uart = container_of(dev, struct uart, dev);
    bool dlab = uart->lcr & LCR_DLAB;
    switch (offset) {
    case REG_DATA:
        if (dlab)
            uart->divisor = (uart->divisor & 0xff00) | value;
        else
            uart_transmit(uart, value);
        break;
    case REG_IER:
        if (dlab)
            uart->divisor = (uart->divisor & 0x00ff) | value << 8;
        else
            uart_write_ier(uart, value);
        break;
    case REG_IIR_FCR:
        uart_write_fcr(uart, value);
        break;
    case REG_LCR:
        uart->lcr = value;
        break;
    case REG_MCR:
        uart_write_mcr(uart, value);
        break;
    case REG_SCRATCH:
        uart->scratch = value;
        break;
    default:
        break; /* LSR and MSR are only written by factory tests */
    }
}

static const struct region_ops uart_ops = { .read = uart_read, .write = uart_write, .max_size = 1 };

/* --- life ----------------------------------------------------------------------------------- */

/* Where PCs have their four serial ports. */
static const struct {
    uint16_t iobase;
    uint8_t irq;
} uart_places[] = {
    { 0x3f8, 4 },
    { 0x2f8, 3 },
    { 0x3e8, 4 },
    { 0x2e8, 3 },
};

static uint32_t uart_next_index(struct vm *vm, const struct device_type *type)
{
    uint32_t count = 0;
    for (guint i = 0; i < vm->devices->len; i++)
        count += ((struct device *)vm->devices->pdata[i])->type == type;
    return count;
}

static bool uart_place(struct uart *uart, GError **error)
{
    if (uart->index == UINT32_MAX)
        uart->index = uart_next_index(uart->dev.vm, uart->dev.type);
    bool known = uart->index < G_N_ELEMENTS(uart_places);
    if (!known && (uart->iobase == UINT32_MAX || uart->irq == UINT32_MAX))
        return fail(error,
                    "isa-serial: port number %u has no usual place; the numbers are 0 to %zu,"
                    " others need iobase and irq",
                    uart->index, G_N_ELEMENTS(uart_places) - 1);
    if (uart->iobase == UINT32_MAX)
        uart->iobase = uart_places[uart->index].iobase;
    if (uart->irq == UINT32_MAX)
        uart->irq = uart_places[uart->index].irq;
    if (uart->iobase > 0xfff8)
        return fail(error, "isa-serial: eight ports from iobase 0x%x on end past port 0xffff",
                    uart->iobase);
    if (uart->irq > 15)
        return fail(error, "isa-serial: irq %u is not an ISA interrupt (0 to 15)", uart->irq);
    return true;
}

static bool uart_realize(struct device *dev, GError **error)
{
    struct uart *uart = container_of(dev, struct uart, dev);
    if (!uart_place(uart, error))
        return false;
    if (uart->chardev && !chardev_attach(uart->chardev, &uart_frontend, uart, error))
        return fail_prefix(error, "isa-serial: ");
    timer_init(&uart->timeout_timer, uart_timeout_fired, uart);
    timer_init(&uart->gather_timer, uart_gather_fired, uart);
    if (dev->vm->gsi)
        uart->line = dev->vm->gsi[uart->irq];
    uart->region = (struct region){
        .name = "isa-serial",
        .base = uart->iobase,
        .size = 8,
        .ops = &uart_ops,
        .dev = dev,
    };
    address_space_add(dev->vm->io, &uart->region);
    return true;
}

static void uart_reset(struct device *dev)
{
    struct uart *uart = container_of(dev, struct uart, dev);
    uart_flush(uart);
    uart->ier = uart->fcr = uart->lcr = uart->mcr = uart->scratch = 0;
    uart->msr = uart_modem_lines(uart);
    uart->divisor = 12; /* 9600 baud */
    uart->overrun = uart->thr_pending = uart->timeout_armed = false;
    memset(uart->fifo_errors, 0, sizeof(uart->fifo_errors));
    uart_clear_receiver(uart);
    uart_update_line(uart);
}

static void uart_unrealize(struct device *dev)
{
    struct uart *uart = container_of(dev, struct uart, dev);
    address_space_remove(dev->vm->io, &uart->region);
    timer_cancel(&uart->timeout_timer);
    timer_cancel(&uart->gather_timer);
    uart_flush(uart);
    if (uart->chardev)
        chardev_detach(uart->chardev);
}

static const struct property uart_properties[] = {
    PROPERTY_U32("iobase", struct uart, iobase, UINT32_MAX, .help = "first I/O port"),
    PROPERTY_U32("irq", struct uart, irq, UINT32_MAX, .help = "ISA interrupt"),
    PROPERTY_U32("index", struct uart, index, UINT32_MAX, .help = "0 to 3 for COM1 to COM4"),
    PROPERTY_CHARDEV("chardev", struct uart, chardev),
    {},
};

static const struct state_field uart_state[] = {
    STATE(U8, struct uart, ier, .since = 1),
    STATE(U8, struct uart, fcr, .since = 1),
    STATE(U8, struct uart, lcr, .since = 1),
    STATE(U8, struct uart, mcr, .since = 1),
    STATE(U8, struct uart, msr, .since = 1),
    STATE(U8, struct uart, scratch, .since = 1),
    STATE(U16, struct uart, divisor, .since = 1),
    STATE(BYTES, struct uart, fifo, .since = 1),
    STATE(BYTES, struct uart, fifo_errors, .since = 1),
    STATE(U8, struct uart, fifo_head, .since = 1),
    STATE(U8, struct uart, fifo_count, .since = 1),
    STATE(BOOL, struct uart, overrun, .since = 1),
    STATE(BOOL, struct uart, thr_pending, .since = 1),
    STATE(BOOL, struct uart, timeout_pending, .since = 1),
    {},
};

DEVICE_TYPE(uart) = {
    .name = "isa-serial",
    .description = "serial port with a 16550A UART",
    .category = DEVICE_CATEGORY_INPUT,
    .bus = &bus_isa,
    .size = sizeof(struct uart),
    .properties = uart_properties,
    .state = uart_state,
    .realize = uart_realize,
    .reset = uart_reset,
    .unrealize = uart_unrealize,
};
