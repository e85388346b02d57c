/*
 * remove-all.c: removing all that is ours from a bucket
 *
 * Nothing is removed while something speaks against it: an upload that runs, an image that is in
 * use. The bucket itself stays, and so does what does not carry our metadata.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "claim.h"
#include "cleanup.h"
#include "erase.h"
#include "listing.h"
#include "multipart.h"
#include "rollback.h"
#include "../imagestore/throw.h"

typedef struct {
    VimgEbsStore *store;
    VimgEbsSite *site;
    VimgPluginJob *job;
    VimgPatience patience;
} Removal;

static gboolean
check_record(const Removal *removal, const VimgEbsRecord *record, GError **error)
{
    g_auto(VimgCloudImage) image = {0};

    if (!vimg_ebs_live_check(removal->store, removal->site, record->info.uuid, &removal->patience,
                             error))
        return FALSE;
    if (!record->image_id || !removal->site->control)
        return TRUE;
    if (!vimg_control_describe_image(removal->site->control, record->image_id, NULL, &image,
                                     &removal->patience, error))
        return FALSE;
    return !image.in_use ||
           throw_error(
               error, VIMG_ERROR_OPERATION_INVALID,
               _("image '%s' of the control endpoint is in use; delete first what was made from it"),
               image.id);
}

static gboolean
each_record(const Removal *removal, const GPtrArray *records, gboolean check, GError **error)
{
    guint i;

    for (i = 0; i < records->len; i++) {
        const VimgEbsRecord *record = records->pdata[i];
        gboolean ok = vimg_ebs_check_job(removal->job, error);

        ok = ok && (check ? check_record(removal, record, error)
                          : vimg_ebs_erase(removal->store, removal->site, record,
                                           &removal->patience, error));
        if (!ok) {
            g_prefix_error(error, "'%s': ", record->info.name);
            return FALSE;
        }
    }
    return TRUE;
}

static gboolean
remove_object(gpointer data, const VimgOssEntry *entry, GError **error)
{
    const Removal *removal = data;
    g_autofree char *id = g_strconcat(removal->site->prefix, "/id", NULL);
    g_auto(VimgOssObject) object = {0};
    g_autoptr(GError) local = NULL;

    if (!vimg_ebs_check_job(removal->job, error))
        return FALSE;
    if (strcmp(entry->key, id) == 0)
        return TRUE;
    if (!vimg_oss_head(removal->site->oss, entry->key, &object, &removal->patience, &local)) {
        if (vimg_ebs_is_gone(local))
            return TRUE;
        g_propagate_error(error, g_steal_pointer(&local));
        return FALSE;
    }
    if (vimg_pairs_get(object.metadata, VIMG_EBS_TAG))
        return vimg_oss_delete_same(removal->site->oss, entry->key, object.etag, object.version,
                                    &removal->patience, error);
    vimg_ebs_warn("object '%s' is not ours and stays", entry->key);
    return TRUE;
}

static gboolean
abort_uploads(const Removal *removal, GError **error)
{
    g_autofree char *prefix = g_strconcat(removal->site->prefix, "/", NULL);
    gboolean more = !vimg_oss_is_s3(removal->site->oss);

    while (more) {
        g_autoptr(VimgOssPage) page = vimg_oss_list_uploads(removal->site->oss, prefix, NULL, NULL,
                                                            &removal->patience, error);
        guint i;

        if (!page)
            return FALSE;
        for (i = 0; i < page->pending->len; i++) {
            const VimgOssPending *pending = page->pending->pdata[i];

            if (!vimg_oss_upload_abort(removal->site->oss, pending->key, pending->id,
                                       &removal->patience, error))
                return FALSE;
        }
        more = page->truncated && page->pending->len > 0;
    }
    return TRUE;
}

gboolean
vimg_ebs_remove_all(VimgEbsStore *store, VimgPluginJob *job, GError **error)
{
    g_autoptr(VimgEbsSite) site = vimg_ebs_store_site(store);
    Removal removal = {
        .store = store, .site = site, .job = job, .patience = vimg_ebs_patience(job)};
    g_autoptr(GPtrArray) records = NULL;
    g_autofree char *id = g_strconcat(site->prefix, "/id", NULL);

    if (!vimg_ebs_replay(store, job, FALSE, NULL, NULL, error))
        return FALSE;
    records = vimg_ebs_list_records(store, site, TRUE, &removal.patience, error);
    return records && each_record(&removal, records, TRUE, error) &&
           each_record(&removal, records, FALSE, error) &&
           vimg_ebs_each_object(site, "", remove_object, &removal, &removal.patience, error) &&
           abort_uploads(&removal, error) &&
           vimg_oss_delete(site->oss, id, NULL, &removal.patience, error);
}
