/*
 * erase.c: removing images for good
 *
 * The image at the control endpoint goes first: it may be in use, and then all stays as it is.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "claim.h"
#include "erase.h"
#include "import.h"
#include "multipart.h"
#include "rollback.h"
#include "throw.h"

#define REST (G_USEC_PER_SEC / 4)

static gboolean
check_unused(const VimgCloudImage *image, GError **error)
{
    return !image->in_use ||
           throw_error(
               error, VIMG_ERROR_OPERATION_INVALID,
               _("image '%s' of the control endpoint is in use; delete first what was made from it"),
               image->id);
}

gboolean
vimg_ebs_throw_no_control(const char *image_id, GError **error)
{
    return throw_error(
        error, VIMG_ERROR_OPERATION_INVALID,
        _("image '%s' lies at a control endpoint that the pool no longer has; give it back by virsh pool-edit"),
        image_id);
}

static gboolean
erase_image(VimgEbsSite *site, const VimgEbsRecord *record, const VimgPatience *patience,
            GError **error)
{
    const char *id = record->image_id;

    if (!id)
        return TRUE;
    if (!site->control)
        return vimg_ebs_throw_no_control(id, error);
    for (;;) {
        g_auto(VimgCloudImage) image = {0};

        if (!vimg_control_describe_image(site->control, id, NULL, &image, patience, error))
            return FALSE;
        if (image.state == VIMG_CLOUD_IMAGE_ABSENT)
            return TRUE;
        if (!vimg_ebs_is_own_image(&image, record->info.uuid)) {
            vimg_ebs_warn("image '%s' of the control endpoint is not ours and stays", id);
            return TRUE;
        }
        if (!check_unused(&image, error) ||
            !vimg_control_delete_image(site->control, id, patience, error) ||
            !vimg_patience_sleep(patience, REST, error))
            return FALSE;
    }
}

/* What this host began with it ends first, if it can be used meanwhile or not. */
static gboolean
end_journal(VimgEbsStore *store, VimgEbsSite *site, const VimgEbsRecord *record,
            const VimgPatience *patience, GError **error)
{
    g_autoptr(VimgEbsJournal) journal = vimg_ebs_journal_load(store, record->info.uuid, error);
    gboolean active = FALSE;

    if (!journal)
        return FALSE;
    if (!journal->uuid || journal->step == VIMG_EBS_UPLOADING)
        return TRUE;
    if (!vimg_ebs_rollback(store, site, journal, patience, &active, error))
        return FALSE;
    return !active || !vimg_ebs_record_is_staged(record) ||
           throw_error(error, VIMG_ERROR_OPERATION_INVALID,
                       _("the image has just become active; refresh the pool"));
}

/* Of one that is not complete there may be an object, too: of whom completed it, and died. */
static gboolean
erase_object(VimgEbsSite *site, const VimgEbsRecord *record, const VimgPatience *patience,
             GError **error)
{
    g_autofree char *key = record->key ? g_strdup(record->key)
                                       : vimg_ebs_key(site, record->info.uuid, record->info.name);

    return vimg_ebs_drop_object(site, key, record->info.uuid, record->etag, record->version,
                                patience, error) &&
           (!record->key || !record->upload ||
            vimg_oss_upload_abort(site->oss, key, record->upload, patience, error)) &&
           vimg_ebs_abort_uploads(site, record->info.uuid, patience, error);
}

gboolean
vimg_ebs_erase_content(VimgEbsStore *store, VimgEbsSite *site, const VimgEbsRecord *record,
                       const VimgPatience *patience, GError **error)
{
    if (!end_journal(store, site, record, patience, error) ||
        !erase_image(site, record, patience, error) || !erase_object(site, record, patience, error))
        return FALSE;
    vimg_ebs_journal_drop(store, record->info.uuid);
    return TRUE;
}

gboolean
vimg_ebs_erase(VimgEbsStore *store, VimgEbsSite *site, const VimgEbsRecord *record,
               const VimgPatience *patience, GError **error)
{
    const char *uuid = record->info.uuid;
    g_autofree char *key = vimg_ebs_key(site, "records", uuid);

    return vimg_ebs_erase_content(store, site, record, patience, error) &&
           vimg_ebs_claim_release(site, record->info.name, uuid, patience, error) &&
           vimg_oss_delete(site->oss, key, NULL, patience, error);
}
