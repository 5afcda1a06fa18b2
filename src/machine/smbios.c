/* SPDX-License-Identifier: GPL-2.0-or-later */
/* SMBIOS 2.8 tables and their entry point. (System Management BIOS Reference Specification 2.8,
 * DSP0134; sections are given by structure type, 7.x) Handles and default words are those of QEMU's
 * machines, by which guests know that they are virtual. */
#include "machine/smbios.h"

#include <stdio.h>
#include <string.h>

#include "hw/misc/fw_cfg.h"
#include "util/keyval.h"
#include "vm/vm.h"

#define STRUCTURE_MAX 64u
#define DIMM_MIB (16u << 10)
#define TEXT_MAX 1024u
#define HANDLE_CHASSIS 0x300u
#define HANDLE_MEMORY 0x1000u
#define NO_HANDLE 0xffffu
#define NO_ERROR_HANDLE 0xfffeu

/* Which options each type has, for messages; types without a row have none. */
static const struct {
    unsigned type;
    const char *names[12];
} type_options[] = {
    { 0, { "type", "vendor", "version", "date", "release", "uefi", NULL } },
    { 1,
      { "type", "manufacturer", "product", "version", "serial", "uuid", "sku", "family", NULL } },
    { 2, { "type", "manufacturer", "product", "version", "serial", "asset", "location", NULL } },
    { 3, { "type", "manufacturer", "version", "serial", "asset", "sku", NULL } },
    { 4,
      { "type", "sock_pfx", "manufacturer", "version", "serial", "asset", "part", "max-speed",
        "current-speed", "processor-id", NULL } },
    { 11, { "type", "value", "path", NULL } },
    { 17, { "type", "loc_pfx", "bank", "manufacturer", "serial", "asset", "part", "speed", NULL } },
};

/* Tables while they are made. */
struct smbios {
    struct vm *vm;
    GPtrArray *given; /* struct keyval *, one per -smbios */
    GByteArray *bytes;
    unsigned count, largest;
    /* the structure at hand */
    uint8_t data[STRUCTURE_MAX];
    GByteArray *texts;
    unsigned text_count;
    guint start;
};

/* --- what was given -------------------------------------------------------------------------- */

static unsigned given_type(struct keyval *options)
{
    uint64_t type = UINT32_MAX;
    keyval_take_unsigned(options, "type", UINT8_MAX, &type, NULL);
    return type;
}

/* The last value for an option of a type, or `otherwise`. */
static const char *given(const struct smbios *smbios, unsigned type, const char *name,
                         const char *otherwise)
{
    for (guint i = 0; i < smbios->given->len; i++) {
        struct keyval *options = smbios->given->pdata[i];
        const char *value = given_type(options) == type ? keyval_take(options, name) : NULL;
        if (value)
            otherwise = value;
    }
    return otherwise;
}

static bool is_given(const struct smbios *smbios, unsigned type)
{
    for (guint i = 0; i < smbios->given->len; i++)
        if (given_type(smbios->given->pdata[i]) == type)
            return true;
    return false;
}

static uint64_t given_number(const struct smbios *smbios, unsigned type, const char *name,
                             uint64_t otherwise)
{
    const char *text = given(smbios, type, name, NULL);
    uint64_t value = otherwise;
    if (text)
        parse_unsigned(name, text, UINT64_MAX, &value, NULL);
    return value;
}

/* Names and values that can be wrong. */
static bool given_check(struct keyval *options, GError **error)
{
    static const char *const numbers[] = { "max-speed", "current-speed", "speed" };
    uint64_t type, ignored;
    bool flag;
    if (!keyval_take(options, "type"))
        return fail(error, "type= is missing");
    if (!keyval_take_unsigned(options, "type", UINT8_MAX, &type, error))
        return false;
    size_t row = 0;
    while (row < G_N_ELEMENTS(type_options) && type_options[row].type != type)
        row++;
    if (row == G_N_ELEMENTS(type_options))
        return fail(error,
                    "structures of type %" G_GUINT64_FORMAT " cannot be given; types 0, 1, "
                    "2, 3, 4, 11 and 17 can",
                    type);
    for (const char *const *name = type_options[row].names; *name; name++)
        keyval_take(options, *name);
    for (size_t i = 0; i < G_N_ELEMENTS(numbers); i++)
        if (!keyval_take_unsigned(options, numbers[i], UINT16_MAX, &ignored, error))
            return false;
    const char *uuid = type == 1 ? keyval_take(options, "uuid") : NULL;
    const char *release = type == 0 ? keyval_take(options, "release") : NULL;
    unsigned major, minor;
    if (uuid && !g_uuid_string_is_valid(uuid))
        return fail(error, "uuid=%s: a UUID looks like 8-4-4-4-12 hexadecimal digits", uuid);
    if (release && (sscanf(release, "%u.%u", &major, &minor) != 2 || major > 255 || minor > 255))
        return fail(error, "release=%s: it looks like 1.2, both at most 255", release);
    return keyval_take_bool(options, "uefi", &flag, error)
           && keyval_take_unsigned(options, "processor-id", UINT64_MAX, &ignored, error)
           && keyval_finish(options, type_options[row].names, error);
}

static void given_free(void *options)
{
    keyval_free(options);
}

static GPtrArray *given_parse(const struct vm *vm, GError **error)
{
    g_autoptr(GPtrArray) all = g_ptr_array_new_with_free_func(given_free);
    for (guint i = 0; i < vm->config->smbios_texts->len; i++) {
        const char *text = vm->config->smbios_texts->pdata[i];
        struct keyval *options = keyval_parse(text, NULL, error);
        if (options)
            g_ptr_array_add(all, options);
        if (!options || !given_check(options, error)) {
            fail_prefix(error, "-smbios %s: ", text);
            return NULL;
        }
    }
    return g_steal_pointer(&all);
}

/* --- structures ------------------------------------------------------------------------------ */

static void put(struct smbios *smbios, unsigned offset, uint64_t value, unsigned size)
{
    for (unsigned i = 0; i < size; i++)
        smbios->data[offset + i] = value >> (8 * i);
}

/* The number of a text, 0 for none. Texts follow the structure, each ended by a zero. */
static void put_text(struct smbios *smbios, unsigned offset, const char *text)
{
    if (!text || !*text || smbios->text_count == UINT8_MAX)
        return;
    g_byte_array_append(smbios->texts, (const uint8_t *)text, strnlen(text, TEXT_MAX));
    g_byte_array_append(smbios->texts, (const uint8_t *)"", 1);
    smbios->data[offset] = ++smbios->text_count;
}

static void put_given(struct smbios *smbios, unsigned offset, unsigned type, const char *name,
                      const char *otherwise)
{
    put_text(smbios, offset, given(smbios, type, name, otherwise));
}

static void begin(struct smbios *smbios, uint8_t type, uint8_t size, uint16_t handle)
{
    assert(size <= STRUCTURE_MAX);
    memset(smbios->data, 0, sizeof(smbios->data));
    g_byte_array_set_size(smbios->texts, 0);
    smbios->text_count = 0;
    smbios->start = smbios->bytes->len;
    put(smbios, 0, type, 1);
    put(smbios, 1, size, 1);
    put(smbios, 2, handle, 2);
}

static void end(struct smbios *smbios)
{
    static const uint8_t zeros[2];
    g_byte_array_append(smbios->bytes, smbios->data, smbios->data[1]);
    g_byte_array_append(smbios->bytes, smbios->texts->data, smbios->texts->len);
    g_byte_array_append(smbios->bytes, zeros, smbios->text_count ? 1 : 2);
    smbios->largest = MAX(smbios->largest, smbios->bytes->len - smbios->start);
    smbios->count++;
}

/* 7.1: only if it was given; firmware describes itself. */
static void bios_add(struct smbios *smbios)
{
    enum { CHARACTERISTICS_UNKNOWN = 0x08, VIRTUAL = 0x10, DISTRIBUTABLE = 0x04, UEFI = 0x08 };
    unsigned major = 0, minor = 0;
    bool uefi = false;
    const char *text = given(smbios, 0, "uefi", NULL);
    if (!is_given(smbios, 0))
        return;
    if (text)
        parse_bool("uefi", text, &uefi, NULL);
    sscanf(given(smbios, 0, "release", "0.0"), "%u.%u", &major, &minor);
    begin(smbios, 0, 0x18, 0);
    put_given(smbios, 0x04, 0, "vendor", NULL);
    put_given(smbios, 0x05, 0, "version", NULL);
    put(smbios, 0x06, 0xe800, 2);
    put_given(smbios, 0x08, 0, "date", NULL);
    put(smbios, 0x0a, CHARACTERISTICS_UNKNOWN, 8);
    put(smbios, 0x13, VIRTUAL | DISTRIBUTABLE | (uefi ? UEFI : 0), 1);
    put(smbios, 0x14, major, 1);
    put(smbios, 0x15, minor, 1);
    put(smbios, 0x16, 0xffff, 2);
    end(smbios);
}

/* The first three groups of digits are little endian numbers. (7.2.1) */
static void put_uuid(struct smbios *smbios, unsigned offset, const char *text)
{
    static const uint8_t digits[16] = { 6, 4, 2, 0, 11, 9, 16, 14, 19, 21, 24, 26, 28, 30, 32, 34 };
    for (unsigned i = 0; text && i < 16; i++)
        smbios->data[offset + i] =
            g_ascii_xdigit_value(text[digits[i]]) << 4 | g_ascii_xdigit_value(text[digits[i] + 1]);
}

static const char *product_of(const struct vm *vm)
{
    const char *machine = vm->config->machine;
    if (strstr(machine, "q35"))
        return "Standard PC (Q35 + ICH9, 2009)";
    return strstr(machine, "microvm") ? "microvm" : "Standard PC (i440FX + PIIX, 1996)";
}

static const char *version_of(const struct vm *vm)
{
    const char *machine = vm->config->machine;
    return !strcmp(machine, "pc")    ? "pc-i440fx-7.2"
           : !strcmp(machine, "q35") ? "pc-q35-7.2"
                                     : machine;
}

static void system_add(struct smbios *smbios) /* 7.2 */
{
    enum { WAKE_UP_POWER_SWITCH = 6 };
    begin(smbios, 1, 0x1b, 0x100);
    put_given(smbios, 0x04, 1, "manufacturer", "QEMU");
    put_given(smbios, 0x05, 1, "product", product_of(smbios->vm));
    put_given(smbios, 0x06, 1, "version", version_of(smbios->vm));
    put_given(smbios, 0x07, 1, "serial", NULL);
    put_uuid(smbios, 0x08, given(smbios, 1, "uuid", smbios->vm->config->uuid));
    put(smbios, 0x18, WAKE_UP_POWER_SWITCH, 1);
    put_given(smbios, 0x19, 1, "sku", NULL);
    put_given(smbios, 0x1a, 1, "family", NULL);
    end(smbios);
}

static void board_add(struct smbios *smbios) /* 7.3 */
{
    enum { HOSTING = 1, MOTHERBOARD = 0x0a };
    if (!is_given(smbios, 2))
        return;
    begin(smbios, 2, 0x0f, 0x200);
    put_given(smbios, 0x04, 2, "manufacturer", "QEMU");
    put_given(smbios, 0x05, 2, "product", product_of(smbios->vm));
    put_given(smbios, 0x06, 2, "version", version_of(smbios->vm));
    put_given(smbios, 0x07, 2, "serial", NULL);
    put_given(smbios, 0x08, 2, "asset", NULL);
    put(smbios, 0x09, HOSTING, 1);
    put_given(smbios, 0x0a, 2, "location", NULL);
    put(smbios, 0x0b, HANDLE_CHASSIS, 2);
    put(smbios, 0x0d, MOTHERBOARD, 1);
    end(smbios);
}

static void chassis_add(struct smbios *smbios) /* 7.4 */
{
    enum { OTHER = 1, SAFE = 3, SECURITY_UNKNOWN = 2 };
    begin(smbios, 3, 0x16, HANDLE_CHASSIS);
    put_given(smbios, 0x04, 3, "manufacturer", "QEMU");
    put(smbios, 0x05, OTHER, 1);
    put_given(smbios, 0x06, 3, "version", version_of(smbios->vm));
    put_given(smbios, 0x07, 3, "serial", NULL);
    put_given(smbios, 0x08, 3, "asset", NULL);
    put(smbios, 0x09, SAFE, 1);
    put(smbios, 0x0a, SAFE, 1);
    put(smbios, 0x0b, SAFE, 1);
    put(smbios, 0x0c, SECURITY_UNKNOWN, 1);
    put_given(smbios, 0x15, 3, "sku", NULL);
    end(smbios);
}

static void processor_add(struct smbios *smbios) /* 7.5 */
{
    enum { CENTRAL = 3, FAMILY_OTHER = 1, POPULATED_ENABLED = 0x41, UPGRADE_OTHER = 1 };
    enum { SPEED_MHZ = 2000, UNKNOWN = 2 };
    unsigned cores = smbios->vm->config->cpus;
    g_autofree char *socket = g_strdup_printf("%s %u", given(smbios, 4, "sock_pfx", "CPU"), 0);
    begin(smbios, 4, 0x2a, 0x400);
    put_text(smbios, 0x04, socket);
    put(smbios, 0x05, CENTRAL, 1);
    put(smbios, 0x06, FAMILY_OTHER, 1);
    put_given(smbios, 0x07, 4, "manufacturer", "QEMU");
    put(smbios, 0x08, given_number(smbios, 4, "processor-id", 0), 8);
    put_given(smbios, 0x10, 4, "version", version_of(smbios->vm));
    put(smbios, 0x14, given_number(smbios, 4, "max-speed", SPEED_MHZ), 2);
    put(smbios, 0x16, given_number(smbios, 4, "current-speed", SPEED_MHZ), 2);
    put(smbios, 0x18, POPULATED_ENABLED, 1);
    put(smbios, 0x19, UPGRADE_OTHER, 1);
    for (unsigned cache = 0; cache < 3; cache++)
        put(smbios, 0x1a + 2 * cache, NO_HANDLE, 2);
    put_given(smbios, 0x20, 4, "serial", NULL);
    put_given(smbios, 0x21, 4, "asset", NULL);
    put_given(smbios, 0x22, 4, "part", NULL);
    for (unsigned i = 0; i < 3; i++) /* cores, enabled ones, threads */
        put(smbios, 0x23 + i, MIN(cores, 255), 1);
    put(smbios, 0x26, UNKNOWN, 2);
    put(smbios, 0x28, FAMILY_OTHER, 2);
    end(smbios);
}

/* 7.12: every value= and the contents of every path=, in their order. */
static void oem_texts_add(struct smbios *smbios)
{
    if (!is_given(smbios, 11))
        return;
    begin(smbios, 11, 0x05, 0xe00);
    for (guint i = 0; i < smbios->given->len; i++) {
        struct keyval *options = smbios->given->pdata[i];
        for (size_t n = 0; given_type(options) == 11 && n < options->count; n++) {
            g_autofree char *content = NULL;
            const struct keyval_item *item = &options->items[n];
            if (!strcmp(item->name, "value"))
                put_text(smbios, 4, item->value); /* the count is the last one's number */
            else if (!strcmp(item->name, "path")
                     && g_file_get_contents(item->value, &content, NULL, NULL))
                put_text(smbios, 4, content);
        }
    }
    end(smbios);
}

static void memory_array_add(struct smbios *smbios, unsigned dimms) /* 7.17 */
{
    enum { BOARD = 1, SYSTEM_MEMORY = 3, MULTI_BIT_ECC = 6, EXTENDED = 0x80000000u };
    uint64_t bytes = smbios->vm->ram.size;
    begin(smbios, 16, 0x17, HANDLE_MEMORY);
    put(smbios, 0x04, BOARD, 1);
    put(smbios, 0x05, SYSTEM_MEMORY, 1);
    put(smbios, 0x06, MULTI_BIT_ECC, 1);
    put(smbios, 0x07, bytes >> 10 < EXTENDED ? bytes >> 10 : EXTENDED, 4);
    put(smbios, 0x0b, NO_ERROR_HANDLE, 2);
    put(smbios, 0x0d, dimms, 2);
    put(smbios, 0x0f, bytes >> 10 < EXTENDED ? 0 : bytes, 8);
    end(smbios);
}

static void dimm_add(struct smbios *smbios, unsigned index, uint64_t mib) /* 7.18 */
{
    enum { FORM_DIMM = 9, TYPE_RAM = 7, DETAIL_OTHER = 2, EXTENDED = 0x7fff };
    g_autofree char *place = g_strdup_printf("%s %u", given(smbios, 17, "loc_pfx", "DIMM"), index);
    begin(smbios, 17, 0x28, 0x1100 + index);
    put(smbios, 0x04, HANDLE_MEMORY, 2);
    put(smbios, 0x06, NO_ERROR_HANDLE, 2);
    put(smbios, 0x08, 0xffff, 2);
    put(smbios, 0x0a, 0xffff, 2);
    put(smbios, 0x0c, MIN(mib, EXTENDED), 2);
    put(smbios, 0x0e, FORM_DIMM, 1);
    put_text(smbios, 0x10, place);
    put_given(smbios, 0x11, 17, "bank", NULL);
    put(smbios, 0x12, TYPE_RAM, 1);
    put(smbios, 0x13, DETAIL_OTHER, 2);
    put(smbios, 0x15, given_number(smbios, 17, "speed", 0), 2);
    put_given(smbios, 0x17, 17, "manufacturer", "QEMU");
    put_given(smbios, 0x18, 17, "serial", NULL);
    put_given(smbios, 0x19, 17, "asset", NULL);
    put_given(smbios, 0x1a, 17, "part", NULL);
    put(smbios, 0x1c, mib >= EXTENDED ? mib : 0, 4);
    put(smbios, 0x20, given_number(smbios, 17, "speed", 0), 2);
    end(smbios);
}

/* 7.20; addresses of 4 TiB and more would need the extended fields, which are used always. */
static void mapping_add(struct smbios *smbios, unsigned index, uint64_t base, uint64_t size)
{
    if (!size)
        return;
    begin(smbios, 19, 0x1f, 0x1300 + index);
    put(smbios, 0x04, base >> 10, 4);
    put(smbios, 0x08, ((base + size) >> 10) - 1, 4);
    put(smbios, 0x0c, HANDLE_MEMORY, 2);
    put(smbios, 0x0e, 1, 1);
    end(smbios);
}

static void memory_add(struct smbios *smbios)
{
    const struct guest_ram *ram = &smbios->vm->ram;
    uint64_t mib = ram->size >> 20;
    unsigned dimms = (mib + DIMM_MIB - 1) / DIMM_MIB;
    memory_array_add(smbios, dimms);
    for (unsigned i = 0; i < dimms; i++)
        dimm_add(smbios, i, MIN(mib - (uint64_t)i * DIMM_MIB, DIMM_MIB));
    mapping_add(smbios, 0, 0, ram->below_4g_size);
    mapping_add(smbios, 1, 1ull << 32, ram->size - ram->below_4g_size);
}

static void tables_add(struct smbios *smbios)
{
    bios_add(smbios);
    system_add(smbios);
    board_add(smbios);
    chassis_add(smbios);
    processor_add(smbios);
    oem_texts_add(smbios);
    memory_add(smbios);
    begin(smbios, 32, 0x0b, 0x2000); /* 7.33: no errors */
    end(smbios);
    begin(smbios, 127, 0x04, 0x7f00);
    end(smbios);
}

/* --- entry point ----------------------------------------------------------------------------- */

struct entry_point { /* 5.2.1 */
    char anchor[4];
    uint8_t checksum, length, major, minor;
    uint16_t largest;
    uint8_t revision, formatted[5];
    char dmi_anchor[5];
    uint8_t dmi_checksum;
    uint16_t table_bytes;
    uint32_t table;
    uint16_t count;
    uint8_t bcd_revision;
} __attribute__((packed));
static_assert(sizeof(struct entry_point) == 0x1f, "fixed by the specification");

static uint8_t checksum(const void *data, size_t size)
{
    uint8_t sum = 0;
    for (size_t i = 0; i < size; i++)
        sum += ((const uint8_t *)data)[i];
    return -sum;
}

static struct entry_point entry_point_make(const struct smbios *smbios, uint32_t table)
{
    struct entry_point entry = {
        .length = sizeof(entry),
        .major = 2,
        .minor = 8,
        .largest = smbios->largest,
        .table_bytes = smbios->bytes->len,
        .table = table,
        .count = smbios->count,
        .bcd_revision = 0x28,
    };
    size_t dmi = offsetof(struct entry_point, dmi_anchor);
    memcpy(entry.anchor, "_SM_", 4);
    memcpy(entry.dmi_anchor, "_DMI_", 5);
    entry.dmi_checksum = checksum((uint8_t *)&entry + dmi, sizeof(entry) - dmi);
    entry.checksum = checksum(&entry, sizeof(entry));
    return entry;
}

static bool smbios_make(struct vm *vm, struct smbios *smbios, GError **error)
{
    *smbios = (struct smbios){ .vm = vm, .given = given_parse(vm, error) };
    if (!smbios->given)
        return false;
    smbios->bytes = g_byte_array_new();
    smbios->texts = g_byte_array_new();
    tables_add(smbios);
    if (smbios->bytes->len <= UINT16_MAX)
        return true;
    return fail(error, "-smbios: the tables have %u bytes; at most %u are possible",
                smbios->bytes->len, UINT16_MAX);
}

static void smbios_end(struct smbios *smbios)
{
    if (!smbios->given)
        return;
    g_ptr_array_unref(smbios->given);
    g_byte_array_unref(smbios->bytes);
    g_byte_array_unref(smbios->texts);
}

bool smbios_describe(struct vm *vm, struct fw_cfg *cfg, GError **error)
{
    struct smbios smbios;
    bool good = smbios_make(vm, &smbios, error);
    if (good) {
        struct entry_point entry = entry_point_make(&smbios, 0); /* firmware chooses the place */
        fw_cfg_add_file(cfg, "etc/smbios/smbios-anchor", g_bytes_new(&entry, sizeof(entry)));
        fw_cfg_add_file(cfg, "etc/smbios/smbios-tables",
                        g_bytes_new(smbios.bytes->data, smbios.bytes->len));
    }
    smbios_end(&smbios);
    return good;
}

void smbios_load(struct vm *vm, const struct boot *boot)
{
    enum { TABLE_OFFSET = 0x20 };
    struct smbios smbios;
    uint8_t *host = boot_ram(boot, BOOT_SMBIOS, BOOT_SMBIOS_SIZE);
    if (host && smbios_make(vm, &smbios, NULL)) {
        if (smbios.bytes->len <= BOOT_SMBIOS_SIZE - TABLE_OFFSET) {
            struct entry_point entry = entry_point_make(&smbios, BOOT_SMBIOS + TABLE_OFFSET);
            memcpy(host, &entry, sizeof(entry));
            memcpy(host + TABLE_OFFSET, smbios.bytes->data, smbios.bytes->len);
        }
        smbios_end(&smbios);
    }
}
