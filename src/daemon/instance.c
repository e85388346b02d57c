/*
 * instance.c: one daemon for one set of directories
 *
 * The lock ends with the process however it ends; the file itself means nothing.  In the run
 * directory it is not called NAME.lock: a client that starts the daemon holds that one meanwhile.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/instance.h"
#include "util/error.h"
#include "util/file.h"
#include "util/i18n.h"

struct _VimgInstance {
    char *path;
    int fd;
};

static gboolean
throw_held(int fd, const char *path, GError **error)
{
    char holder[32] = "";
    ssize_t n = pread(fd, holder, sizeof(holder) - 1, 0);

    holder[n > 0 ? n : 0] = '\0';
    return vimg_throw(error, VIMG_ERROR_OPERATION_INVALID,
                      _("another virtimaged (process %1$s) holds '%2$s'"),
                      *g_strstrip(holder) ? holder : "?", path);
}

/* Returns: a locked descriptor of the file that is at @path, -1 with @error. */
static int
lock_file(const char *path, GError **error)
{
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

    for (;;) {
        vimg_autofd int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
        struct stat mine, there;

        if (fd < 0 || fstat(fd, &mine) < 0) {
            vimg_throw_errno(error, _("cannot open '%s'"), path);
            return -1;
        }
        if (fcntl(fd, F_OFD_SETLK, &whole) < 0) {
            if (errno == EAGAIN || errno == EACCES)
                throw_held(fd, path, error);
            else
                vimg_throw_errno(error, _("cannot lock '%s'"), path);
            return -1;
        }
        /* the one before us may have removed it between our open and our lock */
        if (stat(path, &there) == 0 && there.st_ino == mine.st_ino && there.st_dev == mine.st_dev)
            return vimg_steal_fd(&fd);
    }
}

VimgInstance *
vimg_instance_new(const char *path, GError **error)
{
    g_autofree char *text = g_strdup_printf("%d\n", (int)getpid());
    VimgInstance *instance;
    int fd = lock_file(path, error);

    if (fd < 0)
        return NULL;
    instance = g_new0(VimgInstance, 1);
    instance->path = g_strdup(path);
    instance->fd = fd;
    if (ftruncate(fd, 0) < 0 || vimg_write_all(fd, text, strlen(text)) < 0) {
        vimg_throw_errno(error, _("cannot write '%s'"), path);
        vimg_instance_free(instance);
        return NULL;
    }
    return instance;
}

void
vimg_instance_free(VimgInstance *instance)
{
    if (!instance)
        return;
    unlink(instance->path);
    close(instance->fd);
    g_free(instance->path);
    g_free(instance);
}
