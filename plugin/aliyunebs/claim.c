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
#include "record.h"
#include "throw.h"

#define TEXT_MAX 256    /* bytes */
#define NAME_SECONDS 60 /* after which an image has its record */

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

/* Whether image @uuid, which has the name by what lies there, has it by its record. */
static gboolean
has_name(VimgEbsSite *site, const char *uuid, const char *name, gboolean *has,
         const VimgPatience *patience, GError **error)
{
    g_autoptr(GError) local = NULL;
    g_autoptr(VimgEbsRecord) record = vimg_ebs_record_load(site, uuid, patience, &local);

    *has = record && !record->info.deleted && strcmp(record->info.name, name) == 0;
    if (record || vimg_ebs_is_gone(local))
        return TRUE;
    g_propagate_error(error, g_steal_pointer(&local));
    return FALSE;
}

/* The image of @owner is entered. */
static gboolean
free_entered(VimgEbsStore *store, VimgEbsSite *site, const char *key, const char *name,
             const VimgOssObject *seen, const char *owner, const VimgPatience *patience,
             GError **error)
{
    gboolean has = TRUE;

    if (!vimg_ebs_live_check(store, site, owner, patience, error) ||
        !has_name(site, owner, name, &has, patience, error))
        return FALSE;
    return !has && vimg_oss_delete_same(site->oss, key, seen->etag, NULL, patience, error);
}

/*
 * Somebody may have died between a name and its image, or between the end of an image and that of
 * its name.  FALSE also without @error: the name is in use, or was taken just now.
 */
static gboolean
free_name(VimgEbsStore *store, VimgEbsSite *site, const char *key, const char *name,
          const VimgPatience *patience, GError **error)
{
    g_auto(VimgOssObject) seen = {0};
    const char *owner;
    gboolean freed;

    if (!vimg_oss_head(site->oss, key, &seen, patience, error))
        return FALSE;
    owner = vimg_pairs_get(seen.metadata, VIMG_EBS_TAG);
    if (!owner || !g_uuid_string_is_valid(owner) || seen.modified == 0 ||
        seen.date - seen.modified < NAME_SECONDS || !vimg_ebs_enter(store, owner, NULL))
        return FALSE;
    freed = free_entered(store, site, key, name, &seen, owner, patience, error);
    vimg_ebs_leave(store, owner);
    return freed;
}

gboolean
vimg_ebs_claim_take(VimgEbsStore *store, VimgEbsSite *site, const char *name, const char *uuid,
                    const VimgPatience *patience, GError **error)
{
    g_autofree char *key = vimg_ebs_key(site, "names", name);
    g_autoptr(GError) local = NULL;

    if (put_text(site, key, uuid, uuid, TRUE, patience, &local))
        return TRUE;
    if (g_error_matches(local, VIMG_ERROR, VIMG_ERROR_VOL_EXISTS) &&
        free_name(store, site, key, name, patience, NULL)) {
        g_clear_error(&local);
        if (put_text(site, key, uuid, uuid, TRUE, patience, &local))
            return TRUE;
    }
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
         !vimg_oss_delete_same(site->oss, key, seen.etag, NULL, patience, &local)) ||
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
