/*
 * diagnose-files.c: whether a storage does with files what a store relies on
 *
 * Each row of the table is one operation in a directory of our own, and what must come of it.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <errno.h>

#include "diagnose-private.h"
#include "lease.h"
#include "owner.h"
#include "../throw.h"

#define ROUNDS 5     /* of the file that is made durable */
#define SYNC_TRIAL 5 /* the row that says what those rounds do */
#define SECOND G_GINT64_CONSTANT(1000000000)

static const struct {
    VimgOpKind kind;
    const char *path; /* in the directory; "" is itself */
    const char *to;
    int result;
    const char *what; /* it tries */
} trials[] = {
    {VIMG_OP_MKDIR, "", NULL, 0, N_("make a directory")},
    {VIMG_OP_MKDIR, "", NULL, EEXIST, N_("refuse a directory that is there")},
    {VIMG_OP_CREATE, "a", NULL, 0, N_("make a file")},
    {VIMG_OP_CREATE, "a", NULL, EEXIST, N_("refuse a file that is there")},
    {VIMG_OP_OVERWRITE, "a", NULL, 0, N_("write to a file")},
    {VIMG_OP_SYNC, "a", NULL, 0, N_("make a file durable")},
    {VIMG_OP_CREATE, "b", NULL, 0, N_("make a file")},
    {VIMG_OP_PUBLISH, "a", "b", EEXIST, N_("refuse to move a file over another")},
    {VIMG_OP_PUBLISH, "a", "c", 0, N_("move a file")},
    {VIMG_OP_MKDIR, "d", NULL, 0, N_("make a directory")},
    {VIMG_OP_RENAME, "c", "d/c", 0, N_("move a file to another directory")},
    {VIMG_OP_RENAME, "d", "e", 0, N_("move a directory")},
    {VIMG_OP_READ, "e/c", NULL, 0, N_("read a file where it was moved to")},
    {VIMG_OP_STAT, "d/c", NULL, ENOENT, N_("forget a file that was moved")},
    {VIMG_OP_SYNC, "", NULL, 0, N_("make a directory durable")},
    {VIMG_OP_LIST, "", NULL, 0, N_("list a directory")},
    {VIMG_OP_UNLINK, "b", NULL, 0, N_("remove a file")},
};

static int
run(VimgDiagnosis *diagnosis, const char *dir, gsize i)
{
    g_autofree char *path = g_build_filename(dir, trials[i].path, NULL);
    g_autofree char *to = trials[i].to ? g_build_filename(dir, trials[i].to, NULL) : NULL;
    VimgOp op = {
        .kind = trials[i].kind, .path = path, .to = to, .data = "1\n", .size = 2, .sealed = FALSE};

    vimg_transport_run(diagnosis->transport, &op, 1);
    vimg_buffer_unref(op.content);
    g_clear_pointer(&op.names, g_ptr_array_unref);
    return op.result;
}

static void
tell_failure(VimgDiagnosis *diagnosis, gsize i, int result)
{
    const char *what = _(trials[i].what);

    if (result == ENOTCONN)
        vimg_diagnosis_unread(diagnosis, what, result);
    else if (result == EROFS)
        tell(diagnosis, VIMG_STEP_WARNING,
             _("mount it writable, unless images are only to be read"), "%s",
             _("it is read-only: images can be read, not stored or deleted"));
    else if (result == EACCES || result == EPERM)
        tell(
            diagnosis, VIMG_STEP_FAILED,
            _("let the daemon's user write there: owner, mode, root_squash of an NFS export, SELinux label"),
            "%s: %s", what, g_strerror(result));
    else if (result == ENOSPC || result == EDQUOT)
        tell(diagnosis, VIMG_STEP_FAILED,
             _("make room: purge images, clean up, or enlarge the file system"), "%s: %s", what,
             g_strerror(result));
    else
        tell(diagnosis, VIMG_STEP_FAILED, _("keep the store on a file system that can do this"),
             _("%1$s: %2$s, where '%3$s' is right"), what, g_strerror(result),
             g_strerror(trials[i].result));
}

static int
make_durable(VimgTransport *transport, const char *path, VimgFileInfo *info)
{
    int result = vimg_transport_create(transport, path, "1\n", 2, FALSE);

    if (result == 0)
        result = vimg_transport_sync(transport, path);
    return result == 0 ? vimg_transport_stat(transport, path, info) : result;
}

/* How long it takes until a new file is durable, and what time the storage has then. */
static int
measure(VimgDiagnosis *diagnosis, const char *dir)
{
    guint i;

    for (i = 0; i < ROUNDS; i++) {
        g_autofree char *path = g_strdup_printf("%s/sync-%u", dir, i);
        gint64 began = g_get_monotonic_time();
        VimgFileInfo info;
        int result = make_durable(diagnosis->transport, path, &info);

        if (result != 0)
            return result;
        diagnosis->latency = MAX(diagnosis->latency, g_get_monotonic_time() - began);
        diagnosis->skew = info.mtime / SECOND - g_get_real_time() / G_USEC_PER_SEC;
    }
    diagnosis->written = TRUE;
    return 0;
}

static void
clean(VimgTransport *transport, const char *dir)
{
    static const char *const dirs[] = {"d", "e"};
    gsize i;

    for (i = 0; i < G_N_ELEMENTS(dirs); i++) {
        g_autofree char *path = g_build_filename(dir, dirs[i], NULL);

        vimg_transport_remove_files(transport, path);
    }
    vimg_transport_remove_files(transport, dir);
}

void
vimg_diagnose_files(VimgDiagnosis *diagnosis)
{
    g_autofree char *id = vimg_owner_new_id();
    g_autofree char *dir = g_strconcat("pending/" VIMG_LEASE_NEW, id, NULL);
    int result = 0;
    gsize i;

    for (i = 0; i < G_N_ELEMENTS(trials) && result == 0; i++) {
        int found = run(diagnosis, dir, i);

        if (found != trials[i].result) {
            tell_failure(diagnosis, i, found);
            result = found ? found : EEXIST;
        }
    }
    if (result == 0) {
        result = measure(diagnosis, dir);
        if (result == 0)
            tell(diagnosis, VIMG_STEP_OK, NULL, "%s",
                 _("files are made, moved, removed and made durable as they must be"));
        else
            tell_failure(diagnosis, SYNC_TRIAL, result);
    }
    clean(diagnosis->transport, dir);
}
