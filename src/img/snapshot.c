/* SPDX-License-Identifier: GPL-2.0-or-later */
/* img snapshot: lists, makes, applies and deletes internal snapshots. */
#include <string.h>
#include <time.h>

#include "img/img.h"
#include "img/snapshots.h"

static void snapshot_clear(void *opaque)
{
    struct block_snapshot *snapshot = opaque;
    g_free(snapshot->id);
    g_free(snapshot->name);
}

GArray *snapshots_get(struct block_node *node, GError **error)
{
    g_autoptr(GArray) list = g_array_new(FALSE, TRUE, sizeof(struct block_snapshot));

    g_array_set_clear_func(list, snapshot_clear);
    if (!node->driver->snapshots) {
        fail(error, "Format '%s' has no internal snapshots", node->driver->name);
        return NULL;
    }
    return node->driver->snapshots->list(node, list, error) ? g_steal_pointer(&list) : NULL;
}

static void print_one(const struct block_snapshot *snapshot)
{
    time_t date = snapshot->date_sec;
    struct tm broken;
    char date_text[64], clock_text[64];
    uint64_t seconds = snapshot->vm_clock_nsec / 1000000000;
    g_autofree char *size = img_size_text(snapshot->vm_state_size);
    g_autofree char *icount = snapshot->icount == UINT64_MAX
                                  ? g_strdup("")
                                  : g_strdup_printf("%" PRIu64, snapshot->icount);

    localtime_r(&date, &broken);
    strftime(date_text, sizeof(date_text), "%Y-%m-%d %H:%M:%S", &broken);
    snprintf(clock_text, sizeof(clock_text), "%02d:%02d:%02d.%03d", (int)(seconds / 3600),
             (int)(seconds / 60 % 60), (int)(seconds % 60),
             (int)(snapshot->vm_clock_nsec / 1000000 % 1000));
    printf("%-10s%-17s%8s%20s%13s%11s\n", snapshot->id, snapshot->name, size, date_text, clock_text,
           icount);
}

void snapshots_print(GArray *list)
{
    printf("Snapshot list:\n");
    printf("%-10s%-17s%8s%20s%13s%11s\n", "ID", "TAG", "VM SIZE", "DATE", "VM CLOCK", "ICOUNT");
    for (guint i = 0; i < list->len; i++)
        print_one(&g_array_index(list, struct block_snapshot, i));
}

static bool exists(struct block_node *node, const char *name)
{
    g_autoptr(GArray) list = snapshots_get(node, NULL);
    for (guint i = 0; list && i < list->len; i++) {
        const struct block_snapshot *snapshot = &g_array_index(list, struct block_snapshot, i);
        if (!strcmp(snapshot->name, name) || !strcmp(snapshot->id, name))
            return true;
    }
    return false;
}

static int act(struct block_node *node, int action, const char *name)
{
    const struct block_snapshot_ops *ops = node->driver->snapshots;
    g_autoptr(GError) error = NULL;

    if (action == 'l') {
        g_autoptr(GArray) list = ops ? snapshots_get(node, &error) : NULL;
        if (list && list->len)
            snapshots_print(list);
        return error ? img_fail(g_steal_pointer(&error)) : 0;
    }
    if (action == 'c') {
        struct timespec now;
        clock_gettime(CLOCK_REALTIME, &now);
        struct block_snapshot snapshot = { .name = (char *)name,
                                           .date_sec = now.tv_sec,
                                           .date_nsec = now.tv_nsec };
        if (!ops)
            fail(&error, "Operation not supported");
        else
            ops->create(node, &snapshot, &error);
        return error ? img_fail_context(g_steal_pointer(&error),
                                        "Could not create snapshot '%s': ", name)
                     : 0;
    }
    if (action == 'a') {
        if (!ops)
            fail(&error, "Block format '%s' does not support internal snapshots",
                 node->driver->name);
        else
            ops->apply(node, name, &error);
        return error ? img_fail_context(g_steal_pointer(&error),
                                        "Could not apply snapshot '%s': ", name)
                     : 0;
    }
    if (!ops || !exists(node, name))
        fail(&error, "snapshot not found");
    else
        ops->remove(node, name, &error);
    return error
               ? img_fail_context(g_steal_pointer(&error), "Could not delete snapshot '%s': ", name)
               : 0;
}

int img_snapshot(int argc, char **argv)
{
    enum { OPTION_OBJECT = 256, OPTION_IMAGE_OPTS };
    static const struct option long_options[] = {
        { "help", no_argument, 0, 'h' },
        { "force-share", no_argument, 0, 'U' },
        { "object", required_argument, 0, OPTION_OBJECT },
        { "image-opts", no_argument, 0, OPTION_IMAGE_OPTS },
        {},
    };
    struct img_open how = { .flags = BLOCK_OPEN_RW | BLOCK_OPEN_UNMAP | BLOCK_OPEN_RESIZE };
    const char *name = NULL;
    int letter, action = 0;

    while ((letter = getopt_long(argc, argv, ":la:c:d:hqU", long_options, NULL)) >= 0) {
        switch (letter) {
        case 'l':
        case 'a':
        case 'c':
        case 'd':
            if (action) {
                report_error("Cannot mix '-l', '-a', '-c', '-d'");
                return 1;
            }
            action = letter;
            name = optarg;
            break;
        case 'q':
            break;
        case 'U':
            how.flags |= BLOCK_OPEN_FORCE_SHARE;
            break;
        case OPTION_OBJECT:
            if (!img_object(optarg))
                return 1;
            break;
        case OPTION_IMAGE_OPTS:
            how.image_opts = true;
            break;
        case 'h':
            return img_help("snapshot");
        default:
            return img_bad_option(argc, argv);
        }
    }
    if (optind != argc - 1) {
        img_usage_error("Expecting one image file name");
        return 1;
    }
    action = action ? action : 'l';
    if (action == 'l')
        how.flags &= ~(BLOCK_OPEN_RW | BLOCK_OPEN_RESIZE);
    auto_image *node = img_open(argv[optind], &how);
    return node ? act(node, action, name) : 1;
}
