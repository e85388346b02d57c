/*
 * remove-all.c: removing all that is ours from a bucket
 *
 * Nothing is removed while something speaks against it: an upload that runs, an image that is in
 * use.  The bucket itself stays, and so does what does not carry our metadata, or lies where
 * nothing of this storage does: others may have theirs below its prefix.  The id goes last.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "claim.h"
#include "cleanup.h"
#include "erase.h"
#include "hold.h"
#include "import.h"
#include "listing.h"
#include "multipart.h"
#include "rollback.h"
#include "throw.h"

typedef struct {
    VimgEbsStore *store;
    VimgEbsSite *site;
    VimgPluginJob *job;
    VimgPatience patience;

    /* of the versions of @key that were seen */
    char *key;
    gboolean ours;
    gboolean others;
    GPtrArray *marks; /* of char, their ids */
} Removal;

static gboolean
check_record(const Removal *removal, const VimgEbsRecord *record, GError **error)
{
    g_auto(VimgCloudImage) image = {0};

    if (!vimg_ebs_live_check(removal->store, removal->site, record->info.uuid, &removal->patience,
                             error))
        return FALSE;
    if (!record->image_id)
        return TRUE;
    if (!removal->site->control)
        return vimg_ebs_throw_no_control(record->image_id, error);
    if (!vimg_control_describe_image(removal->site->control, record->image_id, NULL, &image,
                                     &removal->patience, error))
        return FALSE;
    return !image.in_use || !vimg_ebs_is_own_image(&image, record->info.uuid) ||
           throw_error(
               error, VIMG_ERROR_OPERATION_INVALID,
               _("image '%s' of the control endpoint is in use; delete first what was made from it"),
               image.id);
}

static gboolean
erase_record(const Removal *removal, const VimgEbsRecord *record, GError **error)
{
    g_auto(VimgEbsHold) hold = {0};

    return vimg_ebs_hold(&hold, removal->store, removal->site, record->info.uuid,
                         &removal->patience, error) &&
           vimg_ebs_erase(removal->store, removal->site, record, &removal->patience, error);
}

static gboolean
each_record(const Removal *removal, const GPtrArray *records, gboolean check, GError **error)
{
    guint i;

    for (i = 0; i < records->len; i++) {
        const VimgEbsRecord *record = records->pdata[i];
        gboolean ok = vimg_ebs_check_job(removal->job, error);

        ok = ok &&
             (check ? check_record(removal, record, error) : erase_record(removal, record, error));
        if (!ok) {
            g_prefix_error(error, "'%s': ", record->info.name);
            return FALSE;
        }
    }
    return TRUE;
}

/* Returns: (transfer full) uuid of what @key is of, "" if it says none; NULL: it is not ours. */
static char *
owner_of(const VimgEbsSite *site, const char *key)
{
    static const char *const kinds[] = {"names/", "records/", "live/", "doctor/"};
    const char *rest = key + strlen(site->prefix) + 1;
    gsize i;

    for (i = 0; i < G_N_ELEMENTS(kinds); i++) {
        const char *name = rest + strlen(kinds[i]);

        if (!g_str_has_prefix(rest, kinds[i]))
            continue;
        /* what lies deeper may be of a storage of its own */
        if (strchr(name, '/') || (i > 0 && !g_uuid_string_is_valid(name)))
            return NULL;
        return g_strdup(i > 0 ? name : "");
    }
    return vimg_ebs_uuid_in(site, key);
}

/* Also what has no record yet may be at work: a clone of another host. */
static gboolean
check_live(gpointer data, const VimgOssEntry *entry, GError **error)
{
    const Removal *removal = data;
    const char *uuid = strrchr(entry->key, '/') + 1;

    return vimg_ebs_check_job(removal->job, error) &&
           (!g_uuid_string_is_valid(uuid) ||
            vimg_ebs_live_check(removal->store, removal->site, uuid, &removal->patience, error));
}

static gboolean
is_ours(const VimgOssObject *object, const char *owner)
{
    const char *tag = vimg_pairs_get(object->metadata, VIMG_EBS_TAG);

    return tag && owner && (!*owner || strcmp(tag, owner) == 0);
}

static gboolean
remove_object(gpointer data, const VimgOssEntry *entry, GError **error)
{
    const Removal *removal = data;
    g_autofree char *id = g_strconcat(removal->site->prefix, "/id", NULL);
    g_autofree char *owner = owner_of(removal->site, entry->key);
    g_auto(VimgOssObject) object = {0};
    gboolean there;

    if (!vimg_ebs_check_job(removal->job, error))
        return FALSE;
    if (strcmp(entry->key, id) == 0)
        return TRUE;
    if (!vimg_ebs_look(removal->site, entry->key, &object, &there, &removal->patience, error))
        return FALSE;
    if (!there)
        return TRUE;
    if (is_ours(&object, owner))
        return vimg_ebs_delete_seen(removal->site, entry->key, &object, &removal->patience, error);
    vimg_ebs_warn("object '%s' is not ours and stays", entry->key);
    return TRUE;
}

/* Marks of a removal are ours, too, if nothing of others lies below them. */
static gboolean
end_key(Removal *removal, const char *next, GError **error)
{
    gboolean wanted = removal->ours && !removal->others;
    guint i;

    for (i = 0; wanted && i < removal->marks->len; i++)
        if (!vimg_oss_delete(removal->site->oss, removal->key, removal->marks->pdata[i],
                             &removal->patience, error))
            return FALSE;
    g_ptr_array_set_size(removal->marks, 0);
    removal->ours = removal->others = FALSE;
    vimg_ebs_set(&removal->key, next);
    return TRUE;
}

static gboolean
remove_version(gpointer data, const VimgOssPending *version, GError **error)
{
    Removal *removal = data;
    VimgOss *oss = removal->site->oss;
    g_autofree char *owner = owner_of(removal->site, version->key);
    g_auto(VimgOssObject) object = {0};

    if (!vimg_ebs_check_job(removal->job, error) ||
        (g_strcmp0(removal->key, version->key) != 0 && !end_key(removal, version->key, error)))
        return FALSE;
    if (!owner)
        return TRUE;
    if (version->mark) {
        if (removal->marks->len < VIMG_OSS_PAGE_MAX)
            g_ptr_array_add(removal->marks, g_strdup(version->id));
        return TRUE;
    }
    if (!vimg_oss_head_version(oss, version->key, version->id, &object, &removal->patience, error))
        return FALSE;
    if (!is_ours(&object, owner))
        return removal->others = TRUE;
    removal->ours = TRUE;
    return vimg_oss_delete(oss, version->key, version->id, &removal->patience, error);
}

static gboolean
remove_versions(Removal *removal, GError **error)
{
    gboolean ok;

    removal->marks = g_ptr_array_new_with_free_func(g_free);
    ok = vimg_ebs_each_version(removal->site, remove_version, removal, &removal->patience, error) &&
         end_key(removal, NULL, error);
    g_ptr_array_unref(removal->marks);
    g_free(removal->key);
    return ok;
}

static gboolean
remove_id(const Removal *removal, GError **error)
{
    g_autofree char *key = g_strconcat(removal->site->prefix, "/id", NULL);
    g_auto(VimgOssObject) object = {0};
    gboolean there;

    return vimg_ebs_look(removal->site, key, &object, &there, &removal->patience, error) &&
           (!there ||
            vimg_oss_delete(removal->site->oss, key, object.version, &removal->patience, error));
}

static gboolean
remove_upload(gpointer data, const VimgOssPending *pending, GError **error)
{
    const Removal *removal = data;
    g_autofree char *owner = vimg_ebs_uuid_in(removal->site, pending->key);

    return vimg_ebs_check_job(removal->job, error) &&
           (!owner || vimg_oss_upload_abort(removal->site->oss, pending->key, pending->id,
                                            &removal->patience, error));
}

gboolean
vimg_ebs_remove_all(VimgEbsStore *store, VimgPluginJob *job, GError **error)
{
    g_autoptr(VimgEbsSite) site = vimg_ebs_store_site(store);
    Removal removal = {
        .store = store, .site = site, .job = job, .patience = vimg_ebs_patience(job)};
    const VimgPatience *patience = &removal.patience;
    g_autoptr(GHashTable) unreadable = vimg_ebs_unreadable_new();
    g_autoptr(GPtrArray) records = NULL;

    if (!vimg_ebs_replay(store, job, FALSE, NULL, NULL, error))
        return FALSE;
    records = vimg_ebs_list_records(store, site, unreadable, patience, error);
    return records && each_record(&removal, records, TRUE, error) &&
           vimg_ebs_each_object(site, "live", check_live, &removal, patience, error) &&
           each_record(&removal, records, FALSE, error) &&
           vimg_ebs_each_object(site, "", remove_object, &removal, patience, error) &&
           vimg_ebs_each_upload(site, "", remove_upload, &removal, patience, error) &&
           remove_versions(&removal, error) && remove_id(&removal, error);
}
