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

typedef enum {
    LIFE_NONE,
    LIFE_OURS,
    LIFE_ENDED, /* of a host that has not been heard of for long */
    LIFE_OTHERS,
} Life;

static gboolean
is_dead(const VimgOssObject *object)
{
    return object->modified > 0 && object->date > object->modified &&
           object->date - object->modified > VIMG_EBS_DEAD_SECONDS;
}

/* @seen: the sign of another host, as it was. */
static gboolean
look(const VimgEbsStore *store, VimgEbsSite *site, const char *key, Life *out, VimgOssObject *seen,
     const VimgPatience *patience, GError **error)
{
    g_autoptr(GError) local = NULL;
    g_autofree char *writer = get_text(site, key, patience, &local);

    *out = LIFE_OURS;
    if (writer && strcmp(writer, store->writer) == 0)
        return TRUE;
    if (writer && vimg_oss_head(site->oss, key, seen, patience, &local)) {
        *out = is_dead(seen) ? LIFE_ENDED : LIFE_OTHERS;
        return TRUE;
    }
    *out = LIFE_NONE;
    if (vimg_ebs_is_gone(local))
        return TRUE;
    g_propagate_error(error, g_steal_pointer(&local));
    return FALSE;
}

static gboolean
throw_taken(GError **error)
{
    return throw_error(error, VIMG_ERROR_BUSY, _("another host writes the image"));
}

gboolean
vimg_ebs_live_check(VimgEbsStore *store, VimgEbsSite *site, const char *uuid,
                    const VimgPatience *patience, GError **error)
{
    g_autofree char *key = vimg_ebs_key(site, "live", uuid);
    g_auto(VimgOssObject) seen = {0};
    Life life;

    return look(store, site, key, &life, &seen, patience, error) &&
           (life != LIFE_OTHERS || throw_taken(error));
}

/*
 * The first sign is put only where there is none, so of two hosts that come at the same moment one
 * has it.  Where nothing is exclusive it is the later one, and the other finds out.
 */
gboolean
vimg_ebs_live_beat(VimgEbsStore *store, VimgEbsSite *site, const char *uuid,
                   const VimgPatience *patience, GError **error)
{
    g_autofree char *key = vimg_ebs_key(site, "live", uuid);
    g_auto(VimgOssObject) seen = {0};
    g_autoptr(GError) local = NULL;
    Life life;

    if (!look(store, site, key, &life, &seen, patience, error))
        return FALSE;
    if (life == LIFE_OTHERS)
        return throw_taken(error);
    if ((life == LIFE_ENDED &&
         !vimg_oss_delete_same(site->oss, key, seen.etag, seen.version, patience, &local)) ||
        !put_text(site, key, store->writer, uuid, life != LIFE_OURS, patience, &local)) {
        if (g_error_matches(local, VIMG_ERROR, VIMG_ERROR_VOL_EXISTS) ||
            g_error_matches(local, VIMG_ERROR, VIMG_ERROR_OPERATION_INVALID))
            return throw_taken(error);
        g_propagate_error(error, g_steal_pointer(&local));
        return FALSE;
    }
    return vimg_ebs_live_check(store, site, uuid, patience, error);
}

void
vimg_ebs_live_end(VimgEbsStore *store, VimgEbsSite *site, const char *uuid,
                  const VimgPatience *patience)
{
    g_autofree char *key = vimg_ebs_key(site, "live", uuid);
    g_autofree char *writer = get_text(site, key, patience, NULL);

    if (g_strcmp0(writer, store->writer) == 0)
        vimg_oss_delete(site->oss, key, NULL, patience, NULL);
}
