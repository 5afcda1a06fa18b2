/* SPDX-License-Identifier: GPL-2.0-or-later */
/* yado img, also called qemu-img: which subcommand there is to run, and the help. */
#include "img/img.h"

#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "util/version.h"

static const struct command {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *arguments, *help;
} commands[] = {
    { "amend", img_amend,
      "[--object objectdef] [--image-opts] [-p] [-q] [-f fmt] [-t cache] [--force] -o options "
      "filename",
      "changes options of an existing image" },
    { "bench", img_bench,
      "[-c count] [-d depth] [-f fmt] [--flush-interval=flush_interval] [-i aio] [-n] [--no-drain] "
      "[-o offset] [--pattern=pattern] [-q] [-s buffer_size] [-S step_size] [-t cache] [-w] [-U] "
      "filename",
      "measures sequential requests" },
    { "bitmap", img_bitmap,
      "(--merge SOURCE | --add | --remove | --clear | --enable | --disable)... [-b source_file "
      "[-F source_fmt]] [-g granularity] [--object objectdef] [--image-opts | -f fmt] filename "
      "bitmap",
      "changes an image's persistent bitmaps" },
    { "check", img_check,
      "[--object objectdef] [--image-opts] [-q] [-f fmt] [--output=ofmt] [-r [leaks | all]] "
      "[-T src_cache] [-U] filename",
      "looks for errors in an image and repairs them" },
    { "commit", img_commit,
      "[--object objectdef] [--image-opts] [-q] [-f fmt] [-t cache] [-b base] [-r rate_limit] [-d] "
      "[-p] filename",
      "moves an image's contents into its backing file" },
    { "compare", img_compare,
      "[--object objectdef] [--image-opts] [-f fmt] [-F fmt] [-T src_cache] [-p] [-q] [-s] [-U] "
      "filename1 filename2",
      "tells whether two images have the same contents" },
    { "convert", img_convert,
      "[--object objectdef] [--image-opts] [--target-image-opts] [--target-is-zero] [--bitmaps] "
      "[-U] "
      "[-C] [-c] [-p] [-q] [-n] [-f fmt] [-t cache] [-T src_cache] [-O output_fmt] "
      "[-B backing_file [-F backing_fmt]] [-o options] [-l snapshot_param] [-S sparse_size] "
      "[-r rate_limit] [-m num_coroutines] [-W] [--salvage] filename [filename2 [...]] "
      "output_filename",
      "copies images into another format" },
    { "create", img_create,
      "[--object objectdef] [-q] [-f fmt] [-b backing_file [-F backing_fmt]] [-u] [-o options] "
      "filename [size]",
      "makes a new image" },
    { "dd", img_dd,
      "[--image-opts] [-U] [-f fmt] [-O output_fmt] [bs=block_size] [count=blocks] [skip=blocks] "
      "if=input of=output",
      "copies a part of an image" },
    { "info", img_info,
      "[--object objectdef] [--image-opts] [-f fmt] [--output=ofmt] [--backing-chain] [-U] "
      "filename",
      "tells what an image is" },
    { "map", img_map,
      "[--object objectdef] [--image-opts] [-f fmt] [--start-offset=offset] [--max-length=len] "
      "[--output=ofmt] [-U] filename",
      "tells where an image has data" },
    { "measure", img_measure,
      "[--output=ofmt] [-O output_fmt] [-o options] [--size N | [--object objectdef] "
      "[--image-opts] "
      "[-f fmt] [-l snapshot_param] filename]",
      "tells how large a new image would be" },
    { "snapshot", img_snapshot,
      "[--object objectdef] [--image-opts] [-U] [-q] [-l | -a snapshot | -c snapshot | -d "
      "snapshot] "
      "filename",
      "handles snapshots inside an image" },
    { "rebase", img_rebase,
      "[--object objectdef] [--image-opts] [-U] [-q] [-f fmt] [-t cache] [-T src_cache] [-p] [-u] "
      "-b "
      "backing_file [-F backing_fmt] filename",
      "gives an image another backing file" },
    { "resize", img_resize,
      "[--object objectdef] [--image-opts] [-f fmt] [--preallocation=prealloc] [-q] [--shrink] "
      "filename [+ | -]size",
      "changes a disk's size" },
};

static bool called_qemu(void)
{
    return g_str_has_prefix(g_get_prgname(), "qemu-");
}

static void print_format(const struct block_driver *driver, void *opaque)
{
    g_ptr_array_add(opaque, (void *)driver->name);
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

int img_help(const char *name)
{
    for (size_t i = 0; name && i < G_N_ELEMENTS(commands); i++) {
        if (!strcmp(commands[i].name, name)) {
            printf("usage: %s %s %s\n\n%s: %s.\n", called_qemu() ? "qemu-img" : "yado img", name,
                   commands[i].arguments, name, commands[i].help);
            return 0;
        }
    }
    if (!called_qemu()) {
        printf("usage: yado img COMMAND [options]\n\n");
        for (size_t i = 0; i < G_N_ELEMENTS(commands); i++)
            printf("  %-10s%s\n", commands[i].name, commands[i].help);
        printf("\nyado img COMMAND --help says more.\n");
        return 0;
    }
    printf("qemu-img (Yado " YADO_VERSION ")\n"
           "usage: qemu-img [standard options] command [command options]\n"
           "QEMU disk image utility\n\n"
           "    '-h', '--help'       display this help and exit\n"
           "    '-V', '--version'    output version information and exit\n"
           "    '-T', '--trace'      [[enable=]<pattern>][,events=<file>][,file=<file>]\n"
           "                         accepted and ignored\n\nCommand syntax:\n");
    for (size_t i = 0; i < G_N_ELEMENTS(commands); i++)
        printf("  %s %s\n", commands[i].name, commands[i].arguments);
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    block_driver_visit(print_format, names);
    qsort(names->pdata, names->len, sizeof(*names->pdata), compare_names);
    printf("\nSupported formats:");
    for (guint i = 0; i < names->len; i++)
        printf(" %s", (const char *)names->pdata[i]);
    printf("\n");
    return 0;
}

int cli_img(int argc, char **argv)
{
    static const struct option long_options[] = {
        { "help", no_argument, 0, 'h' },
        { "version", no_argument, 0, 'V' },
        { "trace", required_argument, 0, 'T' },
        {},
    };
    int letter;

    while ((letter = getopt_long(argc, argv, "+:hVT:", long_options, NULL)) >= 0) {
        if (letter == 'h')
            return img_help(NULL);
        if (letter == 'V') {
            printf("qemu-img version " QEMU_VERSION " (Yado " YADO_VERSION ")\n");
            return 0;
        }
        if (letter != 'T')
            return img_bad_option(argc, argv);
    }
    if (optind >= argc) {
        report_error("Not enough arguments");
        fprintf(stderr, "Try 'qemu-img --help' for more information\n");
        return 1;
    }
    argc -= optind;
    argv += optind;
    optind = 0; /* begin anew */
    for (size_t i = 0; i < G_N_ELEMENTS(commands); i++) {
        if (!strcmp(commands[i].name, argv[0])) {
            int status = commands[i].run(argc, argv);
            return fflush(stdout) ? (report_error("cannot write to standard output"), 1) : status;
        }
    }
    report_error("Command not found: %s", argv[0]);
    fprintf(stderr, "Try 'qemu-img --help' for more information\n");
    return 1;
}
