/* SPDX-License-Identifier: GPL-2.0-or-later */
/* rtc: the MC146818 clock with 128 bytes of CMOS memory (Motorola data sheet, "Real-Time Clock Plus
 * RAM"), the century in byte 0x32 as PCs have it.
 *
 * The clock is the host's real-time clock plus an offset that changes when the guest sets the time.
 * Time registers are computed when they are read. While the guest holds updates (SET), they are the
 * bytes in `cmos`, and clearing SET turns those into a new offset.
 *
 * Flags in register C are likewise caught up with when somebody looks; timers run only for
 * interrupts that are enabled.
 *
 * Threads: ports on any vCPU's thread, timer on the main loop; all under dev.lock. */
#include <string.h>
#include <time.h>

#include "hw/board.h"
#include "hw/device.h"
#include "util/timer.h"
#include "vm/vm.h"

enum {
    RTC_SECONDS,
    RTC_SECONDS_ALARM,
    RTC_MINUTES,
    RTC_MINUTES_ALARM,
    RTC_HOURS,
    RTC_HOURS_ALARM,
    RTC_WEEKDAY,
    RTC_DAY,
    RTC_MONTH,
    RTC_YEAR,
    RTC_A,
    RTC_B,
    RTC_C,
    RTC_D,
    RTC_CENTURY = 0x32
};

#define A_UPDATING 0x80 /* an update is due within 244 us */
#define A_DIVIDER 0x70
#define A_DIVIDER_RESET 0x60 /* both upper bits: the clock stands still */
#define A_RATE 0x0f
#define B_SET 0x80
#define B_PERIODIC 0x40
#define B_ALARM 0x20
#define B_UPDATE 0x10
#define B_BINARY 0x04
#define B_24_HOURS 0x02
#define C_INTERRUPT 0x80
#define C_FLAGS 0x70 /* the same bits as the enables in B */
#define D_VALID 0x80

#define SECOND_NS 1000000000ll
#define UPDATE_WARNING_NS 244000
#define ALARM_LOOK_BACK_S 60
#define LATEST_SECOND 8000000000ll /* in the year 2223 */

/* What becomes of periodic interrupts that the guest was too late for. */
enum tick_policy { TICKS_DISCARD, TICKS_SLEW };
static const char *const tick_policy_names[] = { "discard", "slew", NULL };
#define LOST_MAX 100000
#define LOST_AGAIN_NS 200000 /* the next of them comes so long after one was taken */

struct rtc {
    struct device dev;
    struct region ports;
    struct irq_line line;
    struct timer timer;
    /* [dev.lock] */
    uint8_t cmos[128];
    uint8_t index;
    int64_t offset_ns;    /* guest clock - host clock */
    uint32_t lost;        /* periodic interrupts to be made up for, with lost_tick_policy=slew */
    int lost_tick_policy; /* [const] property */
    int64_t seen_second;  /* flags are up to date with this second … */
    int64_t seen_period;  /* … and this period of the periodic interrupt */
};

/* --- time ------------------------------------------------------------------------------------ */

static int64_t rtc_now_ns(const struct rtc *rtc)
{
    struct timespec now;
    clock_gettime(rtc->dev.vm->config->rtc_monotonic ? CLOCK_MONOTONIC : CLOCK_REALTIME, &now);
    return now.tv_sec * SECOND_NS + now.tv_nsec + rtc->offset_ns;
}

static bool rtc_stands(const struct rtc *rtc)
{
    return (rtc->cmos[RTC_B] & B_SET) || (rtc->cmos[RTC_A] & A_DIVIDER_RESET) == A_DIVIDER_RESET;
}

static uint8_t rtc_encode(const struct rtc *rtc, unsigned value)
{
    return rtc->cmos[RTC_B] & B_BINARY ? value : value / 10 << 4 | value % 10;
}

static unsigned rtc_decode(const struct rtc *rtc, uint8_t value)
{
    return rtc->cmos[RTC_B] & B_BINARY ? value : (value >> 4) * 10 + (value & 15);
}

static uint8_t rtc_encode_hour(const struct rtc *rtc, unsigned hour)
{
    if (rtc->cmos[RTC_B] & B_24_HOURS)
        return rtc_encode(rtc, hour);
    return rtc_encode(rtc, hour % 12 ? hour % 12 : 12) | (hour >= 12 ? 0x80 : 0);
}

static unsigned rtc_decode_hour(const struct rtc *rtc, uint8_t value)
{
    if (rtc->cmos[RTC_B] & B_24_HOURS)
        return rtc_decode(rtc, value);
    return rtc_decode(rtc, value & 0x7f) % 12 + (value & 0x80 ? 12 : 0);
}

/* Brings the time registers in `cmos` up to date, unless they stand still. */
static void rtc_latch(struct rtc *rtc)
{
    struct tm tm;
    time_t seconds = rtc_now_ns(rtc) / SECOND_NS;
    if (rtc_stands(rtc) || !gmtime_r(&seconds, &tm))
        return;
    rtc->cmos[RTC_SECONDS] = rtc_encode(rtc, tm.tm_sec);
    rtc->cmos[RTC_MINUTES] = rtc_encode(rtc, tm.tm_min);
    rtc->cmos[RTC_HOURS] = rtc_encode_hour(rtc, tm.tm_hour);
    rtc->cmos[RTC_WEEKDAY] = rtc_encode(rtc, tm.tm_wday + 1);
    rtc->cmos[RTC_DAY] = rtc_encode(rtc, tm.tm_mday);
    rtc->cmos[RTC_MONTH] = rtc_encode(rtc, tm.tm_mon + 1);
    rtc->cmos[RTC_YEAR] = rtc_encode(rtc, tm.tm_year % 100);
    rtc->cmos[RTC_CENTURY] = rtc_encode(rtc, (tm.tm_year + 1900) / 100);
}

/* The clock goes on from what the time registers say. timegm() takes any nonsense a guest writes:
 * the 45th of a month is in the next one. Years that nanoseconds since 1970 cannot count give the
 * nearest that they can. */
static void rtc_take_time(struct rtc *rtc)
{
    struct tm tm = {
        .tm_sec = rtc_decode(rtc, rtc->cmos[RTC_SECONDS]),
        .tm_min = rtc_decode(rtc, rtc->cmos[RTC_MINUTES]),
        .tm_hour = rtc_decode_hour(rtc, rtc->cmos[RTC_HOURS]),
        .tm_mday = rtc_decode(rtc, rtc->cmos[RTC_DAY]),
        .tm_mon = (int)rtc_decode(rtc, rtc->cmos[RTC_MONTH]) - 1,
        .tm_year = (int)(rtc_decode(rtc, rtc->cmos[RTC_CENTURY]) * 100
                         + rtc_decode(rtc, rtc->cmos[RTC_YEAR]))
                   - 1900,
    };
    int64_t seconds = CLAMP(timegm(&tm), 0, LATEST_SECOND);
    rtc->offset_ns += seconds * SECOND_NS - rtc_now_ns(rtc);
    rtc->seen_second = rtc_now_ns(rtc) / SECOND_NS;
}

/* --- flags and interrupt --------------------------------------------------------------------- */

static bool alarm_part_matches(uint8_t alarm, uint8_t now)
{
    return alarm == now || (alarm & 0xc0) == 0xc0; /* the two highest bits: any */
}

static bool rtc_alarm_matches(const struct rtc *rtc, int64_t second)
{
    unsigned of_day = ((second % 86400) + 86400) % 86400;
    return alarm_part_matches(rtc->cmos[RTC_SECONDS_ALARM], rtc_encode(rtc, of_day % 60))
           && alarm_part_matches(rtc->cmos[RTC_MINUTES_ALARM], rtc_encode(rtc, of_day / 60 % 60))
           && alarm_part_matches(rtc->cmos[RTC_HOURS_ALARM], rtc_encode_hour(rtc, of_day / 3600));
}

/* Nanoseconds of the periodic interrupt, or 0 (data sheet, table 5, 32.768 kHz time base). */
static int64_t rtc_period_ns(const struct rtc *rtc)
{
    unsigned rate = rtc->cmos[RTC_A] & A_RATE;
    if (rate == 0)
        return 0;
    if (rate < 3)
        rate += 7;
    return SECOND_NS * (1 << (rate - 1)) / 32768;
}

static void rtc_catch_up(struct rtc *rtc)
{
    int64_t now = rtc_now_ns(rtc), second = now / SECOND_NS, period = rtc_period_ns(rtc);
    uint8_t *flags = &rtc->cmos[RTC_C];
    if (!rtc_stands(rtc) && second != rtc->seen_second) {
        *flags |= B_UPDATE;
        int64_t first = MAX(rtc->seen_second + 1, second - ALARM_LOOK_BACK_S);
        for (int64_t s = first; s <= second; s++)
            if (rtc_alarm_matches(rtc, s))
                *flags |= B_ALARM;
    }
    rtc->seen_second = second;
    if (period && now / period != rtc->seen_period) {
        if (rtc->lost_tick_policy == TICKS_SLEW && rtc->cmos[RTC_B] & B_PERIODIC) {
            int64_t lost = now / period - rtc->seen_period - !(*flags & B_PERIODIC);
            rtc->lost = CLAMP(rtc->lost + lost, 0, LOST_MAX);
        }
        *flags |= B_PERIODIC;
        rtc->seen_period = now / period;
    }
    if (*flags & rtc->cmos[RTC_B] & C_FLAGS)
        *flags |= C_INTERRUPT;
    else
        *flags &= ~C_INTERRUPT;
    irq_set(&rtc->line, *flags & C_INTERRUPT);
}

/* Arms the timer for the next moment an enabled flag may change. */
static void rtc_schedule(struct rtc *rtc)
{
    uint8_t enabled = rtc->cmos[RTC_B];
    int64_t now = rtc_now_ns(rtc), wait = INT64_MAX, period = rtc_period_ns(rtc);
    if ((enabled & (B_UPDATE | B_ALARM)) && !rtc_stands(rtc))
        wait = SECOND_NS - now % SECOND_NS;
    if ((enabled & B_PERIODIC) && period)
        wait = MIN(wait, period - now % period);
    if (rtc->lost && !(rtc->cmos[RTC_C] & B_PERIODIC))
        wait = MIN(wait, LOST_AGAIN_NS);
    if (wait == INT64_MAX)
        timer_cancel(&rtc->timer);
    else
        timer_arm(&rtc->timer, clock_now_ns() + wait);
}

static void rtc_fired(void *opaque)
{
    struct rtc *rtc = opaque;
    pthread_mutex_lock(&rtc->dev.lock);
    if (rtc->lost && !(rtc->cmos[RTC_C] & B_PERIODIC)) {
        rtc->lost--;
        rtc->cmos[RTC_C] |= B_PERIODIC;
    }
    rtc_catch_up(rtc);
    rtc_schedule(rtc);
    pthread_mutex_unlock(&rtc->dev.lock);
}

/* --- registers ------------------------------------------------------------------------------- */

static bool is_time_register(uint8_t index)
{
    switch (index) {
    case RTC_SECONDS:
    case RTC_MINUTES:
    case RTC_HOURS:
    case RTC_WEEKDAY ... RTC_YEAR:
    case RTC_CENTURY:
        return true;
    default:
        return false;
    }
}

static uint8_t rtc_read_a(const struct rtc *rtc)
{
    bool updating =
        !rtc_stands(rtc) && rtc_now_ns(rtc) % SECOND_NS >= SECOND_NS - UPDATE_WARNING_NS;
    return rtc->cmos[RTC_A] | (updating ? A_UPDATING : 0);
}

static uint8_t rtc_read_c(struct rtc *rtc)
{
    rtc_catch_up(rtc);
    uint8_t flags = rtc->cmos[RTC_C];
    rtc->cmos[RTC_C] = 0;
    irq_set(&rtc->line, false);
    if (rtc->lost)
        rtc_schedule(rtc);
    return flags;
}

static void rtc_write_a(struct rtc *rtc, uint8_t value)
{
    rtc_latch(rtc);
    bool stood = rtc_stands(rtc);
    rtc->cmos[RTC_A] = value & ~A_UPDATING;
    if (stood && !rtc_stands(rtc))
        rtc_take_time(rtc);
    int64_t period = rtc_period_ns(rtc); /* a new rate begins with a whole period */
    rtc->seen_period = period ? rtc_now_ns(rtc) / period : 0;
}

static void rtc_write_b(struct rtc *rtc, uint8_t value)
{
    rtc_latch(rtc);
    bool stood = rtc_stands(rtc);
    if (value & B_SET)
        value &= ~B_UPDATE; /* SET clears the update interrupt's enable */
    rtc->cmos[RTC_B] = value;
    if (stood && !rtc_stands(rtc))
        rtc_take_time(rtc);
    rtc_catch_up(rtc);
}

static void rtc_write_register(struct rtc *rtc, uint8_t index, uint8_t value)
{
    rtc_catch_up(rtc); /* with the old alarm and mode */
    switch (index) {
    case RTC_A:
        rtc_write_a(rtc, value);
        break;
    case RTC_B:
        rtc_write_b(rtc, value);
        break;
    case RTC_C:
    case RTC_D:
        return; /* read-only */
    default:
        if (!is_time_register(index)) {
            rtc->cmos[index] = value;
            break;
        }
        rtc_latch(rtc);
        rtc->cmos[index] = value;
        if (!rtc_stands(rtc) && index != RTC_WEEKDAY) /* the weekday follows from the date */
            rtc_take_time(rtc);
        break;
    }
    rtc_schedule(rtc);
}

static uint64_t rtc_read(struct device *dev, uint64_t offset, unsigned size)
{
    struct rtc *rtc = container_of(dev, struct rtc, dev);
    if (offset == 0)
        return 0xff; /* the index port cannot be read */
    switch (rtc->index) {
    case RTC_A:
        return rtc_read_a(rtc);
    case RTC_C:
        return rtc_read_c(rtc);
    case RTC_D:
        return D_VALID;
    default:
        break;
    }
    if (is_time_register(rtc->index))
        rtc_latch(rtc);
    return rtc->cmos[rtc->index];
}

static void rtc_write(struct device *dev, uint64_t offset, uint64_t value, unsigned size)
{
    struct rtc *rtc = container_of(dev, struct rtc, dev);
    if (offset == 0)
        rtc->index = value & 0x7f; /* bit 7 masks NMIs, of which this board has none */
    else
        rtc_write_register(rtc, rtc->index, value);
}

void rtc_set_cmos(struct vm *vm, uint8_t index, uint8_t value)
{
    struct device *dev = board_find(vm, "rtc");
    if (!dev || index <= RTC_D || index >= sizeof(((struct rtc *)0)->cmos))
        return;
    pthread_mutex_lock(&dev->lock);
    container_of(dev, struct rtc, dev)->cmos[index] = value;
    pthread_mutex_unlock(&dev->lock);
}

/* --- life ------------------------------------------------------------------------------------ */

static const struct region_ops rtc_ops = { .read = rtc_read, .write = rtc_write, .max_size = 1 };

static bool rtc_realize(struct device *dev, GError **error)
{
    struct rtc *rtc = container_of(dev, struct rtc, dev);
    timer_init(&rtc->timer, rtc_fired, rtc);
    if (dev->vm->gsi)
        rtc->line = dev->vm->gsi[BOARD_IRQ_RTC];
    struct timespec real, monotonic;
    const struct vm_config *config = dev->vm->config;
    clock_gettime(CLOCK_REALTIME, &real);
    clock_gettime(CLOCK_MONOTONIC, &monotonic);
    rtc->offset_ns = config->rtc_offset_ns;
    if (config->rtc_monotonic)
        rtc->offset_ns +=
            (real.tv_sec - monotonic.tv_sec) * SECOND_NS + real.tv_nsec - monotonic.tv_nsec;
    if (config->rtc_slew)
        rtc->lost_tick_policy = TICKS_SLEW;
    rtc->cmos[RTC_A] = 0x26; /* divider for 32.768 kHz, 1024 Hz */
    rtc->cmos[RTC_B] = B_24_HOURS;
    rtc->seen_second = rtc_now_ns(rtc) / SECOND_NS;
    rtc->ports = (struct region){
        .name = "rtc",
        .base = 0x70,
        .size = 2,
        .ops = &rtc_ops,
        .dev = dev,
    };
    address_space_add(dev->vm->io, &rtc->ports);
    return true;
}

/* A reset clears the interrupts; time and memory live on the battery. */
static void rtc_reset(struct device *dev)
{
    struct rtc *rtc = container_of(dev, struct rtc, dev);
    rtc->cmos[RTC_B] &= ~(B_PERIODIC | B_ALARM | B_UPDATE);
    rtc->cmos[RTC_C] = 0;
    rtc->lost = 0;
    rtc->index = 0;
    irq_set(&rtc->line, false);
    rtc_schedule(rtc);
}

static void rtc_unrealize(struct device *dev)
{
    struct rtc *rtc = container_of(dev, struct rtc, dev);
    timer_cancel(&rtc->timer);
    address_space_remove(dev->vm->io, &rtc->ports);
}

static const struct state_field rtc_state[] = {
    STATE(BYTES, struct rtc, cmos, .since = 1),
    STATE(U8, struct rtc, index, .since = 1),
    STATE(U64, struct rtc, offset_ns, .since = 1),
    STATE(U64, struct rtc, seen_second, .since = 1),
    STATE(U64, struct rtc, seen_period, .since = 1),
    {},
};

static const struct property rtc_properties[] = {
    PROPERTY_ENUM("lost_tick_policy", struct rtc, lost_tick_policy, tick_policy_names,
                  TICKS_DISCARD),
    {},
};

DEVICE_TYPE(rtc) = {
    .name = "rtc",
    .alias = "mc146818rtc",
    .description = "MC146818 clock and CMOS memory",
    .bus = &bus_system,
    .size = sizeof(struct rtc),
    .properties = rtc_properties,
    .state = rtc_state,
    .realize = rtc_realize,
    .reset = rtc_reset,
    .unrealize = rtc_unrealize,
};
