/*
 * guest.c: what a small Linux runs as its first process, and never stops writing
 *
 * Loads the modules /0.ko, /1.ko, …, says who it is, mounts the first disk, and goes round through
 * FILES files: each gets a block full of the number of the write, which is durable before the next
 * one begins.  Says so after the first time round.
 *
 * Beside that runs a guest agent, if there is a port for one.  It speaks what QEMU's speaks
 * (qemu-ga-ref(7)) of what a backup needs, and freezes the file system in earnest.  How it does
 * that, a command of its own chooses: {"execute": "behave-WORD"}, see behaviours.
 *
 *   cc -static -O2 -o init guest.c
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <fcntl.h>
#include <linux/fs.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define FILES 64
#define WORDS 1024
#define DEVICES 16
#define TRIES 60
#define AGENT "org.qemu.guest_agent.0"
#define LINE 4096

static volatile uint32_t *durable; /* the last write, for both processes */

static void
load_modules(void)
{
    char path[32];
    int fd;

    for (int i = 0; i < 64; i++) {
        snprintf(path, sizeof(path), "/%d.ko", i);
        fd = open(path, O_RDONLY);
        if (fd < 0)
            return;
        syscall(SYS_finit_module, fd, "", 0);
        close(fd);
    }
}

/* The first line of the file. */
static const char *
read_line(const char *path)
{
    static char line[128];
    int fd = open(path, O_RDONLY);
    ssize_t n = fd < 0 ? -1 : read(fd, line, sizeof(line) - 1);

    close(fd);
    line[n > 0 ? n : 0] = '\0';
    line[strcspn(line, "\n")] = '\0';
    return line;
}

/* ---- the agent -------------------------------------------------------------------------- */

static const char *const behaviours[] = {
    "well",   /* as it should */
    "refuse", /* says no to freezing */
    "late",   /* freezes, and never says so */
    "dead",   /* hears nothing for a while */
    "deaf",   /* freezes, and neither says so nor hears anything for a while */
};
enum {
    WELL,
    REFUSE,
    LATE,
    DEAD,
    DEAF,
    N_BEHAVIOURS
};

#define DEAF_FOR 1 /* requests */

/* Which comes when the device has told of it. */
static int
open_port(void)
{
    char path[64];

    for (int i = 0; i < TRIES * DEVICES; i++) {
        snprintf(path, sizeof(path), "/sys/class/virtio-ports/vport%dp1/name", i % DEVICES);
        if (strcmp(read_line(path), AGENT) == 0) {
            snprintf(path, sizeof(path), "/dev/vport%dp1", i % DEVICES);
            return open(path, O_RDWR);
        }
        usleep(10000);
    }
    return -1;
}

static void
freeze(int disk, int on, int *frozen)
{
    if (*frozen == on || ioctl(disk, on ? FIFREEZE : FITHAW, 0) < 0)
        return;
    *frozen = on;
    dprintf(1, on ? "frozen %u\n" : "thawed %u\n", *durable);
}

/* Whether it is to be answered. */
static int
obey(const char *line, int disk, char *answer)
{
    static int behaviour, frozen, deaf;
    const char *id = strstr(line, "\"id\"");
    const char *behave = strstr(line, "behave-");
    const char *mark = strstr(line, "guest-sync-delimited") ? "\xff" : "";

    if (deaf > 0) {
        deaf--;
        return 0;
    }
    strcpy(answer, "{\"return\": {}}\n");
    for (int i = 0; behave && i < N_BEHAVIOURS; i++)
        if (strncmp(behave + 7, behaviours[i], strlen(behaviours[i])) == 0)
            behaviour = i;
    if (behave)
        deaf = behaviour == DEAD ? DEAF_FOR : 0;
    if (id && strstr(line, "guest-sync")) {
        sprintf(answer, "%s{\"return\": %lld}\n", mark, atoll(id + strcspn(id, "0123456789")));
    } else if (strstr(line, "guest-info")) {
        strcpy(answer,
               "{\"return\": {\"version\": \"1\", \"supported_commands\": [{\"name\": "
               "\"guest-fsfreeze-freeze\", \"enabled\": true, \"success-response\": true}]}}\n");
    } else if (strstr(line, "fsfreeze-status")) {
        sprintf(answer, "{\"return\": \"%s\"}\n", frozen ? "frozen" : "thawed");
    } else if (strstr(line, "fsfreeze-freeze") && behaviour == REFUSE) {
        strcpy(answer, "{\"error\": {\"class\": \"GenericError\", \"desc\": \"I will not\"}}\n");
    } else if (strstr(line, "fsfreeze-freeze")) {
        freeze(disk, 1, &frozen);
        deaf = behaviour == DEAF ? DEAF_FOR : 0;
        strcpy(answer, "{\"return\": 1}\n");
        return behaviour == WELL;
    } else if (strstr(line, "fsfreeze-thaw")) {
        sprintf(answer, "{\"return\": %d}\n", frozen);
        freeze(disk, 0, &frozen);
    } else if (!behave) {
        strcpy(answer, "{\"error\": {\"class\": \"CommandNotFound\", \"desc\": \"unknown\"}}\n");
    }
    return 1;
}

static void
serve(void)
{
    char line[LINE], answer[512];
    int port = open_port(), disk = open("/d", O_RDONLY);
    size_t n = 0;

    while (port >= 0) {
        if (read(port, line + n, 1) != 1) {
            usleep(20000); /* nobody is at the other end */
            continue;
        }
        if (line[n] != '\n' && n < LINE - 2) {
            n++;
            continue;
        }
        line[n] = '\0';
        if (n > 0 && obey(line, disk, answer) && write(port, answer, strlen(answer)) < 0)
            dprintf(1, "the agent cannot answer\n");
        n = 0;
    }
    _exit(0);
}

/* ---- writing ---------------------------------------------------------------------------- */

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
    mkdir("/sys", 0755);
    mkdir("/d", 0755);
    mount("none", "/dev", "devtmpfs", 0, "");
    mount("none", "/sys", "sysfs", 0, "");
    dup2(open("/dev/console", O_RDWR), 1);
    load_modules();
    dprintf(1, "uuid %s\n", read_line("/sys/class/dmi/id/product_uuid"));
    dprintf(1, "mac %s\n", read_line("/sys/class/net/eth0/address"));
    durable = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    while (mount("/dev/vda", "/d", "ext4", 0, "") < 0)
        usleep(100000);
    if (fork() == 0)
        serve();
    for (uint32_t number = 1; put(number) == 0; number++) {
        *durable = number;
        if (number == FILES)
            dprintf(1, "through\n");
    }
    dprintf(1, "failed\n");
    for (;;)
        pause();
}
