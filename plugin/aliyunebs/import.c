/*
 * import.c: objects that become images of the block storage
 *
 * The endpoint works by itself, for minutes or hours, and is asked how far it is.  That it cannot
 * be asked for a while ends nothing.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "import.h"
#include "throw.h"

#define REST_FIRST (G_USEC_PER_SEC / 4)
#define REST_MOST (30 * G_USEC_PER_SEC)
#define LIMIT_LEAST 3600                       /* seconds */
#define LIMIT_SPEED ((guint64)2 * 1024 * 1024) /* bytes a second that it makes at least */
#define NAME_ROOM 70                           /* bytes of the image's own name */

static const char *const importable[] = {"raw", "qcow2", "vmdk", "vpc", NULL};

gboolean
vimg_ebs_import_wanted(const VimgEbsSite *site, const char *format)
{
    return site->control && format && g_strv_contains(importable, format);
}

/* Returns: (transfer full) a name the endpoint takes, and which no other attempt has. */
static char *
make_name(const char *name, const char *uuid, const char *token)
{
    g_autofree char *own = g_strndup(name, NAME_ROOM);

    g_strcanon(own, G_CSET_A_2_Z G_CSET_a_2_z G_CSET_DIGITS "._-", '-');
    return g_strdup_printf("vi-%s-%s-%.8s", own, uuid, token);
}

gboolean
vimg_ebs_is_own_image(const VimgCloudImage *image, const char *uuid)
{
    const char *tag = image->tags ? g_hash_table_lookup(image->tags, VIMG_EBS_TAG) : NULL;

    if (tag)
        return strcmp(tag, uuid) == 0;
    return image->name && g_str_has_prefix(image->name, "vi-") && strstr(image->name, uuid);
}

/* ---- waiting ---------------------------------------------------------------------------- */

typedef struct {
    VimgEbsSite *site;
    VimgPluginJob *job;
    const char *phase;
    guint64 size; /* bytes of content */
    gint64 deadline;
    gint64 rest;
} Wait;

static Wait
wait_new(VimgEbsSite *site, VimgPluginJob *job, const char *phase, guint64 size)
{
    gint64 seconds = LIMIT_LEAST + (gint64)(size / LIMIT_SPEED);

    vimg_ebs_progress(job, phase, 0, size);
    return (Wait){.site = site,
                  .job = job,
                  .phase = phase,
                  .size = size,
                  .deadline = g_get_monotonic_time() + seconds * G_USEC_PER_SEC,
                  .rest = REST_FIRST};
}

static gboolean
rest(Wait *wait, GError **error)
{
    VimgPatience patience = vimg_ebs_patience(wait->job);

    if (g_get_monotonic_time() > wait->deadline)
        return throw_error(error, VIMG_ERROR_TIMEOUT,
                           _("the control endpoint does not come to an end"));
    if (!vimg_patience_sleep(&patience, wait->rest, error))
        return FALSE;
    wait->rest = MIN(wait->rest * 2, REST_MOST);
    return TRUE;
}

/* What may be another way the next time. */
static gboolean
is_passing(const GError *error)
{
    return g_error_matches(error, VIMG_ERROR, VIMG_ERROR_DISCONNECTED) ||
           g_error_matches(error, VIMG_ERROR, VIMG_ERROR_BUSY) ||
           g_error_matches(error, VIMG_ERROR, VIMG_ERROR_INTERNAL) ||
           g_error_matches(error, VIMG_ERROR, VIMG_ERROR_TIMEOUT);
}

/* @task: as it was at its end. */
static gboolean
wait_task(Wait *wait, const char *id, VimgTask *task, GError **error)
{
    VimgPatience patience = vimg_ebs_patience(wait->job);

    do {
        g_autoptr(GError) local = NULL;

        vimg_task_clear(task);
        if (!vimg_control_describe_task(wait->site->control, id, task, &patience, &local)) {
            if (!is_passing(local)) {
                g_propagate_error(error, g_steal_pointer(&local));
                return FALSE;
            }
            continue;
        }
        vimg_ebs_progress(wait->job, wait->phase, wait->size / 100 * task->percent, wait->size);
        if (task->state == VIMG_TASK_FINISHED)
            return TRUE;
        if (task->state == VIMG_TASK_FAILED)
            return throw_error(error, VIMG_ERROR_FAILED,
                               _("task '%1$s' of the control endpoint failed: %2$s"), id,
                               task->reason ? task->reason : _("it does not say why"));
    } while (rest(wait, error));
    return FALSE;
}

static gboolean
wait_image(Wait *wait, const char *id, GError **error)
{
    VimgPatience patience = vimg_ebs_patience(wait->job);

    do {
        g_auto(VimgCloudImage) image = {0};
        g_autoptr(GError) local = NULL;

        if (!vimg_control_describe_image(wait->site->control, id, NULL, &image, &patience,
                                         &local)) {
            if (!is_passing(local)) {
                g_propagate_error(error, g_steal_pointer(&local));
                return FALSE;
            }
            continue;
        }
        if (image.state == VIMG_CLOUD_IMAGE_AVAILABLE)
            return TRUE;
        if (image.state != VIMG_CLOUD_IMAGE_WAITING)
            return throw_error(error, VIMG_ERROR_FAILED,
                               image.state == VIMG_CLOUD_IMAGE_ABSENT
                                   ? _("the control endpoint gave image '%s' up")
                                   : _("the control endpoint could not make image '%s'"),
                               id);
    } while (rest(wait, error));
    return FALSE;
}

/* ---- what is asked for ------------------------------------------------------------------ */

static gboolean
announce(VimgEbsStore *store, VimgEbsJournal *journal, const char *name, GError **error)
{
    if (!journal->token) {
        journal->token = g_uuid_string_random();
        journal->image_name = make_name(name, journal->uuid, journal->token);
    }
    return vimg_ebs_journal_note(store, journal, VIMG_EBS_IMPORTING, error);
}

gboolean
vimg_ebs_import_ask(VimgEbsSite *site, VimgEbsJournal *journal, const VimgPluginImage *info,
                    const VimgPatience *patience, GError **error)
{
    VimgImport import = {
        .token = journal->token,
        .name = journal->image_name,
        .bucket = vimg_oss_bucket(site->oss),
        .key = journal->key,
        .format = info->format,
        .arch = info->arch,
        .size = info->capacity,
        .tag = VIMG_EBS_TAG,
        .tag_value = journal->uuid,
    };

    g_clear_pointer(&journal->image_id, g_free);
    return vimg_control_import(site->control, &import, &journal->image_id, &journal->task_id,
                               patience, error);
}

gboolean
vimg_ebs_import(VimgEbsStore *store, VimgEbsSite *site, VimgEbsJournal *journal,
                const VimgPluginImage *info, VimgPluginJob *job, GError **error)
{
    Wait wait = wait_new(site, job, "importing", info->physical);
    VimgPatience patience = vimg_ebs_patience(job);
    g_auto(VimgTask) task = {0};

    if (!announce(store, journal, info->name, error) ||
        (!journal->task_id && !vimg_ebs_import_ask(site, journal, info, &patience, error)) ||
        !vimg_ebs_journal_note(store, journal, VIMG_EBS_IMPORTING, error))
        return FALSE;
    return wait_task(&wait, journal->task_id, &task, error) &&
           wait_image(&wait, journal->image_id, error);
}

gboolean
vimg_ebs_import_copy(VimgEbsStore *store, VimgEbsSite *site, VimgEbsJournal *journal,
                     const char *source, const VimgPluginImage *info, VimgPluginJob *job,
                     GError **error)
{
    Wait wait = wait_new(site, job, "importing", info->physical);
    VimgPatience patience = vimg_ebs_patience(job);

    return announce(store, journal, info->name, error) &&
           vimg_control_copy(site->control, source, journal->image_name, journal->token,
                             &journal->image_id, &patience, error) &&
           vimg_ebs_journal_note(store, journal, VIMG_EBS_IMPORTING, error) &&
           wait_image(&wait, journal->image_id, error);
}

char **
vimg_ebs_import_export(VimgEbsStore *store, VimgEbsSite *site, VimgEbsJournal *journal,
                       const VimgEbsRecord *record, VimgPluginJob *job, GError **error)
{
    Wait wait = wait_new(site, job, "exporting", record->info.physical);
    VimgPatience patience = vimg_ebs_patience(job);
    g_auto(VimgTask) task = {0};

    if (!vimg_control_export(site->control, record->image_id, vimg_oss_bucket(site->oss),
                             journal->image_name, record->info.format, &journal->task_id, &patience,
                             error) ||
        !vimg_ebs_journal_note(store, journal, VIMG_EBS_EXPORTING, error) ||
        !wait_task(&wait, journal->task_id, &task, error))
        return NULL;
    if (task.objects && *task.objects)
        return g_steal_pointer(&task.objects);
    throw_error(error, VIMG_ERROR_INTERNAL,
                _("the control endpoint does not say where it exported image '%s' to"),
                record->image_id);
    return NULL;
}
