/* SPDX-License-Identifier: GPL-2.0-or-later */
/* virtio-serial: ports, each with a chardev at its other end, on a bus of the device's own.
 * (virtio 1.2, 5.3)
 *
 *      virtio-serial-pci (id=s) ── s.0 ──┬── virtconsole      port 0: a console of the guest
 *                                        └── virtserialport   a stream with a name
 *
 * Queues 0 and 1 are port 0's, 2 and 3 carry control messages, and 2n + 2, 2n + 3 are port n's; the
 * even ones go to the driver.
 *
 * Threads: the main loop, with vdev.lock held where the driver's state is touched. A port's chardev
 * calls without the lock. */
#include <string.h>

#include "chardev/chardev.h"
#include "virtio/types.h"
#include "vm/vm.h"

enum serial_feature { SERIAL_F_SIZE = 0, SERIAL_F_MULTIPORT = 1, SERIAL_F_EMERG_WRITE = 2 };

enum serial_event { /* 5.3.6.2 */
                    SERIAL_DEVICE_READY = 0,
                    SERIAL_DEVICE_ADD = 1,
                    SERIAL_DEVICE_REMOVE = 2,
                    SERIAL_PORT_READY = 3,
                    SERIAL_CONSOLE_PORT = 4,
                    SERIAL_RESIZE = 5,
                    SERIAL_PORT_OPEN = 6,
                    SERIAL_PORT_NAME = 7,
};

struct serial_message {
    uint32_t port;
    uint16_t event, value;
};

struct serial_config { /* 5.3.4 */
    uint16_t columns, rows;
    uint32_t ports;
    uint32_t emergency; /* a byte written here is printed */
};

#define PORTS_MAX 31u
#define PORT_QUEUE_SIZE 128u
#define CONTROL_QUEUE_SIZE 32u
#define CONTROL_IN 2u /* queues */
#define CONTROL_OUT 3u
#define PORT_AUTO UINT32_MAX
#define PENDING_BYTES 4096u /* input that waits for the driver's buffers */
#define MESSAGES_MAX 1024u  /* control messages that wait for them */

struct serial_port;

struct virtio_serial {
    struct virtio_device vdev;
    struct bus bus;
    uint32_t max_ports;                   /* [const] property */
    bool emergency_write;                 /* [const] property */
    struct serial_port *ports[PORTS_MAX]; /* [lock] */
    struct vq_chain chain;
    GQueue messages; /* [lock] GBytes *, to the driver */
    bool ready;      /* [lock] the driver knows of ports */
};

struct serial_port {
    struct device dev;
    struct virtio_serial *serial;   /* [const] */
    struct chardev *chardev;        /* [const] property; may be NULL */
    char *name;                     /* [const] property */
    uint32_t nr;                    /* [const] property, then chosen */
    bool is_console;                /* [const] */
    bool host_open, guest_open;     /* [lock] */
    uint8_t pending[PENDING_BYTES]; /* [lock] input the driver has no room for yet */
    size_t pending_start, pending_bytes;
};

static const struct bus_class virtio_serial_bus = {
    .name = "virtio-serial-bus",
    .noun = "virtio-serial-bus",
};

static struct virtio_serial *serial_of(struct virtio_device *vdev)
{
    return container_of(vdev, struct virtio_serial, vdev);
}

static unsigned queue_in(uint32_t nr)
{
    return nr ? 2 * nr + 2 : 0;
}

static struct serial_port *port_of_queue(const struct virtio_serial *serial, unsigned queue)
{
    unsigned nr = queue < 2 ? 0 : queue / 2 - 1;
    return serial->ports[nr];
}

/* --- control messages ----------------------------------------------------------------------- */

static void messages_flush(struct virtio_serial *serial)
{
    struct virtqueue *vq = virtio_vq(&serial->vdev, CONTROL_IN);
    while (serial->messages.length && virtio_running(&serial->vdev)
           && virtqueue_pop(vq, &serial->chain)) {
        GBytes *message = g_queue_pop_head(&serial->messages);
        gsize size;
        const void *data = g_bytes_get_data(message, &size);
        virtqueue_push(vq, &serial->chain, dma_list_store(&serial->chain.in, 0, data, size));
        g_bytes_unref(message);
    }
    virtio_publish(&serial->vdev, CONTROL_IN);
}

/* `text`, if any, follows the message. */
static void message_send(struct virtio_serial *serial, uint32_t port, enum serial_event event,
                         uint16_t value, const char *text)
{
    struct serial_message head = { port, event, value };
    if (!virtio_has(&serial->vdev, 1ull << SERIAL_F_MULTIPORT)
        || serial->messages.length >= MESSAGES_MAX)
        return;
    GByteArray *bytes = g_byte_array_new();
    g_byte_array_append(bytes, (const uint8_t *)&head, sizeof(head));
    if (text)
        g_byte_array_append(bytes, (const uint8_t *)text, strlen(text) + 1);
    g_queue_push_tail(&serial->messages, g_byte_array_free_to_bytes(bytes));
    messages_flush(serial);
}

static void port_announce(const struct serial_port *port)
{
    struct virtio_serial *serial = port->serial;
    if (port->is_console)
        message_send(serial, port->nr, SERIAL_CONSOLE_PORT, 1, NULL);
    if (port->name)
        message_send(serial, port->nr, SERIAL_PORT_NAME, 1, port->name);
    if (port->host_open)
        message_send(serial, port->nr, SERIAL_PORT_OPEN, 1, NULL);
}

static void message_received(struct virtio_serial *serial, const struct serial_message *message)
{
    if (message->event == SERIAL_DEVICE_READY) {
        serial->ready = message->value;
        for (unsigned i = 0; message->value && i < serial->max_ports; i++)
            if (serial->ports[i])
                message_send(serial, i, SERIAL_DEVICE_ADD, 1, NULL);
        return;
    }
    struct serial_port *port =
        message->port < serial->max_ports ? serial->ports[message->port] : NULL;
    if (!port)
        return;
    if (message->event == SERIAL_PORT_READY && message->value)
        port_announce(port);
    if (message->event == SERIAL_PORT_OPEN) {
        port->guest_open = message->value;
        if (port->guest_open && port->chardev)
            chardev_accept_input(port->chardev);
    }
}

static void control_kick(struct virtio_serial *serial)
{
    struct virtqueue *vq = virtio_vq(&serial->vdev, CONTROL_OUT);
    struct serial_message message;
    while (virtio_running(&serial->vdev) && virtqueue_pop(vq, &serial->chain)) {
        /* What is longer is of a later version; what is shorter is nothing. */
        bool whole =
            dma_list_load(&serial->chain.out, 0, &message, sizeof(message)) == sizeof(message);
        virtqueue_push(vq, &serial->chain, 0);
        if (whole)
            message_received(serial, &message);
    }
    virtio_publish(&serial->vdev, CONTROL_OUT);
}

/* --- data ----------------------------------------------------------------------------------- */

/* What came from the chardev goes into the driver's buffers as far as there are any. */
static void port_deliver(struct serial_port *port)
{
    struct virtio_serial *serial = port->serial;
    struct virtqueue *vq = virtio_vq(&serial->vdev, queue_in(port->nr));
    while (port->pending_bytes && virtio_running(&serial->vdev)
           && virtqueue_pop(vq, &serial->chain)) {
        size_t taken = dma_list_store(&serial->chain.in, 0, port->pending + port->pending_start,
                                      port->pending_bytes);
        virtqueue_push(vq, &serial->chain, taken);
        port->pending_start += taken;
        port->pending_bytes -= taken;
    }
    virtio_publish(&serial->vdev, queue_in(port->nr));
}

static bool port_listens(const struct serial_port *port)
{
    return port->guest_open || !virtio_has(&port->serial->vdev, 1ull << SERIAL_F_MULTIPORT);
}

static size_t port_room(void *opaque)
{
    struct serial_port *port = opaque;
    struct virtio_device *vdev = &port->serial->vdev;
    virtio_lock(vdev);
    struct virtqueue *vq = virtio_vq(vdev, queue_in(port->nr));
    bool room = !port->pending_bytes && virtio_running(vdev) && port_listens(port)
                && (virtqueue_has_available(vq) || !virtqueue_unsuppress(vq));
    virtio_unlock(vdev);
    return room ? sizeof(port->pending) : 0;
}

static void port_receive(void *opaque, const uint8_t *data, size_t length)
{
    struct serial_port *port = opaque;
    virtio_lock(&port->serial->vdev);
    if (!port->pending_bytes) {
        port->pending_start = 0;
        port->pending_bytes = MIN(length, sizeof(port->pending));
        memcpy(port->pending, data, port->pending_bytes);
        port_deliver(port);
    }
    virtio_unlock(&port->serial->vdev);
}

static void port_event(void *opaque, enum chardev_event event)
{
    struct serial_port *port = opaque;
    if (event != CHARDEV_OPENED && event != CHARDEV_CLOSED)
        return;
    virtio_lock(&port->serial->vdev);
    port->host_open = event == CHARDEV_OPENED;
    message_send(port->serial, port->nr, SERIAL_PORT_OPEN, port->host_open, NULL);
    virtio_unlock(&port->serial->vdev);
}

static const struct chardev_frontend port_frontend = {
    .can_receive = port_room,
    .receive = port_receive,
    .event = port_event,
};

static void port_transmit(struct virtio_serial *serial, unsigned queue)
{
    struct serial_port *port = port_of_queue(serial, queue);
    struct virtqueue *vq = virtio_vq(&serial->vdev, queue);
    unsigned budget = vq->size; /* then others have their turn */
    while (virtio_running(&serial->vdev) && budget && virtqueue_pop(vq, &serial->chain)) {
        budget--;
        const struct dma_list *out = &serial->chain.out;
        for (unsigned i = 0; port && port->chardev && i < out->count; i++)
            chardev_write(port->chardev, out->iov[i].iov_base, out->iov[i].iov_len);
        virtqueue_push(vq, &serial->chain, 0);
    }
    virtio_publish(&serial->vdev, queue);
    if (!budget)
        virtio_kick(&serial->vdev);
}

static void serial_kick(struct virtio_device *vdev, unsigned index)
{
    struct virtio_serial *serial = serial_of(vdev);
    struct serial_port *port = port_of_queue(serial, index);
    if (index == CONTROL_IN) {
        messages_flush(serial);
    } else if (index == CONTROL_OUT) {
        control_kick(serial);
    } else if (index & 1) {
        port_transmit(serial, index);
    } else if (port) {
        port_deliver(port);
        if (!port->pending_bytes && port->chardev)
            chardev_accept_input(port->chardev);
    }
}

/* --- the device ----------------------------------------------------------------------------- */

static void serial_config_written(struct virtio_device *vdev, unsigned offset, unsigned size)
{
    struct virtio_serial *serial = serial_of(vdev);
    const struct serial_config *config = (const struct serial_config *)vdev->config;
    uint8_t byte = config->emergency;
    if (offset == offsetof(struct serial_config, emergency) && serial->ports[0]
        && serial->ports[0]->chardev)
        chardev_write(serial->ports[0]->chardev, &byte, 1);
}

static void serial_reset(struct virtio_device *vdev)
{
    struct virtio_serial *serial = serial_of(vdev);
    g_queue_clear_full(&serial->messages, (GDestroyNotify)g_bytes_unref);
    serial->ready = false;
    for (unsigned i = 0; i < serial->max_ports; i++) {
        if (!serial->ports[i])
            continue;
        serial->ports[i]->guest_open = false;
        serial->ports[i]->pending_bytes = 0;
    }
}

static bool serial_realize(struct virtio_device *vdev, GError **error)
{
    struct virtio_serial *serial = serial_of(vdev);
    struct serial_config *config = (struct serial_config *)vdev->config;

    vq_chain_init(&serial->chain, vdev->dev->vm->memory);
    if (!serial->max_ports || serial->max_ports > PORTS_MAX)
        return fail(error, "maximum ports supported: %u, not %u", PORTS_MAX, serial->max_ports);
    config->ports = serial->max_ports;
    memset(vdev->config_writable + offsetof(struct serial_config, emergency),
           serial->emergency_write ? 0xff : 0, sizeof(config->emergency));
    vdev->config_size =
        serial->emergency_write ? sizeof(*config) : offsetof(struct serial_config, emergency);
    vdev->device_features =
        1ull << SERIAL_F_MULTIPORT | (serial->emergency_write ? 1ull << SERIAL_F_EMERG_WRITE : 0);
    for (unsigned i = 0; i < 2 * serial->max_ports + 2; i++)
        virtio_add_queue(vdev, i == CONTROL_IN || i == CONTROL_OUT ? CONTROL_QUEUE_SIZE
                                                                   : PORT_QUEUE_SIZE);
    bus_init(&serial->bus, &virtio_serial_bus, vdev->dev, NULL);
    return true;
}

static void serial_unrealize(struct virtio_device *vdev)
{
    struct virtio_serial *serial = serial_of(vdev);
    if (serial->bus.class)
        bus_destroy(&serial->bus);
    g_queue_clear_full(&serial->messages, (GDestroyNotify)g_bytes_unref);
    vq_chain_destroy(&serial->chain);
}

static const struct virtio_ops serial_ops = {
    .id = VIRTIO_ID_CONSOLE,
    .class_code = 0x078000, /* communication controller, other */
    .legacy_pci_id = 0x1003,
    .realize = serial_realize,
    .unrealize = serial_unrealize,
    .config_written = serial_config_written,
    .reset = serial_reset,
    .kick = serial_kick,
};

#define SERIAL_PROPERTIES(structure, field) \
    PROPERTY_U32("max_ports", structure, field.max_ports, PORTS_MAX), \
        PROPERTY_BOOL("emergency-write", structure, field.emergency_write, true, \
                      .help = "a register that prints before the queues work"),

VIRTIO_TYPES(virtio_serial, "virtio-serial", struct virtio_serial, SERIAL_PROPERTIES, &serial_ops,
             DEVICE_CATEGORY_INPUT, "serial ports and consoles");

/* --- ports ---------------------------------------------------------------------------------- */

/* Number 0 is for a console: drivers without multiport know no other port. */
static bool port_choose(struct serial_port *port, GError **error)
{
    struct virtio_serial *serial = port->serial;
    if (port->nr == PORT_AUTO && port->is_console && !serial->ports[0])
        port->nr = 0;
    for (unsigned i = 1; port->nr == PORT_AUTO && i < serial->max_ports; i++)
        if (!serial->ports[i])
            port->nr = i;
    if (port->nr == PORT_AUTO)
        return fail(error, "maximum port limit for this device reached");
    if (port->nr >= serial->max_ports)
        return fail(error, "out-of-range port id specified, max. allowed: %u",
                    serial->max_ports - 1);
    if (!port->nr && !port->is_console)
        return fail(error, "port number 0 on virtio-serial devices is reserved for virtconsole "
                           "devices");
    return !serial->ports[port->nr] || fail(error, "a port already exists at id %u", port->nr);
}

static bool name_free(const struct serial_port *port, GError **error)
{
    for (unsigned i = 0; port->name && i < port->serial->max_ports; i++) {
        const struct serial_port *other = port->serial->ports[i];
        if (other && !g_strcmp0(other->name, port->name))
            return fail(error, "a port already exists by name %s", port->name);
    }
    return true;
}

static bool port_realize(struct device *dev, bool is_console, GError **error)
{
    struct serial_port *port = container_of(dev, struct serial_port, dev);
    struct virtio_serial *serial = container_of(dev->bus, struct virtio_serial, bus);
    port->serial = serial;
    port->is_console = is_console;
    if (!port_choose(port, error) || !name_free(port, error))
        return false;
    /* Without a chardev there is nobody who could be away. */
    port->host_open = !port->chardev;
    if (port->chardev && !chardev_attach(port->chardev, &port_frontend, port, error))
        return false;
    virtio_lock(&serial->vdev);
    serial->ports[port->nr] = port;
    if (serial->ready)
        message_send(serial, port->nr, SERIAL_DEVICE_ADD, 1, NULL);
    virtio_unlock(&serial->vdev);
    return true;
}

static bool console_realize(struct device *dev, GError **error)
{
    return port_realize(dev, true, error);
}

static bool stream_realize(struct device *dev, GError **error)
{
    return port_realize(dev, false, error);
}

static void port_unrealize(struct device *dev)
{
    struct serial_port *port = container_of(dev, struct serial_port, dev);
    struct virtio_serial *serial = port->serial;
    if (port->chardev)
        chardev_detach(port->chardev);
    virtio_lock(&serial->vdev);
    serial->ports[port->nr] = NULL;
    message_send(serial, port->nr, SERIAL_DEVICE_REMOVE, 1, NULL);
    virtio_unlock(&serial->vdev);
}

static const struct property port_properties[] = {
    PROPERTY_CHARDEV("chardev", struct serial_port, chardev),
    PROPERTY_STRING("name", struct serial_port, name,
                    .help = "by which the guest finds it: /dev/virtio-ports/NAME"),
    PROPERTY_U32("nr", struct serial_port, nr, PORT_AUTO, .help = "its number"),
    {},
};

DEVICE_TYPE(virtconsole) = {
    .name = "virtconsole",
    .description = "a console of the guest",
    .category = DEVICE_CATEGORY_INPUT,
    .bus = &virtio_serial_bus,
    .size = sizeof(struct serial_port),
    .properties = port_properties,
    .realize = console_realize,
    .unrealize = port_unrealize,
};

DEVICE_TYPE(virtserialport) = {
    .name = "virtserialport",
    .description = "a stream between host and guest",
    .category = DEVICE_CATEGORY_INPUT,
    .bus = &virtio_serial_bus,
    .size = sizeof(struct serial_port),
    .properties = port_properties,
    .realize = stream_realize,
    .unrealize = port_unrealize,
};
