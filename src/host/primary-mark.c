/*
 * primary-mark.c: a mark inside of an unfinished volume, which what comes last writes over
 *
 * Names and paths say nothing of who has made a volume: whoever deletes one and makes another gets
 * the same.  The mark does, and it is gone when the volume is complete.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/primary-private.h"
#include "util/file.h"

#define WORDS "virtimage: unfinished "
/* In the first cluster of a qcow2 volume, behind the header, which libvirt still needs. */
#define PLACE ((guint64)32 * 1024)

G_STATIC_ASSERT(PLACE + VIMG_HOST_MARK_SIZE <= VIMG_HOST_HEAD);

guint64
vimg_host_mark_place(guint64 size)
{
    return size < VIMG_HOST_MARK_SIZE ? VIMG_HOST_NO_MARK : MIN(PLACE, size - VIMG_HOST_MARK_SIZE);
}

static void
fill(char mark[VIMG_HOST_MARK_SIZE], const char *id)
{
    g_autofree char *text = g_strconcat(WORDS, id, NULL);

    memset(mark, 0, VIMG_HOST_MARK_SIZE);
    memcpy(mark, text, MIN(strlen(text), (gsize)VIMG_HOST_MARK_SIZE));
}

static gboolean
send_all(virStreamPtr stream, const char *data, gsize size, GError **error)
{
    while (size > 0) {
        int sent = virStreamSend(stream, data, size);

        if (sent < 0)
            return vimg_host_throw(error);
        data += sent;
        size -= (gsize)sent;
    }
    return virStreamFinish(stream) == 0 || vimg_host_throw(error);
}

gboolean
vimg_host_mark_put(virConnectPtr connect, virStorageVolPtr vol, const char *id, guint64 place,
                   GError **error)
{
    g_autoptr(virStream) stream = virStreamNew(connect, 0);
    char mark[VIMG_HOST_MARK_SIZE];

    if (!stream || virStorageVolUpload(vol, stream, place, sizeof(mark), 0) < 0)
        return vimg_host_throw(error);
    fill(mark, id);
    if (send_all(stream, mark, sizeof(mark), error))
        return TRUE;
    virStreamAbort(stream);
    return FALSE;
}

int
vimg_host_mark_open(const char *path, const char *id, guint64 place)
{
    vimg_autofd int fd = open(path, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    char mark[VIMG_HOST_MARK_SIZE], have[VIMG_HOST_MARK_SIZE];
    struct stat info;

    fill(mark, id);
    if (fd < 0 || fstat(fd, &info) < 0 || !S_ISREG(info.st_mode) ||
        pread(fd, have, sizeof(have), (off_t)place) != (gssize)sizeof(have) ||
        memcmp(have, mark, sizeof(have)) != 0)
        return -1;
    return vimg_steal_fd(&fd);
}

gboolean
vimg_host_mark_look(virConnectPtr connect, virStorageVolPtr vol, const char *id, guint64 place,
                    gboolean *there, GError **error)
{
    g_autoptr(virStream) stream = virStreamNew(connect, 0);
    char mark[VIMG_HOST_MARK_SIZE], have[VIMG_HOST_MARK_SIZE];
    gsize size = 0;
    int got = 1;

    if (!stream || virStorageVolDownload(vol, stream, place, sizeof(have), 0) < 0)
        return vimg_host_throw(error);
    while (size < sizeof(have) &&
           (got = virStreamRecv(stream, have + size, sizeof(have) - size)) > 0)
        size += (gsize)got;
    if (got < 0)
        vimg_host_throw(error);
    virStreamAbort(stream);
    fill(mark, id);
    *there = size == sizeof(have) && memcmp(have, mark, sizeof(have)) == 0;
    return got >= 0;
}
