/*
 * hold.c: preloaded, lets a test hold a program while it makes a file durable
 *
 * While $HOLD_DIR/N exists, the Nth fsync() of a file whose path ends with $HOLD_END waits, and
 * says so by $HOLD_DIR/here; those since it was there last are counted.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int count;

static int
is_watched(int fd)
{
    const char *end = getenv("HOLD_END");
    char link[64], path[4096];
    ssize_t size;

    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    size = readlink(link, path, sizeof(path) - 1);
    if (!end || size < (ssize_t)strlen(end))
        return 0;
    path[size] = '\0';
    return strcmp(path + size - strlen(end), end) == 0;
}

/* Returns: which one is to wait; 0: none */
static int
wanted(const char *place)
{
    FILE *file = fopen(place, "re");
    int turn = 0;

    if (!file)
        return 0;
    if (fscanf(file, "%d", &turn) != 1)
        turn = 0;
    fclose(file);
    return turn;
}

static void
hold(void)
{
    char place[4096], here[4096];
    int turn;

    snprintf(place, sizeof(place), "%s/turn", getenv("HOLD_DIR"));
    turn = wanted(place);
    if (turn == 0)
        __atomic_store_n(&count, 0, __ATOMIC_SEQ_CST);
    if (turn == 0 || __atomic_add_fetch(&count, 1, __ATOMIC_SEQ_CST) != turn)
        return;
    snprintf(here, sizeof(here), "%s/here", getenv("HOLD_DIR"));
    close(open(here, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    while (access(place, F_OK) == 0)
        usleep(1000);
}

int
fsync(int fd)
{
    int (*next)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fsync");

    if (is_watched(fd))
        hold();
    return next(fd);
}
