/*
 * claim.c: who has a name, and who writes an image
 *
 * A name is an object that is put only where there is none.  A writer puts an object of its own
 * again and again: whoever finds one of another host compares its age by the storage's clock alone.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "claim.h"
#include "../imagestore/throw.h"

#define TEXT_MAX 256 /* bytes */

static gboolean
put_text(VimgEbsSite *site, const char *key, const char *text, const char *uuid, gboolean exclusive,
         const VimgPatience *patience, GError **error)
{
    g_autoptr(GPtrArray) metadata = vimg_ebs_metadata(uuid);
    VimgOssPut put = {.key = key,
                      .data = text,
                      .size = strlen(text),
                      .content_type = "text/plain",
                      .metadata = metadata,
                      .exclusive = exclusive};

    return vimg_oss_put(site->oss, &put, NULL, patience, error);
}

static char *
get_text(VimgEbsSite *site, const char *key, const VimgPatience *patience, GError **error)
{
    g_autoptr(VimgBuffer) text = vimg_oss_get(site->oss, key, TEXT_MAX, patience, error);

    return text ? g_strndup((const char *)text->data, text->size) : NULL;
}

/* ---- names ------------------------------------------------------------------------------ */

gboolean
vimg_ebs_claim_take(VimgEbsSite *site, const char *name, const char *uuid,
                    const VimgPatience *patience, GError **error)
{
    g_autofree char *key = vimg_ebs_key(site, "names", name);
    g_autoptr(GError) local = NULL;

    if (put_text(site, key, uuid, uuid, TRUE, patience, &local))
        return TRUE;
    if (g_error_matches(local, VIMG_ERROR, VIMG_ERROR_VOL_EXISTS))
        return throw_error(error, VIMG_ERROR_VOL_EXISTS, "'%s'", name);
    g_propagate_error(error, g_steal_pointer(&local));
    return FALSE;
}

char *
vimg_ebs_claim_look(VimgEbsSite *site, const char *name, const VimgPatience *patience,
                    GError **error)
{
    g_autofree char *key = vimg_ebs_key(site, "names", name);

    return get_text(site, key, patience, error);
}

gboolean
vimg_ebs_claim_release(VimgEbsSite *site, const char *name, const char *uuid,
                       const VimgPatience *patience, GError **error)
{
    g_autofree char *key = vimg_ebs_key(site, "names", name);
    g_autoptr(GError) local = NULL;
    g_autofree char *owner = vimg_ebs_claim_look(site, name, patience, &local);

    if (owner)
        return strcmp(owner, uuid) != 0 || vimg_oss_delete(site->oss, key, NULL, patience, error);
    if (vimg_ebs_is_gone(local))
        return TRUE;
    g_propagate_error(error, g_steal_pointer(&local));
    return FALSE;
}

/* ---- writers ---------------------------------------------------------------------------- */

static gboolean
is_dead(const VimgOssObject *object)
{
    return object->modified > 0 && object->date > object->modified &&
           object->date - object->modified > VIMG_EBS_DEAD_SECONDS;
}

gboolean
vimg_ebs_live_check(VimgEbsStore *store, VimgEbsSite *site, const char *uuid,
                    const VimgPatience *patience, GError **error)
{
    g_autofree char *key = vimg_ebs_key(site, "live", uuid);
    g_auto(VimgOssObject) object = {0};
    g_autoptr(GError) local = NULL;
    g_autofree char *writer = get_text(site, key, patience, &local);

    if (writer && strcmp(writer, store->writer) == 0)
        return TRUE;
    if (writer && vimg_oss_head(site->oss, key, &object, patience, &local))
        return is_dead(&object) ||
               throw_error(error, VIMG_ERROR_BUSY, _("another host writes the image"));
    if (vimg_ebs_is_gone(local))
        return TRUE;
    g_propagate_error(error, g_steal_pointer(&local));
    return FALSE;
}

/* Of two hosts that come at the same moment the later one has it, and the other finds out. */
gboolean
vimg_ebs_live_beat(VimgEbsStore *store, VimgEbsSite *site, const char *uuid,
                   const VimgPatience *patience, GError **error)
{
    g_autofree char *key = vimg_ebs_key(site, "live", uuid);

    return vimg_ebs_live_check(store, site, uuid, patience, error) &&
           put_text(site, key, store->writer, uuid, FALSE, patience, error) &&
           vimg_ebs_live_check(store, site, uuid, patience, error);
}

gboolean
vimg_ebs_live_end(VimgEbsSite *site, const char *uuid, const VimgPatience *patience, GError **error)
{
    g_autofree char *key = vimg_ebs_key(site, "live", uuid);

    return vimg_oss_delete(site->oss, key, NULL, patience, error);
}
