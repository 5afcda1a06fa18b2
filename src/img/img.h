/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The image tool (qemu-img, yado img): one file per subcommand. Each gets its own arguments,
 * argv[0] being its name, and returns the exit status; errors have been printed. One thread, but
 * for the copying threads of convert. */
#ifndef YADO_IMG_IMG_H
#define YADO_IMG_IMG_H

#include <getopt.h>
#include <stdio.h>

#include "block/driver.h"

int img_amend(int argc, char **argv);
int img_bench(int argc, char **argv);
int img_bitmap(int argc, char **argv);
int img_check(int argc, char **argv);
int img_commit(int argc, char **argv);
int img_compare(int argc, char **argv);
int img_convert(int argc, char **argv);
int img_create(int argc, char **argv);
int img_dd(int argc, char **argv);
int img_info(int argc, char **argv);
int img_map(int argc, char **argv);
int img_measure(int argc, char **argv);
int img_rebase(int argc, char **argv);
int img_resize(int argc, char **argv);
int img_snapshot(int argc, char **argv);

/* The text of --help; NULL: of all. Returns 0. */
int img_help(const char *name);

/* ---- What the subcommands share (common.c) ---- */

/* Options almost every subcommand has. */
struct img_options {
    const char *format, *output, *cache, *source_cache;
    bool image_opts, quiet, progress, share, json;
    const char *filename;
};

/* How an image is to be opened: flags and the cache mode over them. */
struct img_open {
    const char *format, *cache;
    unsigned flags;
    bool image_opts;
    json_t *options; /* more options of the node, or NULL */
};

/* Opens, attaches the tool as a user, and returns the node, or NULL after printing why. */
struct block_node *img_open(const char *filename, const struct img_open *how);
/* Detaches and drops the reference; errors of the last flush are printed, and false is returned. */
bool img_close(struct block_node *node);
static inline void img_close_cleanup(struct block_node **node)
{
    img_close(*node);
}
#define auto_image __attribute__((cleanup(img_close_cleanup))) struct block_node

/* Prints the error and frees it; returns 1. */
int img_fail(GError *error);
int img_fail_context(GError *error, const char *format, ...) G_GNUC_PRINTF(2, 3);

/* Prints the sentence and where help is to be had; returns 1. */
int img_usage_error(const char *format, ...) G_GNUC_PRINTF(1, 2);
/* getopt's unknown and incomplete options; returns 1. */
int img_bad_option(int argc, char **argv);
/* "--output": sets `json`; false after an error. */
bool img_output_format(const char *word, bool *json);
/* --object secret,… */
bool img_object(const char *text);

/* Adds the options of a "-o a=b,c=d" text to a tree. */
bool img_create_options(json_t *options, const char *text, GError **error);
/* Whether "help" or "?" is among them. */
bool img_wants_help(const char *text);
int img_print_create_options(const char *format, const char *filename);

/* "1 KiB", "2.19 MiB". */
char *img_size_text(uint64_t bytes);
/* JSON as QEMU lays it out: four spaces, members in its order. */
void img_print_json(json_t *value);
/* A size with suffix; prints an error in QEMU's words. */
bool img_parse_size(const char *name, const char *text, uint64_t *bytes);

/* Progress on standard output: from 0 to 100. */
void img_progress_start(bool enabled);
void img_progress(double percent);
void img_progress_end(void);

#endif
