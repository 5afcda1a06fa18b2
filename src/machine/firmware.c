/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The items and files of fw_cfg, whose names and layouts are those QEMU gives to SeaBIOS and OVMF,
 * and the bytes of CMOS memory that SeaBIOS still reads. */
#include "machine/firmware.h"

#include <string.h>

#include "hw/board.h"
#include "hw/misc/fw_cfg.h"
#include "machine/acpi.h"
#include "machine/boot_order.h"
#include "machine/smbios.h"
#include "util/keyval.h"
#include "vm/vm.h"

#define FOUR_GIB (1ull << 32)
/* Pages that KVM on Intel's processors needs where the guest has nothing. */
#define KVM_PAGES 0xfeffc000u
#define KVM_PAGES_BYTES 0x4000u

struct e820_entry {
    uint64_t base, size;
    uint32_t type;
} __attribute__((packed));
static_assert(sizeof(struct e820_entry) == 20, "fixed by the BIOS interface");
enum e820_type { E820_RAM = 1, E820_RESERVED = 2 };

/* --- the machine ----------------------------------------------------------------------------- */

static void describe_memory(struct vm *vm, struct fw_cfg *cfg)
{
    const struct guest_ram *ram = &vm->ram;
    const struct e820_entry entries[] = {
        { KVM_PAGES, KVM_PAGES_BYTES, E820_RESERVED },
        { 0, ram->below_4g_size, E820_RAM },
        { FOUR_GIB, ram->size - ram->below_4g_size, E820_RAM },
    };
    size_t count = ram->size > ram->below_4g_size ? 3 : 2;
    fw_cfg_set_number(cfg, FW_CFG_RAM_SIZE, ram->size, 8);
    fw_cfg_add_file(cfg, "etc/e820", g_bytes_new(entries, count * sizeof(entries[0])));
}

/* Node count, then each CPU's node and each node's bytes: there is one node with everything. */
static void describe_nodes(struct vm *vm, struct fw_cfg *cfg)
{
    size_t count = 1 + vm->config->cpus;
    fw_cfg_set(cfg, FW_CFG_NUMA, g_bytes_new_take(g_new0(uint64_t, count), count * 8));
}

static void describe_identity(struct vm *vm, struct fw_cfg *cfg)
{
    uint8_t bytes[16] = { 0 };
    unsigned n = 0;
    for (const char *p = vm->config->uuid ? vm->config->uuid : ""; *p && n < sizeof(bytes);) {
        if (*p == '-') {
            p++;
            continue;
        }
        bytes[n++] = g_ascii_xdigit_value(p[0]) << 4 | g_ascii_xdigit_value(p[1]);
        p += 2;
    }
    fw_cfg_set(cfg, FW_CFG_UUID, g_bytes_new(bytes, sizeof(bytes)));
}

/* Which sleep states there are, S0 to S5: bit 7 says so, the rest is the SLP_TYP value. */
static void describe_sleep(struct fw_cfg *cfg)
{
    const uint8_t there = 0x80;
    const uint8_t states[] = { there, 0, 0, 0, 0, there | FIRMWARE_SLEEP_S5 };
    fw_cfg_add_file(cfg, "etc/system-states", g_bytes_new(states, sizeof(states)));
}

static void describe_machine(struct vm *vm, struct fw_cfg *cfg)
{
    const struct vm_config *config = vm->config;
    fw_cfg_set_number(cfg, FW_CFG_NB_CPUS, config->cpus, 2);
    /* one more than the largest APIC id */
    fw_cfg_set_number(cfg, FW_CFG_MAX_CPUS, vm_apic_id(vm, config->cpus - 1) + 1, 2);
    fw_cfg_add_number(cfg, "etc/max-cpus", config->cpus, 2);
    fw_cfg_set_number(cfg, FW_CFG_NOGRAPHIC, config->no_graphics, 2);
    fw_cfg_set_number(cfg, FW_CFG_IRQ0_OVERRIDE, 1, 4); /* interrupt 0 is I/O APIC pin 2 */
    describe_memory(vm, cfg);
    describe_nodes(vm, cfg);
    describe_identity(vm, cfg);
    describe_sleep(cfg);
    /* SeaBIOS shows its text screen on this port as well. */
    if (config->no_graphics && config->serial[0])
        fw_cfg_add_number(cfg, "etc/sercon-port", 0x3f8, 2);
}

/* --- the user's files ------------------------------------------------------------------------ */

static GBytes *file_load(const char *path, GError **error)
{
    char *contents;
    gsize size;
    if (!g_file_get_contents(path, &contents, &size, error))
        return NULL;
    return g_bytes_new_take(contents, size);
}

static bool user_file_add(struct fw_cfg *cfg, const char *text, GError **error)
{
    static const char *const names[] = { "name", "file", "string", NULL };
    auto_keyval *options = keyval_parse(text, "name", error);
    if (!options)
        return false;
    const char *name = keyval_take(options, "name"), *path = keyval_take(options, "file");
    const char *string = keyval_take(options, "string");
    if (!keyval_finish(options, names, error))
        return false;
    if (!name)
        return fail(error, "name= is missing");
    if (!path == !string)
        return fail(error, "%s",
                    path ? "give either file= or string=, not both"
                         : "file= or string= is missing");
    if (!fw_cfg_file_name_valid(cfg, name, error))
        return false;
    if (!g_str_has_prefix(name, "opt/"))
        warn("-fw_cfg: externally provided fw_cfg item names should be prefixed with \"opt/\"");
    GBytes *data = path ? file_load(path, error) : g_bytes_new(string, strlen(string));
    if (data)
        fw_cfg_add_file(cfg, name, data);
    return data;
}

static bool user_files_add(struct vm *vm, struct fw_cfg *cfg, GError **error)
{
    const GPtrArray *texts = vm->config->fw_cfg_texts;
    for (guint i = 0; texts && i < texts->len; i++)
        if (!user_file_add(cfg, texts->pdata[i], error))
            return fail_prefix(error, "-fw_cfg %s: ", (const char *)texts->pdata[i]);
    return true;
}

/* --- what to boot from ----------------------------------------------------------------------- */

/* A picture is told by its first bytes; SeaBIOS asks for it by the name of its kind. */
static bool splash_add(struct fw_cfg *cfg, const char *path, GError **error)
{
    GBytes *data = file_load(path, error);
    if (!data)
        return fail_prefix(error, "-boot splash=: ");
    gsize size;
    const uint8_t *bytes = g_bytes_get_data(data, &size);
    if (size > 54 && bytes[0] == 'B' && bytes[1] == 'M' && bytes[28] == 24) {
        fw_cfg_add_file(cfg, "bootsplash.bmp", data);
    } else if (size > 2 && bytes[0] == 0xff && bytes[1] == 0xd8) {
        fw_cfg_add_file(cfg, "bootsplash.jpg", data);
    } else {
        g_bytes_unref(data);
        return fail(error, "-boot splash=: '%s' is neither a JPEG nor a BMP picture of 24 bits",
                    path);
    }
    return true;
}

static bool describe_boot(struct vm *vm, struct fw_cfg *cfg, GError **error)
{
    const struct boot_config *boot = &vm->config->boot;
    g_autoptr(GError) reason = NULL;
    GBytes *order = boot_order_make(vm, boot->strict, &reason);
    if (reason)
        return fail(error, "%s", reason->message);
    if (order)
        fw_cfg_add_file(cfg, "bootorder", order);
    fw_cfg_set_number(cfg, FW_CFG_BOOT_MENU, boot->menu, 2);
    if (boot->splash_time_ms >= 0)
        fw_cfg_add_number(cfg, "etc/boot-menu-wait", boot->splash_time_ms, 2);
    if (boot->reboot_timeout_ms != BOOT_REBOOT_DEFAULT)
        fw_cfg_add_number(cfg, "etc/boot-fail-wait", (uint32_t)boot->reboot_timeout_ms, 4);
    return !boot->splash || splash_add(cfg, boot->splash, error);
}

/* SeaBIOS's number of a kind of drive; 0 ends the list. */
static uint8_t cmos_boot_code(char letter)
{
    switch (letter) {
    case 'a':
    case 'b':
        return 1;
    case 'c':
        return 2;
    case 'd':
        return 3;
    case 'n':
        return 4;
    default:
        return 0;
    }
}

static void cmos_set_boot_order(struct vm *vm, const char *order)
{
    enum { CMOS_ORDER_3_FLAGS = 0x38, CMOS_ORDER_1_2 = 0x3d };
    uint8_t codes[3] = { 0 };
    for (unsigned i = 0; i < 3 && order[i]; i++)
        codes[i] = cmos_boot_code(order[i]);
    rtc_set_cmos(vm, CMOS_ORDER_1_2, codes[1] << 4 | codes[0]);
    rtc_set_cmos(vm, CMOS_ORDER_3_FLAGS, codes[2] << 4);
}

void firmware_reset(struct vm *vm)
{
    struct boot_config *boot = &vm->config->boot;
    cmos_set_boot_order(vm, boot->once ? boot->once : boot->order ? boot->order : "cad");
    g_clear_pointer(&boot->once, g_free);
    acpi_describe_reset(vm);
}

bool firmware_describe(struct vm *vm, GError **error)
{
    struct fw_cfg *cfg = fw_cfg_find(vm);
    if (!cfg)
        return !vm->config->fw_cfg_texts || !vm->config->fw_cfg_texts->len
               || fail(error, "-fw_cfg: this board has no fw_cfg device");
    describe_machine(vm, cfg);
    if (!smbios_describe(vm, cfg, error))
        return false;
    if (vm->config->acpi)
        acpi_describe(vm, cfg);
    return describe_boot(vm, cfg, error) && user_files_add(vm, cfg, error);
}
