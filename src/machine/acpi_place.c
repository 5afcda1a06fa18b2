/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How the tables get to the guest.
 *
 * Without firmware they are written to their place: the root pointer at the very start of the area
 * that kernels search, the tables behind it.
 *
 * Firmware reads them from fw_cfg, chooses their places itself, and then executes the commands of
 * etc/table-loader: allocate the memory of a file, add a file's address to a pointer, compute a
 * checksum. (The format is QEMU's; SeaBIOS and OVMF implement it.) */
#include <endian.h>
#include <string.h>

#include "hw/misc/fw_cfg.h"
#include "machine/acpi.h"
#include "machine/acpi_layout.h"
#include "vm/vm.h"

#define FILE_TABLES "etc/acpi/tables"
#define FILE_RSDP "etc/acpi/rsdp"
#define FILE_LOADER "etc/table-loader"

static uint8_t checksum(const uint8_t *bytes, size_t size)
{
    uint8_t sum = 0;
    for (size_t i = 0; i < size; i++)
        sum += bytes[i];
    return -sum;
}

static struct acpi_rsdp rsdp_make(const struct acpi_tables *tables)
{
    struct acpi_rsdp rsdp = {
        .revision = 2,
        .length = sizeof(rsdp),
        .rsdt = tables->rsdt,
        .xsdt = tables->xsdt,
    };
    memcpy(rsdp.signature, "RSD PTR ", 8);
    memcpy(rsdp.oem_id, "YADO  ", 6);
    return rsdp;
}

/* --- without firmware ------------------------------------------------------------------------ */

static void tables_relocate(const struct acpi_tables *tables, uint32_t base)
{
    uint8_t *bytes = tables->bytes->data;
    for (guint i = 0; i < tables->pointers->len; i++) {
        struct acpi_pointer pointer = g_array_index(tables->pointers, struct acpi_pointer, i);
        uint64_t value = 0;
        memcpy(&value, bytes + pointer.offset, pointer.size);
        value += base;
        memcpy(bytes + pointer.offset, &value, pointer.size);
    }
    for (guint i = 0; i < tables->sums->len; i++) {
        struct acpi_sum sum = g_array_index(tables->sums, struct acpi_sum, i);
        bytes[sum.offset] = checksum(bytes + sum.start, sum.length);
    }
}

bool acpi_load(struct vm *vm, const struct boot *boot, uint64_t *rsdp_address, GError **error)
{
    enum { TABLES_OFFSET = 64 };
    struct acpi_tables tables;
    acpi_tables_build(vm, &tables);
    uint32_t base = BOOT_TABLES + TABLES_OFFSET, size = tables.bytes->len;
    uint8_t *host = boot_ram(boot, BOOT_TABLES, TABLES_OFFSET + size);
    bool fits = host && size <= BOOT_SMBIOS - base;
    if (fits) {
        struct acpi_rsdp rsdp = rsdp_make(&tables);
        rsdp.rsdt += base;
        rsdp.xsdt += base;
        rsdp.checksum = checksum((uint8_t *)&rsdp, offsetof(struct acpi_rsdp, length));
        rsdp.extended_checksum = checksum((uint8_t *)&rsdp, sizeof(rsdp));
        tables_relocate(&tables, base);
        memcpy(host, &rsdp, sizeof(rsdp));
        memcpy(host + TABLES_OFFSET, tables.bytes->data, size);
        *rsdp_address = BOOT_TABLES;
    }
    acpi_tables_free(&tables);
    return fits
           || fail(error, "the ACPI tables take %u bytes; %u fit", size,
                   BOOT_SMBIOS - base);
}

/* --- for firmware ---------------------------------------------------------------------------- */

struct loader_allocate {
    uint32_t command;
    char file[FW_CFG_NAME_BYTES];
    uint32_t align;
    uint8_t zone;
    uint8_t padding[63];
} PACKED;

struct loader_pointer {
    uint32_t command;
    char file[FW_CFG_NAME_BYTES], target[FW_CFG_NAME_BYTES];
    uint32_t offset;
    uint8_t size;
    uint8_t padding[7];
} PACKED;

struct loader_sum {
    uint32_t command;
    char file[FW_CFG_NAME_BYTES];
    uint32_t offset, start, length;
    uint8_t padding[56];
} PACKED;
#define LOADER_ENTRY_BYTES 128u
static_assert(sizeof(struct loader_allocate) == LOADER_ENTRY_BYTES, "fixed by the format");
static_assert(sizeof(struct loader_pointer) == LOADER_ENTRY_BYTES, "fixed by the format");
static_assert(sizeof(struct loader_sum) == LOADER_ENTRY_BYTES, "fixed by the format");

enum loader_command { LOADER_ALLOCATE = 1, LOADER_POINTER = 2, LOADER_SUM = 3 };
enum loader_zone { LOADER_HIGH = 1, LOADER_BELOW_1M = 2 };

static void script_allocate(GByteArray *script, const char *file, uint32_t align,
                            enum loader_zone zone)
{
    struct loader_allocate entry = { LOADER_ALLOCATE, .align = align, .zone = zone };
    strcpy(entry.file, file);
    g_byte_array_append(script, (uint8_t *)&entry, sizeof(entry));
}

static void script_pointer(GByteArray *script, const char *file, uint32_t offset, uint8_t size)
{
    struct loader_pointer entry = { LOADER_POINTER, .offset = offset, .size = size };
    strcpy(entry.file, file);
    strcpy(entry.target, FILE_TABLES);
    g_byte_array_append(script, (uint8_t *)&entry, sizeof(entry));
}

static void script_sum(GByteArray *script, const char *file, struct acpi_sum sum)
{
    struct loader_sum entry = { LOADER_SUM, .offset = sum.offset, .start = sum.start,
                                .length = sum.length };
    strcpy(entry.file, file);
    g_byte_array_append(script, (uint8_t *)&entry, sizeof(entry));
}

static GByteArray *script_make(const struct acpi_tables *tables)
{
    GByteArray *script = g_byte_array_new();
    script_allocate(script, FILE_TABLES, 64, LOADER_HIGH);
    script_allocate(script, FILE_RSDP, 16, LOADER_BELOW_1M);
    for (guint i = 0; i < tables->pointers->len; i++) {
        struct acpi_pointer pointer = g_array_index(tables->pointers, struct acpi_pointer, i);
        script_pointer(script, FILE_TABLES, pointer.offset, pointer.size);
    }
    for (guint i = 0; i < tables->sums->len; i++)
        script_sum(script, FILE_TABLES, g_array_index(tables->sums, struct acpi_sum, i));
    script_pointer(script, FILE_RSDP, offsetof(struct acpi_rsdp, rsdt), 4);
    script_pointer(script, FILE_RSDP, offsetof(struct acpi_rsdp, xsdt), 8);
    script_sum(script, FILE_RSDP,
               (struct acpi_sum){ offsetof(struct acpi_rsdp, checksum), 0,
                                  offsetof(struct acpi_rsdp, length) });
    script_sum(script, FILE_RSDP,
               (struct acpi_sum){ offsetof(struct acpi_rsdp, extended_checksum), 0,
                                  sizeof(struct acpi_rsdp) });
    return script;
}

/* What the guest reads. Files cannot change their sizes once the guest has seen the directory, so
 * there is room for tables and commands that a later look at the hardware adds. */
#define TABLES_ROOM (64u << 10)
#define SCRIPT_ROOM (4u << 10)

struct acpi_files {
    struct vm *vm;
    uint8_t *tables, *script;
    uint32_t tables_bytes, script_bytes;
    struct acpi_rsdp rsdp;
    bool fresh; /* [fw_cfg's lock] made since the last reset */
};

/* False where they have outgrown their files; the ones before stay. */
static bool files_fill(struct acpi_files *files)
{
    struct acpi_tables tables;
    acpi_tables_build(files->vm, &tables);
    g_autoptr(GByteArray) script = script_make(&tables);
    bool fits = tables.bytes->len <= files->tables_bytes && script->len <= files->script_bytes;
    if (fits) {
        memset(files->tables, 0, files->tables_bytes);
        memset(files->script, 0, files->script_bytes);
        memcpy(files->tables, tables.bytes->data, tables.bytes->len);
        memcpy(files->script, script->data, script->len);
        files->rsdp = rsdp_make(&tables);
    }
    acpi_tables_free(&tables);
    return fits;
}

static void files_selected(void *opaque)
{
    struct acpi_files *files = opaque;
    if (!files->fresh && !files_fill(files))
        warn("the ACPI tables have outgrown their file; the guest keeps older ones");
    files->fresh = true;
}

static void files_free(void *opaque)
{
    struct acpi_files *files = opaque;
    g_free(files->tables);
    g_free(files->script);
    g_free(files);
}

static uint32_t round_up(uint32_t size, uint32_t unit)
{
    return (size + unit - 1) / unit * unit;
}

void acpi_describe(struct vm *vm, struct fw_cfg *cfg)
{
    struct acpi_files *files = g_new0(struct acpi_files, 1);
    struct acpi_tables tables;
    acpi_tables_build(vm, &tables);
    g_autoptr(GByteArray) script = script_make(&tables);
    files->vm = vm;
    files->tables_bytes = round_up(tables.bytes->len + TABLES_ROOM / 4, TABLES_ROOM);
    files->script_bytes = round_up(script->len + SCRIPT_ROOM / 4, SCRIPT_ROOM);
    files->tables = g_malloc0(files->tables_bytes);
    files->script = g_malloc0(files->script_bytes);
    acpi_tables_free(&tables);

    const struct fw_cfg_hooks hooks = { .selected = files_selected, .opaque = files };
    fw_cfg_add_shared(cfg, FILE_TABLES, files->tables, files->tables_bytes, &hooks);
    fw_cfg_add_shared(cfg, FILE_LOADER, files->script, files->script_bytes, &hooks);
    fw_cfg_add_shared(cfg, FILE_RSDP, &files->rsdp, sizeof(files->rsdp), &hooks);
    fw_cfg_own(cfg, files, files_free);
    vm->acpi_files = files;
}

void acpi_describe_reset(struct vm *vm)
{
    if (vm->acpi_files)
        vm->acpi_files->fresh = false;
}
