/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Nodes: their names, life and children; drivers: where they are found. */
#include <string.h>

#include "block/graph.h"

extern const struct block_driver drivers_start[] __asm__("__start_yado_block_drivers");
extern const struct block_driver drivers_end[] __asm__("__stop_yado_block_drivers");

static GPtrArray *all_nodes; /* [main] borrowed, in order of opening */

/* ---- Drivers ---- */

void block_driver_visit(void (*visit)(const struct block_driver *driver, void *opaque),
                        void *opaque)
{
    for (const struct block_driver *driver = drivers_start; driver < drivers_end; driver++)
        visit(driver, opaque);
}

const struct block_driver *block_driver_find(const char *name)
{
    for (const struct block_driver *driver = drivers_start; driver < drivers_end; driver++) {
        if (!strcmp(driver->name, name))
            return driver;
    }
    return NULL;
}

const struct block_driver *block_driver_probe(const uint8_t *head, size_t size,
                                              const char *filename)
{
    const struct block_driver *best = NULL;
    int best_score = 0;

    for (const struct block_driver *driver = drivers_start; driver < drivers_end; driver++) {
        int score = driver->probe ? driver->probe(head, size, filename) : 0;
        if (score > best_score) {
            best_score = score;
            best = driver;
        }
    }
    return best;
}

char *block_name_protocol(const char *filename)
{
    size_t length = strcspn(filename, ":/");
    return filename[length] == ':' && length ? g_strndup(filename, length) : NULL;
}

const struct block_driver *block_driver_protocol(const char *filename, GError **error)
{
    const struct block_driver *best = block_driver_find("file");
    g_autofree char *prefix = block_name_protocol(filename);
    int best_score = 0;

    for (const struct block_driver *driver = drivers_start; driver < drivers_end; driver++) {
        if (prefix && driver->protocol && !strcmp(driver->protocol, prefix))
            return driver;
    }
    if (prefix) {
        /* "nbd+unix:" belongs to nbd */
        g_autofree char *stem = g_strndup(prefix, strcspn(prefix, "+"));
        for (const struct block_driver *driver = drivers_start; driver < drivers_end; driver++) {
            if (driver->protocol && !strcmp(driver->protocol, stem) && strcmp(stem, prefix))
                return driver;
        }
        fail(error, "Unknown protocol '%s'", prefix);
        return NULL;
    }
    for (const struct block_driver *driver = drivers_start; driver < drivers_end; driver++) {
        int score = driver->probe_name ? driver->probe_name(filename) : 0;
        if (score > best_score) {
            best_score = score;
            best = driver;
        }
    }
    return best;
}

/* ---- Nodes ---- */

struct block_node *block_find(const char *node_name)
{
    for (guint i = 0; all_nodes && i < all_nodes->len; i++) {
        struct block_node *node = all_nodes->pdata[i];
        if (!strcmp(node->name, node_name))
            return node;
    }
    return NULL;
}

void block_visit(bool (*visit)(struct block_node *node, void *opaque), void *opaque)
{
    for (guint i = 0; all_nodes && i < all_nodes->len; i++) {
        if (!visit(all_nodes->pdata[i], opaque))
            return;
    }
}

static bool name_check(const char *name, GError **error)
{
    bool good = g_ascii_isalpha(name[0]);
    for (const char *at = name; *at; at++)
        good &= g_ascii_isalnum(*at) || strchr("-._", *at);
    if (!good || strlen(name) > 31)
        return fail(error, "Invalid node-name: '%s'", name);
    if (block_find(name))
        return fail(error, "Duplicate nodes with node-name='%s'", name);
    return true;
}

struct block_node *node_new(const struct block_driver *driver, const char *name, GError **error)
{
    static unsigned counter;

    if (name && !name_check(name, error))
        return NULL;
    struct block_node *node = g_new0(struct block_node, 1);
    node->driver = driver;
    node->state = g_malloc0(MAX(driver->state_size, 1));
    node->name = name ? g_strdup(name) : g_strdup_printf("#block%03u", counter++);
    node->references = 1;
    node->alignment = node->memory_alignment = 1;
    node->children = g_ptr_array_new();
    node->parents = g_ptr_array_new();
    pthread_mutex_init(&node->lock, NULL);
    pthread_mutex_init(&node->gate.exclusive, NULL);
    block_guard_init(&node->gate.writes);
    if (!all_nodes)
        all_nodes = g_ptr_array_new();
    g_ptr_array_add(all_nodes, node);
    return node;
}

void node_free(struct block_node *node)
{
    while (node->children->len)
        child_unlink(node->children->pdata[node->children->len - 1]);
    g_ptr_array_remove(all_nodes, node);
    g_ptr_array_free(node->children, TRUE);
    g_ptr_array_free(node->parents, TRUE);
    pthread_mutex_destroy(&node->lock);
    pthread_mutex_destroy(&node->gate.exclusive);
    block_guard_destroy(&node->gate.writes);
    json_decref(node->options);
    g_free(node->filename);
    g_free(node->state);
    g_free(node->name);
    g_free(node);
}

struct block_node *block_ref(struct block_node *node)
{
    node->references++;
    return node;
}

void block_unref(struct block_node *node)
{
    if (!node || --node->references)
        return;
    if (!node->read_only && !(node->flags & BLOCK_OPEN_INACTIVE))
        block_flush(node);
    if (node->driver->close)
        node->driver->close(node);
    node_free(node);
}

struct block_node *block_skip_filters(struct block_node *node)
{
    while (node && node->driver->is_filter)
        node = node->file ? node->file : node->backing;
    return node;
}

struct block_node *block_child_node(struct block_node *node, const char *name)
{
    for (guint i = 0; i < node->children->len; i++) {
        struct block_child *child = node->children->pdata[i];
        if (!strcmp(child->name, name))
            return child->node;
    }
    return NULL;
}
