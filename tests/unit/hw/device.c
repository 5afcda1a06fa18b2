/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The device core: types, properties and what is said about wrong ones. */
#include "test_board.h"

struct property_case {
    const char *type, *property, *value, *message; /* NULL: accepted */
};

static const struct property_case cases[] = {
    { "isa-debug-exit", "iobase", "0xf4", NULL },
    { "isa-debug-exit", "iobase", "244", NULL },
    { "isa-debug-exit", "iobase", "4294967295", NULL },
    { "isa-debug-exit", "iobase", "4294967296", "at most" },
    { "isa-debug-exit", "iobase", "99999999999999999999", "at most" },
    { "isa-debug-exit", "iobase", "-1", "a number" },
    { "isa-debug-exit", "iobase", "", "a number" },
    { "isa-debug-exit", "iobase", " 1", "a number" },
    { "isa-debug-exit", "iobase", "1x", "a number" },
    { "isa-debug-exit", "iobas", "1", "did you mean 'iobase'" },
    { "isa-debug-exit", "colour", "red", "not found" },
    { "isa-debugcon", "chardev", "nowhere", "no chardev has the id 'nowhere'" },
};

static void test_properties(struct test_board *board)
{
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        const struct property_case *c = &cases[i];
        g_autoptr(GError) error = NULL;
        struct device *dev = device_new(&board->vm, c->type, "x", NULL);
        bool good = device_set(dev, c->property, c->value, &error);
        bool expected =
            c->message ? !good && error && strstr(error->message, c->message) : good && !error;
        if (!tap_ok(expected, "%s,%s=%s", c->type, c->property, c->value))
            tap_note("%s", error ? error->message : "no error");
        device_free(dev);
    }
}

static void count_type(const struct device_type *type, void *opaque)
{
    unsigned *bad = opaque;
    bad[0]++;
    bad[1] += !type->name || !type->description || !type->bus || type->size < sizeof(struct device)
              || device_type_find(type->name) != type;
    for (const struct property *p = type->properties; p && p->name; p++)
        bad[1] += p->offset < sizeof(struct device) || p->offset >= type->size;
    for (const struct state_field *f = type->state; f && f->name; f++)
        bad[1] +=
            f->offset < sizeof(struct device) || f->offset + f->size > type->size || !f->since;
}

static void test_types(struct test_board *board)
{
    unsigned counts[2] = { 0, 0 };
    g_autoptr(GError) error = NULL;
    device_type_visit(count_type, counts);
    tap_ok(counts[0] >= 12 && counts[1] == 0, "%u types, each in order", counts[0]);
    tap_ok(!device_new(&board->vm, "isa-debugcom", NULL, &error)
               && strstr(error->message, "did you mean 'isa-debugcon'"),
           "an unknown type is named");
}

/* realize() fails, the device is freed: nothing of it may stay. */
static void test_failed_realize(struct test_board *board)
{
    static const struct {
        const char *iobase, *iosize;
        bool good;
    } ports[] = {
        { "0x501", "0", false }, { "0x501", "5", false },      { "0xffff", "2", false },
        { "0xfffe", "2", true }, { "0xffffffff", "1", false },
    };
    for (size_t i = 0; i < G_N_ELEMENTS(ports); i++) {
        g_autoptr(GError) error = NULL;
        guint before = board->vm.devices->len;
        struct device *dev = device_new(&board->vm, "isa-debug-exit", NULL, NULL);
        device_set(dev, "iobase", ports[i].iobase, NULL);
        device_set(dev, "iosize", ports[i].iosize, NULL);
        bool good = device_realize(dev, &error);
        tap_ok(good == ports[i].good && good == !error, "iobase=%s,iosize=%s", ports[i].iobase,
               ports[i].iosize);
        device_free(dev);
        tap_ok(board->vm.devices->len == before, "leaves the list as it was");
    }
}

int main(void)
{
    struct test_board board;
    test_board_init(&board, 1);
    test_types(&board);
    test_properties(&board);
    test_failed_realize(&board);
    test_board_end(&board);
    return tap_done();
}
