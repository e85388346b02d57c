/*
 * guest.c: what a small Linux runs as its only process, and never stops writing
 *
 * Loads the modules /0.ko, /1.ko, …, mounts the first disk, and goes round through FILES files:
 * each gets a block full of the number of the write, which is durable before the next one begins.
 * Says so after the first time round.
 *
 *   cc -static -O2 -o init guest.c
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define FILES 64
#define WORDS 1024

static void
load_modules(void)
{
    char path[32];
    int fd;

    for (int i = 0; i < 32; i++) {
        snprintf(path, sizeof(path), "/%d.ko", i);
        fd = open(path, O_RDONLY);
        if (fd < 0)
            return;
        syscall(SYS_finit_module, fd, "", 0);
        close(fd);
    }
}

/* Returns: 0 once it is durable. */
static int
put(uint32_t number)
{
    uint32_t block[WORDS];
    char path[32];
    int fd, failed;

    for (int i = 0; i < WORDS; i++)
        block[i] = number;
    snprintf(path, sizeof(path), "/d/%u", number % FILES);
    fd = open(path, O_WRONLY | O_CREAT, 0600);
    failed = fd < 0 || pwrite(fd, block, sizeof(block), 0) != sizeof(block) || fsync(fd) < 0;
    close(fd);
    return failed;
}

int
main(void)
{
    mkdir("/dev", 0755);
    mkdir("/d", 0755);
    mount("none", "/dev", "devtmpfs", 0, "");
    dup2(open("/dev/console", O_RDWR), 1);
    load_modules();
    while (mount("/dev/vda", "/d", "ext4", 0, "") < 0)
        usleep(100000);
    for (uint32_t number = 1; put(number) == 0; number++)
        if (number == FILES)
            dprintf(1, "through\n");
    dprintf(1, "failed\n");
    for (;;)
        pause();
}
