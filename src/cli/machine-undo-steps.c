/*
 * machine-undo-steps.c: how each thing that a command leaves behind is taken away
 *
 * A step may run when the thing was never made, or is gone already; that is as good.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>

#include "cli/image.h"
#include "cli/machine-backup.h"
#include "cli/machine-file.h"
#include "cli/machine-freeze.h"
#include "cli/machine.h"
#include "util/error.h"
#include "util/file.h"

/* ---- images ----------------------------------------------------------------------------- */

static gboolean
is_code(const GError *error, int code)
{
    return g_error_matches(error, VIMG_DAEMON_ERROR, code);
}

/* For good: what is not whole must not be had back.  What was but a way may be gone so already. */
static gboolean
purge(VimgUndoContext *context, const VimgCtlPool *pool, char *uuid, GError **error)
{
    vimg_control_purge_args args = {*pool, uuid};
    g_autoptr(GError) local = NULL;

    if (vimg_ctl_call(context->ctl, VIMG_CONTROL_TRASH_PURGE,
                      (xdrproc_t)xdr_vimg_control_purge_args, &args, NULL, NULL, &local) ||
        is_code(local, VIR_ERR_NO_STORAGE_VOL))
        return TRUE;
    g_propagate_error(error, g_steal_pointer(&local));
    return FALSE;
}

/* Nobody else makes images of the machine meanwhile, nor has names that were made up for once. */
static gboolean
is_ours(VimgUndoContext *context, const VimgImage *image, const char *uuid)
{
    gboolean any = strcmp(uuid, "*") == 0;

    if (*uuid && !any)
        return strcmp(image->uuid, uuid) == 0;
    return (any || strcmp(image->state, "saving") == 0) &&
           (image->machine ? strcmp(image->machine, context->uuid) == 0
                           : g_str_has_prefix(image->name, VIMG_UNDO_PASSING));
}

static gboolean
has_job(const vimg_control_jobs_ret *list, const char *pool, const char *image)
{
    for (guint i = 0; i < list->jobs.jobs_len; i++) {
        const vimg_control_job *job = &list->jobs.jobs_val[i];

        if (job->volume && strcmp(*job->volume, image) == 0 && strcmp(job->pool, pool) == 0)
            return TRUE;
    }
    return FALSE;
}

/*
 * Whether the daemon makes something of or called @image still, for a command that is gone: see
 * vimg_undo_bind().  Where no daemon is, nobody does; where it cannot be asked, somebody may.
 */
static gboolean
is_worked_on(VimgUndoContext *context, const char *pool, const char *image)
{
    vimg_control_jobs_ret list = {0};
    g_autoptr(GError) local = NULL;
    gboolean is;

    if (vimg_ctl_call(context->ctl, VIMG_CONTROL_JOB_LIST, NULL, NULL,
                      (xdrproc_t)xdr_vimg_control_jobs_ret, &list, &local))
        is = has_job(&list, pool, image);
    else
        is = !is_code(local, VIMG_DAEMON_UNREACHABLE);
    xdr_free((xdrproc_t)xdr_vimg_control_jobs_ret, (char *)&list);
    return is;
}

/* One that has no name any more may lie in the trash, where somebody used it still. */
static gboolean
undo_deleted(VimgUndoContext *context, const VimgCtlPool *pool, char *uuid, GError **error)
{
    return !*uuid || strcmp(uuid, "*") == 0 || purge(context, pool, uuid, error);
}

static gboolean
undo_image(VimgUndoContext *context, char **what, GError **error)
{
    g_auto(VimgCtlPool) pool = {0};
    g_autoptr(VimgImage) image = NULL;
    g_autoptr(GError) local = NULL;
    gboolean worked_on;

    if (g_strv_length(what) < 3)
        return TRUE;
    if (!vimg_ctl_find_pool(context->ctl, what[0], &pool, &local))
        return is_code(local, VIR_ERR_NO_STORAGE_POOL);
    worked_on = is_worked_on(context, what[0], what[1]); /* first: then it is there, or never */
    image = vimg_image_find(context->ctl, &pool, what[1], &local);
    if (!image)
        return is_code(local, VIR_ERR_NO_STORAGE_VOL) && !worked_on &&
               undo_deleted(context, &pool, what[2], error);
    if (!is_ours(context, image, what[2]))
        return TRUE;
    g_free(what[2]); /* from now on this one is meant, whatever it is called */
    what[2] = g_strdup(image->uuid);
    if (!vimg_image_delete(context->ctl, image, error))
        return FALSE;
    return strcmp(image->state, "active") != 0 || purge(context, &pool, image->uuid, error);
}

/* ---- machines --------------------------------------------------------------------------- */

typedef gboolean (*DomainStep)(virDomainPtr domain, char **what, GError **error);

static gboolean
with_domain(VimgUndoContext *context, const char *uuid, char **what, DomainStep step,
            GError **error)
{
    virConnectPtr connection = vimg_machine_connect(context->machines, error);
    virDomainPtr domain = connection ? virDomainLookupByUUIDString(connection, uuid) : NULL;
    gboolean ok = FALSE;

    if (domain)
        ok = step(domain, what, error);
    else if (connection)
        ok = virGetLastErrorCode() == VIR_ERR_NO_DOMAIN;
    if (domain)
        virDomainFree(domain);
    if (connection)
        virConnectClose(connection);
    return ok;
}

static gboolean
stop_backup(virDomainPtr domain, char **what, GError **error)
{
    return vimg_backup_stop(domain, what[0], error);
}

static gboolean
undo_backup(VimgUndoContext *context, char **what, GError **error)
{
    return with_domain(context, context->uuid, what, stop_backup, error);
}

static gboolean
drop_checkpoint(virDomainPtr domain, char **what, GError **error)
{
    virDomainCheckpointPtr checkpoint = virDomainCheckpointLookupByName(domain, what[0], 0);
    gboolean ok;

    if (!checkpoint)
        return virGetLastErrorCode() == VIR_ERR_NO_DOMAIN_CHECKPOINT;
    /* one that is shut off cannot be told to give its bitmaps up */
    ok = virDomainCheckpointDelete(checkpoint, virDomainIsActive(domain) == 0
                                                   ? VIR_DOMAIN_CHECKPOINT_DELETE_METADATA_ONLY
                                                   : 0) == 0 ||
         vimg_machine_throw(error);
    virDomainCheckpointFree(checkpoint);
    return ok;
}

static gboolean
undo_checkpoint(VimgUndoContext *context, char **what, GError **error)
{
    return with_domain(context, context->uuid, what, drop_checkpoint, error);
}

static gboolean
thaw(virDomainPtr domain, char **what, GError **error)
{
    return vimg_backup_release(domain, what[0], what[1], vimg_thaw, error);
}

static gboolean
undo_freeze(VimgUndoContext *context, char **what, GError **error)
{
    return !what[1] || with_domain(context, context->uuid, what, thaw, error);
}

static gboolean
resume(virDomainPtr domain, char **what, GError **error)
{
    return vimg_backup_release(domain, what[0], what[1], vimg_backup_resume, error);
}

static gboolean
undo_pause(VimgUndoContext *context, char **what, GError **error)
{
    return !what[1] || with_domain(context, context->uuid, what, resume, error);
}

static gboolean
undo_file(VimgUndoContext *context, char **what, GError **error)
{
    g_autofree char *mark = vimg_file_mark(what[0]);

    if (!mark || (what[1] && strcmp(mark, what[1]) != 0))
        return TRUE;
    return unlink(what[0]) == 0 || errno == ENOENT || vimg_throw_errno(error, "'%s'", what[0]);
}

static gboolean
rename_back(virDomainPtr domain, char **what, GError **error)
{
    int active = virDomainIsActive(domain);
    g_autofree char *dir = g_path_get_dirname(what[1]);

    if (active != 0) /* of one that was started since, nothing is changed: both files stay */
        return active > 0 || vimg_machine_throw(error);
    if (rename(what[0], what[1]) < 0)
        return errno == ENOENT || vimg_throw_errno(error, "'%s'", what[1]);
    /* where both are the same file still, neither went */
    if (unlink(what[0]) < 0 && errno != ENOENT)
        return vimg_throw_errno(error, "'%s'", what[0]);
    return vimg_dir_sync(dir, error);
}

static gboolean
undo_rename(VimgUndoContext *context, char **what, GError **error)
{
    return !what[1] || with_domain(context, context->uuid, what, rename_back, error);
}

/* What libvirt lists is what was there when it looked last: that there is none is believed when it
 * has looked again. */
static virStorageVolPtr
find_volume(virStoragePoolPtr pool, const char *name)
{
    virStorageVolPtr volume = virStorageVolLookupByName(pool, name);

    if (volume || virGetLastErrorCode() != VIR_ERR_NO_STORAGE_VOL ||
        virStoragePoolRefresh(pool, 0) < 0)
        return volume;
    return virStorageVolLookupByName(pool, name);
}

static gboolean
drop_volume(virConnectPtr connection, char **what, GError **error)
{
    virStoragePoolPtr pool = virStoragePoolLookupByName(connection, what[0]);
    virStorageVolPtr volume = pool ? find_volume(pool, what[1]) : NULL;
    gboolean ok;

    if (volume) {
        ok = virStorageVolDelete(volume, 0) == 0 || vimg_machine_throw(error);
        virStorageVolFree(volume);
    } else {
        int code = virGetLastErrorCode();

        ok = code == VIR_ERR_NO_STORAGE_POOL || code == VIR_ERR_NO_STORAGE_VOL;
    }
    if (pool)
        virStoragePoolFree(pool);
    return ok;
}

/* Whether the daemon makes nothing of @image any more: it is gone, which comes first, as nothing
 * new can begin then; and nothing works on it. */
static gboolean
is_over(VimgUndoContext *context, const char *pool_name, const char *name)
{
    g_auto(VimgCtlPool) pool = {0};
    g_autoptr(VimgImage) image = NULL;
    g_autoptr(GError) local = NULL;

    if (!vimg_ctl_find_pool(context->ctl, pool_name, &pool, &local))
        return is_code(local, VIR_ERR_NO_STORAGE_POOL);
    image = vimg_image_find(context->ctl, &pool, name, &local);
    return !image && is_code(local, VIR_ERR_NO_STORAGE_VOL) &&
           !is_worked_on(context, pool_name, name);
}

/* What the daemon makes may come when nobody waits for it any more. */
static gboolean
undo_volume(VimgUndoContext *context, char **what, GError **error)
{
    virConnectPtr connection = NULL;
    gboolean ok, over;

    if (!what[1])
        return TRUE;
    over = !what[2] || !what[3] || is_over(context, what[2], what[3]);
    connection = vimg_machine_connect(context->machines, error);
    ok = connection && drop_volume(connection, what, error) && over;
    if (connection)
        virConnectClose(connection);
    return ok;
}

static gboolean
undefine(virDomainPtr domain, char **what, GError **error)
{
    if (virDomainIsActive(domain) == 1 && virDomainDestroy(domain) < 0)
        return vimg_machine_throw(error);
    return virDomainUndefineFlags(domain, VIR_DOMAIN_UNDEFINE_NVRAM |
                                              VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA) == 0 ||
           virGetLastErrorCode() == VIR_ERR_NO_DOMAIN || vimg_machine_throw(error);
}

static gboolean
undo_domain(VimgUndoContext *context, char **what, GError **error)
{
    return with_domain(context, what[0], what, undefine, error);
}

gboolean
vimg_undo_step(VimgUndoContext *context, VimgUndoKind kind, char **what, GError **error)
{
    static gboolean (*const steps[])(VimgUndoContext *, char **, GError **) = {
        [VIMG_UNDO_IMAGE] = undo_image,   [VIMG_UNDO_BACKUP] = undo_backup,
        [VIMG_UNDO_FREEZE] = undo_freeze, [VIMG_UNDO_CHECKPOINT] = undo_checkpoint,
        [VIMG_UNDO_FILE] = undo_file,     [VIMG_UNDO_VOLUME] = undo_volume,
        [VIMG_UNDO_RENAME] = undo_rename, [VIMG_UNDO_DOMAIN] = undo_domain,
        [VIMG_UNDO_PAUSE] = undo_pause,
    };
    G_STATIC_ASSERT(G_N_ELEMENTS(steps) == VIMG_N_UNDO);

    return !what[0] || steps[kind](context, what, error);
}
