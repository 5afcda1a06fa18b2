/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The mux: several front ends (a serial port and the monitor, say) share one back end. All of them
 * write to it; the one in focus has the keyboard. Ctrl-A, as in QEMU, starts a command:
 *
 *      x quit   c next front end   b break   h help   a or Ctrl-A the key itself
 *
 * Keys are looked at before the device is asked for room, so that Ctrl-A x ends a guest that has
 * stopped reading; what it cannot take yet waits in its slot's buffer. */
#include "chardev/backend.h"

#include <stdio.h>
#include <string.h>

#include "util/timer.h"

#define SLOT_BYTES 4096
#define LEAVE_AGAIN_NS 500000000ull

static struct chardev_mux_keys keys = { .escape = 1 }; /* [main] Ctrl-A */

void chardevs_set_mux_keys(const struct chardev_mux_keys *new_keys)
{
    keys = *new_keys;
}

void mux_init_slot(struct chardev_slot *slot)
{
    slot->buffer = g_malloc(SLOT_BYTES);
    slot->start = slot->length = 0;
}

size_t mux_room(const struct chardev *chardev)
{
    size_t room = SLOT_BYTES;
    /* The next bytes may switch the focus, so all slots must have it. */
    for (unsigned i = 0; i < chardev->slot_count; i++)
        room = MIN(room, SLOT_BYTES - chardev->slots[i].length);
    return room;
}

static size_t slot_deliverable(const struct chardev_slot *slot)
{
    return slot->length ? MIN(slot->length, slot->frontend->can_receive(slot->opaque)) : 0;
}

bool mux_pending(const struct chardev *chardev)
{
    for (unsigned i = 0; i < chardev->slot_count; i++) {
        if (slot_deliverable(&chardev->slots[i]))
            return true;
    }
    return false;
}

static void slot_deliver(struct chardev_slot *slot)
{
    size_t length;

    while ((length = slot_deliverable(slot))) {
        const uint8_t *data = slot->buffer + slot->start;
        slot->start += length;
        slot->length -= length;
        slot->frontend->receive(slot->opaque, data, length);
    }
    if (!slot->length)
        slot->start = 0;
}

void mux_deliver(struct chardev *chardev)
{
    for (unsigned i = 0; i < chardev->slot_count; i++)
        slot_deliver(&chardev->slots[i]);
}

static void slot_put(struct chardev_slot *slot, uint8_t byte)
{
    if (slot->start + slot->length == SLOT_BYTES) {
        memmove(slot->buffer, slot->buffer + slot->start, slot->length);
        slot->start = 0;
    }
    slot->buffer[slot->start + slot->length++] = byte;
}

static void print(struct chardev *chardev, const char *text)
{
    chardev_write(chardev, text, strlen(text));
}

static void print_help(struct chardev *chardev)
{
    char key[8], text[400];

    if (keys.escape <= 26)
        snprintf(key, sizeof(key), "C-%c", 'a' + keys.escape - 1);
    else
        snprintf(key, sizeof(key), "0x%02x", keys.escape);
    snprintf(text, sizeof(text),
             "\r\n%s h    print this help\r\n%s x    exit emulator\r\n"
             "%s b    send break (magic sysrq)\r\n"
             "%s c    switch between console and monitor\r\n%s %s  sends %s\r\n",
             key, key, key, key, key, key, key);
    print(chardev, text);
}

static void focus_next(struct chardev *chardev)
{
    if (chardev->slot_count < 2)
        return;
    const struct chardev_slot *old = &chardev->slots[chardev->focus];
    if (old->frontend->event)
        old->frontend->event(old->opaque, CHARDEV_CLOSED);
    chardev->focus = (chardev->focus + 1) % chardev->slot_count;
    const struct chardev_slot *new = &chardev->slots[chardev->focus];
    if (new->frontend->event)
        new->frontend->event(new->opaque, CHARDEV_OPENED);
}

static void quit(struct chardev *chardev)
{
    if (keys.quit)
        keys.quit(keys.opaque);
}

/* The byte after the escape key. */
static void command(struct chardev *chardev, uint8_t byte)
{
    struct chardev_slot *slot = &chardev->slots[chardev->focus];

    if (byte == keys.escape) {
        slot_put(slot, byte);
        return;
    }
    switch (byte) {
    case 'a':
        slot_put(slot, keys.escape);
        break;
    case 'b':
        slot_deliver(slot);
        if (slot->frontend->event)
            slot->frontend->event(slot->opaque, CHARDEV_BREAK);
        break;
    case 'c':
        focus_next(chardev);
        break;
    case '?':
    case 'h':
        print_help(chardev);
        break;
    case 'x':
        print(chardev, "QEMU: Terminated\r\n");
        quit(chardev);
        break;
    }
}

static void mux_byte(struct chardev *chardev, uint8_t byte)
{
    if (chardev->escaped) {
        chardev->escaped = false;
        command(chardev, byte);
        return;
    }
    if (keys.escape && byte == keys.escape) {
        chardev->escaped = true;
        return;
    }
    if (keys.leave && byte == keys.leave) {
        uint64_t now = clock_now_ns();
        if (chardev->left_ns && now - chardev->left_ns < LEAVE_AGAIN_NS) {
            print(chardev, "\r\n"); /* what follows begins a line of its own */
            quit(chardev);
            return;
        }
        chardev->left_ns = now;
    } else {
        chardev->left_ns = 0;
    }
    slot_put(&chardev->slots[chardev->focus], byte);
}

void mux_input(struct chardev *chardev, const uint8_t *data, size_t length)
{
    for (size_t i = 0; i < length; i++)
        mux_byte(chardev, data[i]);
    mux_deliver(chardev);
}
