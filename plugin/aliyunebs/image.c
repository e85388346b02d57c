/*
 * image.c: the images of a store, and those in its trash
 *
 * An image in the trash is one whose record says since when: its content stays where it is, and so
 * does what the control endpoint made of it.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "claim.h"
#include "erase.h"
#include "hold.h"
#include "image.h"
#include "listing.h"
#include "promise.h"
#include "throw.h"

gboolean
vimg_ebs_image_list(VimgEbsStore *store, gboolean trash, gboolean whole, VimgImageSink sink,
                    gpointer data, GError **error)
{
    g_autoptr(VimgEbsSite) site = vimg_ebs_store_site(store);
    VimgPatience patience = vimg_ebs_patience(NULL);
    g_autoptr(GHashTable) unreadable = whole ? NULL : vimg_ebs_unreadable_new();
    g_autoptr(GPtrArray) records = vimg_ebs_list_records(store, site, unreadable, &patience, error);
    guint i;

    for (i = 0; records && i < records->len; i++) {
        const VimgEbsRecord *record = records->pdata[i];

        if ((record->info.deleted > 0) == trash && !sink(&record->info, data))
            break;
    }
    return records != NULL;
}

VimgEbsRecord *
vimg_ebs_image_find(VimgEbsSite *site, const char *uuid, const VimgPatience *patience,
                    GError **error)
{
    g_autoptr(VimgEbsRecord) record = vimg_ebs_record_load(site, uuid, patience, error);

    if (!record || record->info.deleted == 0)
        return g_steal_pointer(&record);
    throw_error(error, VIMG_ERROR_NO_VOL, _("image %s is in the trash"), uuid);
    return NULL;
}

VimgEbsRecord *
vimg_ebs_image_find_kept(VimgEbsStore *store, VimgEbsSite *site, const char *uuid,
                         const VimgPatience *patience, GError **error)
{
    return vimg_ebs_is_kept(store, uuid) ? vimg_ebs_record_load(site, uuid, patience, error)
                                         : vimg_ebs_image_find(site, uuid, patience, error);
}

gboolean
vimg_ebs_image_check_staged(const VimgEbsRecord *record, GError **error)
{
    return vimg_ebs_record_is_staged(record) ||
           throw_error(error, VIMG_ERROR_OPERATION_INVALID,
                       _("the content of an active image never changes"));
}

gboolean
vimg_ebs_image_stat(VimgEbsStore *store, const char *uuid, VimgPluginImage *out, GError **error)
{
    g_autoptr(VimgEbsSite) site = vimg_ebs_store_site(store);
    VimgPatience patience = vimg_ebs_patience(NULL);
    g_autoptr(VimgEbsRecord) record = vimg_ebs_image_find(site, uuid, &patience, error);

    if (!record)
        return FALSE;
    vimg_ebs_mark_later(store, record);
    vimg_ebs_record_give(record, out);
    return TRUE;
}

gboolean
vimg_ebs_image_create(VimgEbsStore *store, const VimgPluginImage *image, VimgPluginImage *out,
                      GError **error)
{
    g_autoptr(VimgEbsSite) site = vimg_ebs_store_site(store);
    VimgPatience patience = vimg_ebs_patience(NULL);
    g_autoptr(VimgEbsRecord) record = vimg_ebs_record_new(image);
    VimgPatience more = vimg_ebs_patience_for(5);
    g_autoptr(GError) local = NULL;

    vimg_ebs_record_empty(record);
    if (record->info.created == 0)
        record->info.created = vimg_ebs_now(site);
    if (vimg_ebs_claim_take(store, site, image->name, image->uuid, &patience, &local) &&
        vimg_ebs_record_save(site, record, &patience, &local)) {
        vimg_ebs_record_give(record, out);
        return TRUE;
    }
    /* the name may be ours though we did not hear so */
    if (!g_error_matches(local, VIMG_ERROR, VIMG_ERROR_VOL_EXISTS))
        vimg_ebs_claim_release(site, image->name, image->uuid, &more, NULL);
    g_propagate_error(error, g_steal_pointer(&local));
    return FALSE;
}

/* ---- what is said of an image ----------------------------------------------------------- */

/* Held before it is read: what another host makes of it meanwhile must not be written over. */
static VimgEbsRecord *
find_held(VimgEbsHold *hold, VimgEbsStore *store, VimgEbsSite *site, const char *uuid,
          const VimgPatience *patience, GError **error)
{
    if (!vimg_ebs_hold(hold, store, site, uuid, patience, error))
        return NULL;
    return vimg_ebs_image_find(site, uuid, patience, error);
}

gboolean
vimg_ebs_image_resize(VimgEbsStore *store, const char *uuid, guint64 capacity, GError **error)
{
    g_autoptr(VimgEbsSite) site = vimg_ebs_store_site(store);
    VimgPatience patience = vimg_ebs_patience(NULL);
    g_auto(VimgEbsHold) hold = {0};
    g_autoptr(VimgEbsRecord) record = find_held(&hold, store, site, uuid, &patience, error);

    if (!record || !vimg_ebs_image_check_staged(record, error))
        return FALSE;
    if (capacity < record->info.position)
        return throw_error(error, VIMG_ERROR_INVALID_ARG,
                           _("%1$llu bytes are stored already, more than %2$llu"),
                           ULL(record->info.position), ULL(capacity));
    record->info.capacity = capacity;
    return vimg_ebs_record_save(site, record, &patience, error);
}

gboolean
vimg_ebs_image_set_error(VimgEbsStore *store, const char *uuid, const char *reason, GError **error)
{
    g_autoptr(VimgEbsSite) site = vimg_ebs_store_site(store);
    VimgPatience patience = vimg_ebs_patience(NULL);
    g_auto(VimgEbsHold) hold = {0};
    g_autoptr(VimgEbsRecord) record = find_held(&hold, store, site, uuid, &patience, error);

    if (!record)
        return FALSE;
    vimg_ebs_set(&record->info.reason, reason);
    return vimg_ebs_record_save(site, record, &patience, error);
}

gboolean
vimg_ebs_image_set_metadata(VimgEbsStore *store, const VimgPluginImage *change, GError **error)
{
    g_autoptr(VimgEbsSite) site = vimg_ebs_store_site(store);
    VimgPatience patience = vimg_ebs_patience(NULL);
    g_auto(VimgEbsHold) hold = {0};
    g_autoptr(VimgEbsRecord) record = find_held(&hold, store, site, change->uuid, &patience, error);

    if (!record)
        return FALSE;
    if (change->os)
        vimg_ebs_set(&record->info.os, change->os);
    if (change->arch)
        vimg_ebs_set(&record->info.arch, change->arch);
    if (change->description)
        vimg_ebs_set(&record->info.description, change->description);
    return vimg_ebs_record_save(site, record, &patience, error);
}

/* ---- away and back ---------------------------------------------------------------------- */

/* The name is free even if the release fails: then it is a cleanup's. */
static gboolean
to_trash(VimgEbsSite *site, VimgEbsRecord *record, const VimgPatience *patience, GError **error)
{
    g_autoptr(GError) local = NULL;

    record->info.deleted = vimg_ebs_now(site);
    if (!vimg_ebs_record_save(site, record, patience, error))
        return FALSE;
    if (!vimg_ebs_claim_release(site, record->info.name, record->info.uuid, patience, &local))
        vimg_ebs_warn("the name '%s' is left for a cleanup: %s", record->info.name, local->message);
    return TRUE;
}

/* Not @discard: an active one goes to the trash. */
static gboolean
remove_image(VimgEbsStore *store, const char *uuid, gboolean discard, GError **error)
{
    g_autoptr(VimgEbsSite) site = vimg_ebs_store_site(store);
    VimgPatience patience = vimg_ebs_patience(NULL);
    g_auto(VimgEbsHold) hold = {0};
    g_autoptr(VimgEbsRecord) record = find_held(&hold, store, site, uuid, &patience, error);

    if (!record || (discard && !vimg_ebs_image_check_staged(record, error)))
        return FALSE;
    if (!vimg_ebs_record_is_staged(record))
        return to_trash(site, record, &patience, error);
    return vimg_ebs_erase(store, site, record, &patience, error);
}

gboolean
vimg_ebs_image_remove(VimgEbsStore *store, const char *uuid, GError **error)
{
    return remove_image(store, uuid, FALSE, error);
}

gboolean
vimg_ebs_image_discard(VimgEbsStore *store, const char *uuid, GError **error)
{
    return remove_image(store, uuid, TRUE, error);
}

static VimgEbsRecord *
find_deleted(VimgEbsHold *hold, VimgEbsStore *store, VimgEbsSite *site, const char *uuid,
             const VimgPatience *patience, GError **error)
{
    g_autoptr(VimgEbsRecord) record = vimg_ebs_hold(hold, store, site, uuid, patience, error)
                                          ? vimg_ebs_record_load(site, uuid, patience, error)
                                          : NULL;

    if (!record || record->info.deleted > 0)
        return g_steal_pointer(&record);
    throw_error(error, VIMG_ERROR_NO_VOL,
                _("image %s is not in the trash; it was restored or removed"), uuid);
    return NULL;
}

gboolean
vimg_ebs_image_restore(VimgEbsStore *store, const char *uuid, const char *name,
                       VimgPluginImage *out, GError **error)
{
    g_autoptr(VimgEbsSite) site = vimg_ebs_store_site(store);
    VimgPatience patience = vimg_ebs_patience(NULL);
    g_auto(VimgEbsHold) hold = {0};
    g_autoptr(VimgEbsRecord) record = find_deleted(&hold, store, site, uuid, &patience, error);

    if (!record || !vimg_ebs_claim_take(store, site, name, uuid, &patience, error))
        return FALSE;
    vimg_ebs_set(&record->info.name, name);
    record->info.deleted = 0;
    if (!vimg_ebs_record_save(site, record, &patience, error))
        return FALSE; /* it may have arrived: the name is a cleanup's, or its own */
    vimg_ebs_record_give(record, out);
    return TRUE;
}

gboolean
vimg_ebs_image_purge(VimgEbsStore *store, const char *uuid, GError **error)
{
    g_autoptr(VimgEbsSite) site = vimg_ebs_store_site(store);
    VimgPatience patience = vimg_ebs_patience(NULL);
    g_auto(VimgEbsHold) hold = {0};
    g_autoptr(VimgEbsRecord) record = find_deleted(&hold, store, site, uuid, &patience, error);

    if (record && vimg_ebs_promise_holds(record, vimg_ebs_now(site)))
        return throw_error(error, VIMG_ERROR_OPERATION_INVALID,
                           _("a host exports it: revoke that there, or wait until it expires"));
    return record && vimg_ebs_erase(store, site, record, &patience, error);
}

gboolean
vimg_ebs_image_wipe(VimgEbsStore *store, const char *uuid, GError **error)
{
    g_autoptr(VimgEbsSite) site = vimg_ebs_store_site(store);
    VimgPatience patience = vimg_ebs_patience(NULL);
    g_auto(VimgEbsHold) hold = {0};
    g_autoptr(VimgEbsRecord) record = find_held(&hold, store, site, uuid, &patience, error);

    if (!record)
        return FALSE;
    if (record->info.state == VIMG_IMAGE_ACTIVE)
        return throw_error(error, VIMG_ERROR_OPERATION_INVALID,
                           _("an active image cannot be wiped; delete and purge it"));
    if (!vimg_ebs_erase_content(store, site, record, &patience, error))
        return FALSE;
    vimg_ebs_record_empty(record);
    g_clear_pointer(&record->info.reason, g_free);
    g_clear_pointer(&record->info.copy_of, g_free);
    return vimg_ebs_record_save(site, record, &patience, error);
}
