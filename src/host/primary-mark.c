/*
 * primary-mark.c: a mark inside of an unfinished volume, which what comes last writes over
 *
 * Names and paths say nothing of who has made a volume: whoever deletes one and makes another gets
 * the same.  The mark does, and it is gone when the volume is complete.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/primary-mark.h"
#include "util/error.h"
#include "util/file.h"
#include "util/i18n.h"

#define WORDS "virtimage: unfinished "
/* In the first cluster of a qcow2 volume, behind the header, which libvirt still needs. */
#define PLACE ((guint64)32 * 1024)

G_STATIC_ASSERT(PLACE + VIMG_HOST_MARK_SIZE <= VIMG_HOST_HEAD);

guint64
vimg_host_mark_place(guint64 size)
{
    return size < VIMG_HOST_MARK_SIZE ? VIMG_HOST_NO_MARK : MIN(PLACE, size - VIMG_HOST_MARK_SIZE);
}

void
vimg_host_mark_fill(gpointer mark, const char *id)
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
    vimg_host_mark_fill(mark, id);
    if (send_all(stream, mark, sizeof(mark), error))
        return TRUE;
    virStreamAbort(stream);
    return FALSE;
}

/* What opening alone does to a device or a FIFO must not happen: it is looked at first. */
static int
open_regular(const char *path)
{
    vimg_autofd int found = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    g_autofree char *again = g_strdup_printf("/proc/self/fd/%d", found);
    struct stat info;

    if (found < 0 || fstat(found, &info) < 0)
        return -1;
    if (S_ISREG(info.st_mode))
        return open(again, O_RDWR | O_CLOEXEC);
    errno = EINVAL;
    return -1;
}

int
vimg_host_mark_open(const char *path, const char *id, guint64 place, GError **error)
{
    vimg_autofd int fd = open_regular(path);
    char mark[VIMG_HOST_MARK_SIZE], have[VIMG_HOST_MARK_SIZE];

    if (fd < 0) {
        vimg_throw_errno(error, _("cannot open '%s'"), path);
        return -1;
    }
    vimg_host_mark_fill(mark, id);
    if (pread(fd, have, sizeof(have), (off_t)place) == (gssize)sizeof(have) &&
        memcmp(have, mark, sizeof(have)) == 0)
        return vimg_steal_fd(&fd);
    vimg_throw(error, VIMG_ERROR_NO_VOL, "it is another file here");
    return -1;
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
    vimg_host_mark_fill(mark, id);
    *there = size == sizeof(have) && memcmp(have, mark, sizeof(have)) == 0;
    return got >= 0;
}
