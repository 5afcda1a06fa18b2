/* SPDX-License-Identifier: GPL-2.0-or-later */
/* TAP lines to port 0xe9 (isa-debugcon), exit through port 0xf4 (isa-debug-exit). */
#include <stdarg.h>

#include "guest.h"

#define PORT_CONSOLE 0xe9
#define PORT_EXIT 0xf4
#define EXIT_PASS 0x10 /* the program's status becomes 2 * value + 1: 33 */
#define EXIT_FAIL 0x11 /* 35 */

static unsigned cases, failures;

static void put(char c)
{
    outb(PORT_CONSOLE, c);
}

static void put_number(uint64_t value, unsigned base)
{
    /* No 64-bit division in 32-bit guests: decimal numbers are small there. */
    char digits[24];
    unsigned n = 0;
    if (base == 16)
        do
            digits[n++] = "0123456789abcdef"[value & 15];
        while (value >>= 4);
    else
        for (uint32_t rest = value, again = 1; again; again = rest /= 10)
            digits[n++] = '0' + rest % 10;
    while (n)
        put(digits[--n]);
}

static void print_arguments(const char *format, va_list args)
{
    for (; *format; format++) {
        if (*format != '%') {
            put(*format);
            continue;
        }
        switch (*++format) {
        case 's':
            for (const char *s = va_arg(args, const char *); *s; s++)
                put(*s);
            break;
        case 'c':
            put(va_arg(args, int));
            break;
        case 'u':
            put_number(va_arg(args, word), 10);
            break;
        case 'X':
            put('0');
            put('x');
            put_number(va_arg(args, uint64_t), 16);
            break;
        default:
            put('0');
            put('x');
            put_number(va_arg(args, word), 16);
        }
    }
}

void print(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    print_arguments(format, args);
    va_end(args);
}

static bool result(bool good, const char *name)
{
    cases++;
    failures += !good;
    print("%sok %u - %s", good ? "" : "not ", (word)cases, name);
    if (good)
        put('\n');
    return good;
}

void check(const char *name, uint64_t got, uint64_t want)
{
    if (!result(got == want, name))
        print(": got %X want %X\n", got, want);
}

void skip(const char *name, const char *reason)
{
    print("ok %u - %s # SKIP %s\n", (word)++cases, name, reason);
}

static void expect_all(const char *name, word vector, word error, word ip, const word *cr2)
{
    bool good = trap.vector == vector;
    if (vector != VECTOR_NONE)
        good = good && trap.error == error && trap.ip == ip && (!cr2 || *cr2 == trap.cr2);
    if (result(good, name))
        return;
    print(": got vector %u error %x ip %x cr2 %x want vector %u error %x ip %x", trap.vector,
          trap.error, trap.ip, trap.cr2, vector, error, ip);
    if (cr2)
        print(" cr2 %x", *cr2);
    put('\n');
}

void expect(const char *name, enum vector vector, word error)
{
    expect_all(name, vector, error, fault_ip, NULL);
}

void expect_pf(const char *name, word error, word address)
{
    expect_all(name, VECTOR_PF, error, fault_ip, &address);
}

void expect_none(const char *name)
{
    expect_all(name, VECTOR_NONE, 0, 0, NULL);
}

void expect_user(const char *name, enum vector vector, word error, const void *ip)
{
    expect_all(name, vector, error, (word)USER_ADDRESS(ip), NULL);
}

static _Noreturn void leave(uint8_t value)
{
    outb(PORT_EXIT, value);
    for (;;)
        asm volatile("cli; hlt");
}

void finish(void)
{
    print("1..%u\n", (word)cases);
    leave(failures ? EXIT_FAIL : EXIT_PASS);
}

void die(const char *why)
{
    print("Bail out! %s\n", why);
    leave(EXIT_FAIL);
}

void *memcpy(void *to, const void *from, size_t n)
{
    for (size_t i = 0; i < n; i++)
        ((volatile char *)to)[i] = ((const char *)from)[i];
    return to;
}

void *memset(void *to, int c, size_t n)
{
    for (size_t i = 0; i < n; i++)
        ((volatile char *)to)[i] = c;
    return to;
}

int memcmp(const void *a, const void *b, size_t n)
{
    for (const uint8_t *x = a, *y = b; n--; x++, y++)
        if (*x != *y)
            return *x - *y;
    return 0;
}

bool string_equal(const char *a, const char *b)
{
    while (*a && *a == *b)
        a++, b++;
    return *a == *b;
}
