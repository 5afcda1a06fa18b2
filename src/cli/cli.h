/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The subcommands. Each takes its own arguments, argv[0] being its name, and returns an exit
 * code. */
#ifndef YADO_CLI_CLI_H
#define YADO_CLI_CLI_H

int cli_system(int argc, char **argv);
int cli_run(int argc, char **argv);
int cli_img(int argc, char **argv);
int cli_io(int argc, char **argv);

#endif
