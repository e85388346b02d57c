/*
 * store.c: the images below a prefix of a bucket
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "store.h"
#include "../thread.h"
#include "throw.h"

#define UUID_LENGTH 36
#define CALL_SECONDS 25 /* of a call without a job */

const VimgServices *vimg_ebs_services;

VimgEbsSite *
vimg_ebs_site_ref(VimgEbsSite *site)
{
    __atomic_add_fetch(&site->refs, 1, __ATOMIC_RELAXED);
    return site;
}

void
vimg_ebs_site_unref(VimgEbsSite *site)
{
    if (!site || __atomic_sub_fetch(&site->refs, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    vimg_oss_free(site->oss);
    vimg_control_free(site->control);
    g_free(site->prefix);
    g_free(site->origin);
    g_free(site->local);
    g_free(site);
}

VimgEbsSite *
vimg_ebs_store_site(VimgEbsStore *store)
{
    LOCK_GUARD(&store->lock);

    return vimg_ebs_site_ref(store->site);
}

char *
vimg_ebs_key(const VimgEbsSite *site, const char *kind, const char *name)
{
    return g_strconcat(site->prefix, "/", kind, "/", name, NULL);
}

char *
vimg_ebs_uuid_in(const VimgEbsSite *site, const char *key)
{
    const char *rest = key + strlen(site->prefix) + 1;
    g_autofree char *uuid = g_strndup(rest, UUID_LENGTH);
    const char *name = rest + UUID_LENGTH + 1;

    if (strlen(uuid) < UUID_LENGTH || rest[UUID_LENGTH] != '/' || !*name || strchr(name, '/') ||
        !g_uuid_string_is_valid(uuid))
        return NULL;
    return g_steal_pointer(&uuid);
}

gboolean
vimg_ebs_delete_seen(VimgEbsSite *site, const char *key, const VimgOssObject *seen,
                     const VimgPatience *patience, GError **error)
{
    g_autofree char *content = vimg_ebs_uuid_in(site, key);

    return vimg_oss_delete_same(site->oss, key, seen->etag, content ? seen->version : NULL,
                                patience, error);
}

GPtrArray *
vimg_ebs_metadata(const char *uuid)
{
    GPtrArray *metadata = vimg_pairs_new();

    vimg_pairs_add(metadata, VIMG_EBS_TAG, uuid);
    return metadata;
}

static gboolean
is_cancelled(gpointer data)
{
    return vimg_ebs_services && vimg_ebs_services->job_cancelled(data);
}

gint64
vimg_ebs_now(const VimgEbsSite *site)
{
    return g_get_real_time() / G_USEC_PER_SEC + vimg_oss_skew(site->oss);
}

VimgPatience
vimg_ebs_patience_for(guint seconds)
{
    return (VimgPatience){.deadline = g_get_monotonic_time() + seconds * G_USEC_PER_SEC};
}

VimgPatience
vimg_ebs_patience(VimgPluginJob *job)
{
    if (!job)
        return vimg_ebs_patience_for(CALL_SECONDS);
    return (VimgPatience){.cancelled = is_cancelled, .data = job};
}

gboolean
vimg_ebs_enter(VimgEbsStore *store, const char *uuid, GError **error)
{
    LOCK_GUARD(&store->lock);

    if (!g_hash_table_contains(store->busy, uuid))
        return g_hash_table_add(store->busy, g_strdup(uuid));
    return throw_error(error, VIMG_ERROR_BUSY,
                       _("what an earlier upload of the image left is being looked at"));
}

void
vimg_ebs_leave(VimgEbsStore *store, const char *uuid)
{
    LOCK_GUARD(&store->lock);

    g_hash_table_remove(store->busy, uuid);
}

gboolean
vimg_ebs_throw_taken(const char *key, GError **error)
{
    if (!error || !g_error_matches(*error, VIMG_ERROR, VIMG_ERROR_VOL_EXISTS))
        return FALSE;
    g_clear_error(error);
    return throw_error(error, VIMG_ERROR_FAILED,
                       _("object '%s' is there already, and not of this image; delete it"), key);
}

gboolean
vimg_ebs_drop_object(VimgEbsSite *site, const char *key, const char *uuid, const char *etag,
                     const char *version, const VimgPatience *patience, GError **error)
{
    g_auto(VimgOssObject) seen = {0};
    GError *local = NULL;

    if (vimg_oss_head(site->oss, key, &seen, patience, &local)) {
        if (etag ? g_ascii_strcasecmp(seen.etag, etag) == 0
                 : g_strcmp0(vimg_pairs_get(seen.metadata, VIMG_EBS_TAG), uuid) == 0)
            return vimg_oss_delete(site->oss, key, version ? version : seen.version, patience,
                                   error);
        vimg_ebs_warn("object '%s' is not the one of image %s and stays", key, uuid);
    } else if (!vimg_ebs_is_gone(local)) {
        g_propagate_error(error, local);
        return FALSE;
    }
    g_clear_error(&local);
    /* a version that others lie above, or a mark of its removal */
    return !version || vimg_oss_delete(site->oss, key, version, patience, error);
}

void
vimg_ebs_progress(VimgPluginJob *job, const char *phase, guint64 done, guint64 total)
{
    if (job && vimg_ebs_services)
        vimg_ebs_services->job_progress(job, phase, done, total);
}

gboolean
vimg_ebs_check_job(VimgPluginJob *job, GError **error)
{
    return !job || !is_cancelled(job) ||
           throw_error(error, VIMG_ERROR_ABORTED, _("the job was cancelled"));
}

gboolean
vimg_ebs_is_gone(const GError *error)
{
    return g_error_matches(error, VIMG_ERROR, VIMG_ERROR_NO_VOL);
}

gboolean
vimg_ebs_look(VimgEbsSite *site, const char *key, VimgOssObject *out, gboolean *there,
              const VimgPatience *patience, GError **error)
{
    GError *local = NULL;

    *there = vimg_oss_head(site->oss, key, out, patience, &local);
    if (*there)
        return TRUE;
    if (vimg_ebs_is_gone(local)) {
        g_error_free(local);
        return TRUE;
    }
    g_propagate_error(error, local);
    return FALSE;
}

void
vimg_ebs_warn(const char *format, ...)
{
    g_autofree char *line = NULL;
    va_list args;

    if (!vimg_ebs_services)
        return;
    va_start(args, format);
    line = g_strdup_vprintf(format, args);
    va_end(args);
    vimg_ebs_services->log(VIMG_LOG_WARNING, line);
}
