/*
 * virtimage.c: an image of virtimaged as nbdkit serves it
 *
 * Started by virtimaged with three descriptors: a socket that listens, which is nbdkit's, a link to
 * ask for the bytes of one image, and a file to keep them in.  It opens nothing, knows no name and
 * no path, and ends when the daemon closes the link, or when it has had no client for a while.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <errno.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>

#define NBDKIT_API_VERSION 2
#include <nbdkit-plugin.h>

#include "cache.h"
#include "util/thread.h"

#define THREAD_MODEL NBDKIT_THREAD_MODEL_PARALLEL
#define EXTENTS_MAX 4096 /* in one answer */

static const guint8 no_hash[VIMG_EXPORTER_HASH_SIZE]; /* the link knows which */
static VimgExporterLink *image;
static VimgExporterInfo info;
static VimgNbdMap *map;
static VimgNbdCache *cache;

static VimgMutex clients_lock = VIMG_MUTEX_INIT;
static VimgCond clients_changed;
static guint clients; /* under lock */
static unsigned wait_seconds = 60;

/* ---- clients ------------------------------------------------------------------------------ */

static void
count_clients(guint more)
{
    VIMG_LOCK_GUARD(&clients_lock);
    clients += more;
    vimg_cond_broadcast(&clients_changed);
}

static void *
virtimage_open(int readonly)
{
    count_clients(1);
    return NBDKIT_HANDLE_NOT_NEEDED;
}

static void
virtimage_close(void *handle)
{
    count_clients(-1U);
}

/* Returns: whether nobody has come */
static gboolean
wait_until_alone(void)
{
    gint64 deadline;

    VIMG_LOCK_GUARD(&clients_lock);
    while (clients > 0)
        vimg_cond_wait(&clients_changed, &clients_lock);
    deadline = g_get_monotonic_time() + (gint64)wait_seconds * G_USEC_PER_SEC;
    while (clients == 0) {
        if (!vimg_cond_wait_until(&clients_changed, &clients_lock, deadline))
            return clients == 0;
    }
    return FALSE;
}

static void
end_with_the_last(gpointer unused)
{
    while (!wait_until_alone())
        ;
    nbdkit_shutdown();
}

/* ---- life --------------------------------------------------------------------------------- */

static int
virtimage_config(const char *key, const char *value)
{
    if (strcmp(key, "wait") == 0)
        return nbdkit_parse_unsigned(key, value, &wait_seconds);
    nbdkit_error("unknown parameter '%s'", key);
    return -1;
}

static int
virtimage_get_ready(void)
{
    int type = 0;
    socklen_t size = sizeof(type);

    if (getsockopt(VIMG_EXPORTER_NBD_LINK_FD, SOL_SOCKET, SO_TYPE, &type, &size) == 0 &&
        type == SOCK_STREAM)
        return 0;
    nbdkit_error("this is started by virtimaged");
    return -1;
}

static int
virtimage_after_fork(void)
{
    g_autoptr(GError) error = NULL;
    struct rlimit room;

    prctl(PR_SET_DUMPABLE, 0); /* nobody looks into it */
    vimg_cond_init(&clients_changed);
    image = vimg_exporter_link_new(VIMG_EXPORTER_NBD_LINK_FD, &error);
    if (!image || !vimg_thread_start_detached("vimg-linger", end_with_the_last, NULL, &error)) {
        nbdkit_error("%s", error->message);
        return -1;
    }
    if (vimg_exporter_link_look(image, no_hash, &info) != VIMG_EXPORTER_OK ||
        vimg_nbd_map_load(image, info.size, &map) != VIMG_EXPORTER_OK ||
        getrlimit(RLIMIT_FSIZE, &room) < 0) {
        nbdkit_error("the image is not there");
        return -1;
    }
    cache = vimg_nbd_cache_new(image, map, info.size, VIMG_EXPORTER_NBD_CACHE_FD, room.rlim_cur,
                               &error);
    if (cache)
        return 0;
    nbdkit_error("%s", error->message);
    return -1;
}

/* ---- the image ---------------------------------------------------------------------------- */

static int64_t
virtimage_get_size(void *handle)
{
    return (int64_t)info.size;
}

static int
virtimage_can_multi_conn(void *handle)
{
    return 1;
}

static const char *
virtimage_export_description(void *handle)
{
    return info.format;
}

/* Why is in the daemon's log. */
static int
settle(VimgExporterStatus status)
{
    static const int errors[VIMG_EXPORTER_N_STATUSES] = {
        [VIMG_EXPORTER_ABSENT] = ESHUTDOWN,
        [VIMG_EXPORTER_ENDED] = ESHUTDOWN,
        [VIMG_EXPORTER_BUSY] = EIO,
        [VIMG_EXPORTER_FAILED] = EIO,
    };

    if (status == VIMG_EXPORTER_OK)
        return 0;
    nbdkit_set_error(errors[status]);
    return -1;
}

static int
virtimage_pread(void *handle, void *out, uint32_t count, uint64_t offset, uint32_t flags)
{
    return settle(vimg_nbd_cache_read(cache, out, count, offset));
}

static int
virtimage_extents(void *handle, uint32_t count, uint64_t offset, uint32_t flags,
                  struct nbdkit_extents *extents)
{
    guint64 end = offset + count;

    for (guint i = 0; offset < end && i < EXTENTS_MAX; i++) {
        gboolean zeros;
        guint64 length = vimg_nbd_map_look(map, offset, info.size - offset, &zeros);
        guint32 type = NBDKIT_EXTENT_HOLE | NBDKIT_EXTENT_ZERO;

        if (nbdkit_add_extent(extents, offset, length, zeros ? type : 0) < 0)
            return -1;
        offset += length;
        if (flags & NBDKIT_FLAG_REQ_ONE)
            break;
    }
    return 0;
}

static struct nbdkit_plugin plugin = {
    .name = "virtimage",
    .version = VIMG_VERSION,
    .config = virtimage_config,
    .get_ready = virtimage_get_ready,
    .after_fork = virtimage_after_fork,
    .open = virtimage_open,
    .close = virtimage_close,
    .get_size = virtimage_get_size,
    .can_multi_conn = virtimage_can_multi_conn,
    .export_description = virtimage_export_description,
    .pread = virtimage_pread,
    .extents = virtimage_extents,
};

NBDKIT_DLL_PUBLIC struct nbdkit_plugin *plugin_init(void);

NBDKIT_REGISTER_PLUGIN(plugin)
