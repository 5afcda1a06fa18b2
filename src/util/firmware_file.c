/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "util/firmware_file.h"

#include <stdio.h>
#include <string.h>

static const char *const package_folders[] = {
    "/usr/share/seabios", "/usr/share/qemu",    "/usr/share/ovmf",
    "/usr/share/OVMF",    "/usr/lib/ipxe/qemu", "/usr/share/misc",
};

/* Which Debian package to install for an image, by how its name begins. */
static const struct {
    const char *prefix, *package;
} packages[] = {
    { "bios", "seabios" },   { "vgabios", "seabios" }, { "OVMF", "ovmf" },
    { "pxe-", "ipxe-qemu" }, { "efi-", "ipxe-qemu" },
};

static char *find_in(const char *folder, const char *name)
{
    g_autofree char *path = g_build_filename(folder, name, NULL);
    return access(path, R_OK) == 0 ? g_steal_pointer(&path) : NULL;
}

static const char *package_of(const char *name)
{
    for (size_t i = 0; i < G_N_ELEMENTS(packages); i++)
        if (g_str_has_prefix(name, packages[i].prefix))
            return packages[i].package;
    return NULL;
}

char *firmware_file_find(const GPtrArray *folders, const char *option, const char *name,
                         GError **error)
{
    char *path = NULL;
    if (strchr(name, '/') || access(name, R_OK) == 0)
        return g_strdup(name);
    for (guint i = 0; !path && folders && i < folders->len; i++)
        path = find_in(folders->pdata[i], name);
    for (size_t i = 0; !path && i < G_N_ELEMENTS(package_folders); i++)
        path = find_in(package_folders[i], name);
    if (path)
        return path;
    const char *package = package_of(name);
    if (package)
        fail(error, "%s: firmware image '%s' is not installed; Debian's package '%s' has it",
             option, name, package);
    else
        fail(error, "%s: there is no firmware image '%s' here or in the folders of -L help", option,
             name);
    return NULL;
}

void firmware_folders_print(const GPtrArray *folders)
{
    for (guint i = 0; folders && i < folders->len; i++)
        printf("%s\n", (const char *)folders->pdata[i]);
    for (size_t i = 0; i < G_N_ELEMENTS(package_folders); i++)
        printf("%s\n", package_folders[i]);
}
