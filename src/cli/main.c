/* SPDX-License-Identifier: GPL-2.0-or-later */
/* main(): what to do follows from the name we are called by, or from the first argument. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "util/util.h"
#include "vm/timing.h"

struct subcommand {
    const char *name;
    const char *link; /* the name under which it is the whole program, or NULL */
    const char *help;
    int (*run)(int argc, char **argv);
};

static int cli_help(int argc, char **argv);
static int cli_version(int argc, char **argv);

static const struct subcommand subcommands[] = {
    { "run", NULL, "runs Linux with its console in this terminal", cli_run },
    { "system", "qemu-system-x86_64", "runs one virtual machine, with QEMU's options", cli_system },
    { "img", "qemu-img", "makes, converts and checks disk images", cli_img },
    { "io", "qemu-io", "runs single requests on a disk image", cli_io },
    { "help", NULL, "prints this", cli_help },
    { "version", NULL, "prints the version", cli_version },
};

static int cli_help(int argc, char **argv)
{
    printf("Yado " YADO_VERSION ": virtual machines on KVM, or without it on its own engine.\n\n"
           "usage: yado SUBCOMMAND [options]\n\n");
    for (size_t i = 0; i < G_N_ELEMENTS(subcommands); i++) {
        const struct subcommand *sub = &subcommands[i];
        printf("  %-10s%s", sub->name, sub->help);
        printf(sub->link ? " (also called %s)\n" : "\n", sub->link);
    }
    printf("\nyado SUBCOMMAND --help says more.\n");
    return 0;
}

static int cli_version(int argc, char **argv)
{
    printf("yado " YADO_VERSION "\n");
    return 0;
}

/* A closed standard descriptor would be given to the next file opened, and then written to. */
static void open_standard_fds(void)
{
    for (int fd = 0; fd <= 2; fd++) {
        if (fcntl(fd, F_GETFD) < 0)
            open("/dev/null", O_RDWR);
    }
}

static int run_subcommand(int argc, char **argv)
{
    const char *names[G_N_ELEMENTS(subcommands) + 1] = { 0 };
    const char *word = argv[0];

    if (!strcmp(word, "--help") || !strcmp(word, "-h"))
        word = "help";
    else if (!strcmp(word, "--version") || !strcmp(word, "-version"))
        word = "version";
    for (size_t i = 0; i < G_N_ELEMENTS(subcommands); i++) {
        names[i] = subcommands[i].name;
        if (!strcmp(names[i], word))
            return subcommands[i].run(argc, argv);
    }
    report_error("'%s' is no subcommand%s", word, hint_nearest(word, names));
    return 1;
}

int main(int argc, char **argv)
{
    timing_init();
    timing_mark(TIMING_PROCESS);
    open_standard_fds();
    g_autofree char *name = g_path_get_basename(argc ? argv[0] : "yado");
    g_set_prgname(name);
    for (size_t i = 0; i < G_N_ELEMENTS(subcommands); i++) {
        if (!g_strcmp0(subcommands[i].link, name))
            return subcommands[i].run(argc, argv);
    }
    if (g_str_has_prefix(name, "qemu-")) {
        report_error("Yado cannot stand for '%s' yet; it can for qemu-system-x86_64", name);
        return 1;
    }
    if (argc > 1)
        return run_subcommand(argc - 1, argv + 1);
    report_error("a subcommand is missing, such as 'yado run'; yado help lists them");
    return 1;
}
