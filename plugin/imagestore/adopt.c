/*
 * adopt.c: which plain files beside the store may become images, and which did before
 *
 * While an image is there its manifest tells where it came from; adopted/<digest of the origin> is
 * written before it goes, so that its file is not adopted again.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <fcntl.h>
#include <unistd.h>

#include "adopt.h"
#include "throw.h"

#define DIRECTORY "adopted"
/* Seconds without a change after which nobody is thought to write a file any more. */
#define QUIET 60

/* ---- what was adopted before ------------------------------------------------------------ */

static char *
note_path(const char *origin)
{
    g_autofree char *digest = g_compute_checksum_for_string(G_CHECKSUM_SHA256, origin, -1);

    return g_strconcat(DIRECTORY "/", digest, NULL);
}

gboolean
vimg_adopted_before(VimgSliceStore *store, const char *origin)
{
    g_autofree char *path = note_path(origin);
    VimgFileInfo info;

    return vimg_transport_stat(store->transport, path, &info) != ENOENT;
}

gboolean
vimg_adopted_note(VimgSliceStore *store, const char *origin, GError **error)
{
    g_autofree char *path = note_path(origin);
    g_autofree char *text = g_strconcat(origin, "\n", NULL); /* for people: its name says it all */
    int result = vimg_transport_mkdir(store->transport, DIRECTORY);

    if (result == 0)
        result = vimg_transport_sync(store->transport, ".");
    if (result == 0 || result == EEXIST)
        result = vimg_transport_create(store->transport, path, text, strlen(text), TRUE);
    if (result == 0 || result == EEXIST)
        result = vimg_transport_sync(store->transport, DIRECTORY);
    if (result != 0)
        return throw_result(error, result, _("cannot note that the file was adopted"));
    return TRUE;
}

/* ---- what lies there -------------------------------------------------------------------- */

char *
vimg_adopt_origin(const char *name, const struct stat *st)
{
    return g_strdup_printf("inode=%llu size=%llu mtime=%lld.%09ld path=%s", ULL(st->st_ino),
                           ULL(st->st_size), (long long)st->st_mtim.tv_sec, st->st_mtim.tv_nsec,
                           name);
}

static gboolean
is_quiet(const struct stat *st)
{
    return g_get_real_time() / G_USEC_PER_SEC - st->st_mtim.tv_sec >= QUIET;
}

static gboolean
is_candidate(int dir, const char *name, struct stat *st)
{
    return name[0] != '.' && strcmp(name, "store.json") != 0 && g_utf8_validate(name, -1, NULL) &&
           fstatat(dir, name, st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st->st_mode) &&
           st->st_size > 0 && is_quiet(st);
}

static gboolean
offer(VimgSliceStore *store, int dir, GPtrArray *names, VimgFileSink sink, gpointer data,
      VimgPluginJob *job, GError **error)
{
    guint i;

    for (i = 0; i < names->len; i++) {
        VimgPluginFile file = {.size = sizeof(file), .name = g_ptr_array_index(names, i)};
        g_autofree char *origin = NULL;
        struct stat st;

        if (!vimg_slice_store_check_job(job, error))
            return FALSE;
        if (!is_candidate(dir, file.name, &st))
            continue;
        origin = vimg_adopt_origin(file.name, &st);
        file.origin = origin;
        file.length = (guint64)st.st_size;
        file.allocation = MIN((guint64)st.st_blocks * 512, file.length);
        if (!vimg_adopted_before(store, origin) && !sink(&file, data))
            break;
    }
    return TRUE;
}

gboolean
vimg_adopt_list(VimgSliceStore *store, VimgFileSink sink, gpointer data, VimgPluginJob *job,
                GError **error)
{
    g_autoptr(GPtrArray) names = NULL;
    int result = vimg_transport_list(store->transport, ".", &names);
    gboolean ok;
    int dir;

    if (result != 0)
        return throw_result(error, result, _("cannot read the directory of the store"));
    dir = open(store->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0)
        return throw_result(error, errno, _("cannot read the directory of the store"));
    vimg_transport_sort(names);
    ok = offer(store, dir, names, sink, data, job, error);
    close(dir);
    return ok;
}
