/*
 * clone.c: images with the content of another one, copied inside of the storage
 *
 * The bucket copies the object, and the control endpoint its image: nothing passes this host.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "claim.h"
#include "clone.h"
#include "copy.h"
#include "hold.h"
#include "image.h"
#include "import.h"
#include "reader.h"
#include "rollback.h"
#include "writer.h"
#include "throw.h"

typedef struct {
    VimgEbsStore *store;
    VimgEbsSite *site;
    VimgPluginJob *job;
    VimgPatience patience;
    VimgEbsRecord *source;
    VimgEbsRecord *record; /* the new image */
    VimgEbsJournal *journal;
    VimgEbsHold hold;
} Clone;

static void
clone_clear(Clone *clone)
{
    vimg_ebs_hold_clear(&clone->hold);
    vimg_ebs_journal_free(clone->journal);
    vimg_ebs_record_free(clone->record);
    vimg_ebs_record_free(clone->source);
    vimg_ebs_site_unref(clone->site);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Clone, clone_clear)

static void
show(gpointer data, guint64 done, guint64 total)
{
    const Clone *clone = data;

    vimg_ebs_progress(clone->job, "copying", done, total);
}

static void
describe(Clone *clone, const VimgPluginImage *image)
{
    VimgPluginImage *info;

    clone->record = vimg_ebs_record_new(image);
    info = &clone->record->info;
    vimg_ebs_record_empty(clone->record);
    vimg_ebs_set(&info->format, clone->source->info.format);
    vimg_ebs_set(&info->parent, clone->source->info.uuid);
    vimg_ebs_set(&clone->record->crc, clone->source->crc);
    info->capacity = clone->source->info.capacity;
    info->physical = info->allocation = clone->source->info.physical;
    if (info->created == 0)
        info->created = vimg_ebs_now(clone->site);

    clone->journal = g_new0(VimgEbsJournal, 1);
    clone->journal->clone = TRUE;
    clone->journal->attempt = g_uuid_string_random();
    clone->journal->uuid = g_strdup(info->uuid);
    clone->journal->name = g_strdup(info->name);
    clone->journal->key = vimg_ebs_key(clone->site, info->uuid, info->name);
    clone->journal->record = vimg_ebs_record_format(clone->record);
}

/* The parts of a copy that is not complete are known to nobody else. */
static gboolean
begun(gpointer data, const char *id, GError **error)
{
    Clone *clone = data;

    vimg_ebs_set(&clone->journal->upload, id);
    return vimg_ebs_journal_note(clone->store, clone->journal, VIMG_EBS_COMPLETING, error);
}

static gboolean
copy_object(Clone *clone, const VimgOssObject *from, GError **error)
{
    VimgEbsJournal *journal = clone->journal;
    g_autoptr(GPtrArray) metadata = vimg_ebs_metadata(journal->uuid);
    g_auto(VimgOssObject) made = {0};
    VimgOssCopy copy = {.from = clone->source->key,
                        .object = from,
                        .to = journal->key,
                        .metadata = metadata,
                        .exclusive = TRUE,
                        .patience = &clone->patience,
                        .begun = begun,
                        .progress = show,
                        .data = clone};

    if (!vimg_oss_copy(clone->site->oss, &copy, &made, error))
        return vimg_ebs_throw_taken(journal->key, error);
    if (!vimg_oss_head(clone->site->oss, journal->key, &made, &clone->patience, error))
        return FALSE;
    vimg_ebs_set(&journal->etag, made.etag);
    vimg_ebs_set(&journal->version, made.version);
    return vimg_ebs_journal_note(clone->store, journal, VIMG_EBS_COMPLETED, error);
}

/* One whose object alone there is stays so; another way there is the object's. */
static gboolean
make(Clone *clone, const VimgOssObject *from, VimgPluginImage *out, GError **error)
{
    const char *image_id = clone->source->image_id;

    if (!copy_object(clone, from, error) ||
        !vimg_ebs_hold_confirm(&clone->hold, &clone->patience, error))
        return FALSE;
    if (clone->site->control && image_id &&
        !vimg_ebs_import_copy(clone->store, clone->site, clone->journal, image_id,
                              &clone->record->info, clone->job, error))
        return FALSE;
    return vimg_ebs_commit(clone->store, clone->site, clone->journal, &clone->patience, out, error);
}

static gboolean
find_source(Clone *clone, const char *uuid, VimgOssObject *object, GError **error)
{
    g_autoptr(GError) local = NULL;

    clone->source = vimg_ebs_image_find(clone->site, uuid, &clone->patience, error);
    if (!clone->source)
        return FALSE;
    if (vimg_ebs_record_is_staged(clone->source))
        return throw_error(error, VIMG_ERROR_OPERATION_INVALID, _("the image is not complete"));
    if (vimg_ebs_head(clone->site, clone->source, object, &clone->patience, &local))
        return TRUE;
    if (vimg_ebs_is_gone(local))
        return throw_error(error, VIMG_ERROR_NO_SUPPORT, _("object '%s' is gone"),
                           clone->source->key);
    g_propagate_error(error, g_steal_pointer(&local));
    return FALSE;
}

static gboolean
clone_held(Clone *clone, const VimgOssObject *object, VimgPluginImage *out, GError **error)
{
    VimgEbsJournal *journal = clone->journal;
    g_autoptr(GError) local = NULL;

    if (!vimg_ebs_journal_note(clone->store, journal, VIMG_EBS_COMPLETING, error))
        return FALSE;
    if (vimg_ebs_claim_take(clone->store, clone->site, journal->name, journal->uuid,
                            &clone->patience, &local) &&
        make(clone, object, out, &local))
        return TRUE;
    if (g_error_matches(local, VIMG_ERROR, VIMG_ERROR_VOL_EXISTS)) /* nothing was begun */
        vimg_ebs_journal_drop(clone->store, journal->uuid);
    else if (vimg_ebs_undo(clone->store, clone->site, journal, out, &local))
        return TRUE;
    g_propagate_error(error, g_steal_pointer(&local));
    return FALSE;
}

gboolean
vimg_ebs_clone(VimgEbsStore *store, const char *source, const VimgPluginImage *image,
               VimgPluginJob *job, VimgPluginImage *out, GError **error)
{
    g_auto(Clone) clone = {.store = store,
                           .site = vimg_ebs_store_site(store),
                           .job = job,
                           .patience = vimg_ebs_patience(job)};
    g_auto(VimgOssObject) object = {0};

    if (!find_source(&clone, source, &object, error) ||
        !vimg_ebs_admit(store, object.size, error) ||
        !vimg_ebs_hold(&clone.hold, store, clone.site, image->uuid, &clone.patience, error))
        return FALSE;
    describe(&clone, image);
    return clone_held(&clone, &object, out, error);
}
