/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Port access for scripts in a guest: `portio PORT` prints the byte read, `portio PORT VALUE`
 * writes. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/io.h>

int main(int argc, char **argv)
{
    if (argc < 2 || argc > 3 || iopl(3)) {
        fprintf(stderr, "usage: portio PORT [VALUE], as root\n");
        return 1;
    }
    unsigned long port = strtoul(argv[1], NULL, 0);
    if (argc == 3)
        outb(strtoul(argv[2], NULL, 0), port);
    else
        printf("0x%02x\n", inb(port));
    return 0;
}
