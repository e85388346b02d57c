/*
 * oss.c: a bucket of an object storage: where it is and who we are there
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <string.h>

#include "oss-private.h"
#include "../thread.h"

VimgOss *
vimg_oss_new(const VimgOssRules *rules, VimgCredential *credential, GError **error)
{
    g_autoptr(VimgOss) oss = g_new0(VimgOss, 1);
    gboolean bare = strchr(rules->host, ':') != NULL; /* IPv6 */
    guint16 usual = rules->plain ? 80 : 443;
    g_autofree char *host = g_strdup_printf(bare ? "[%s]" : "%s", rules->host);
    g_autofree char *named = rules->style == VIMG_OSS_VIRTUAL
                                 ? g_strconcat(rules->bucket, ".", host, NULL)
                                 : g_strdup(host);

    thread_must(pthread_mutex_init(&oss->lock, NULL));
    oss->scheme = g_strdup(rules->plain ? "http" : "https");
    oss->authority = rules->port > 0 && rules->port != usual
                         ? g_strdup_printf("%s:%u", named, rules->port)
                         : g_strdup(named);
    oss->bucket = g_strdup(rules->bucket);
    oss->region = g_strdup(rules->region);
    oss->style = rules->style;
    oss->signature = rules->signature;
    oss->credential = vimg_credential_ref(credential);
    oss->web = vimg_web_new(&rules->web, error);
    return oss->web ? g_steal_pointer(&oss) : NULL;
}

void
vimg_oss_free(VimgOss *oss)
{
    if (!oss)
        return;
    vimg_web_free(oss->web);
    vimg_credential_unref(oss->credential);
    pthread_mutex_destroy(&oss->lock);
    g_free(oss->scheme);
    g_free(oss->authority);
    g_free(oss->bucket);
    g_free(oss->region);
    g_free(oss);
}

void
vimg_oss_set_credential(VimgOss *oss, VimgCredential *credential)
{
    VimgCredential *old;

    vimg_credential_ref(credential);
    {
        LOCK_GUARD(&oss->lock);

        old = oss->credential;
        oss->credential = credential;
    }
    vimg_credential_unref(old);
}

gboolean
vimg_oss_is_s3(const VimgOss *oss)
{
    return oss->signature == VIMG_OSS_S3;
}

const char *
vimg_oss_bucket(const VimgOss *oss)
{
    return oss->bucket;
}

gint64
vimg_oss_skew(VimgOss *oss)
{
    return __atomic_load_n(&oss->skew, __ATOMIC_RELAXED);
}

/* "oss-REGION[-internal].…", "s3.oss-REGION….…", "REGION.oss.…" */
char *
vimg_oss_region_of(const char *host)
{
    g_auto(GStrv) labels = g_strsplit(host, ".", -1);
    guint first = labels[0] && strcmp(labels[0], "s3") == 0 ? 1 : 0;
    const char *label = labels[0] ? labels[first] : NULL;
    char *region;

    if (!label || g_str_has_prefix(label, "oss-accelerate"))
        return NULL;
    if (!g_str_has_prefix(label, "oss-"))
        return labels[1] && strcmp(labels[1], "oss") == 0 && *label ? g_strdup(label) : NULL;
    region = g_strdup(label + strlen("oss-"));
    if (g_str_has_suffix(region, "-internal"))
        region[strlen(region) - strlen("-internal")] = '\0';
    if (*region)
        return region;
    g_free(region);
    return NULL;
}
