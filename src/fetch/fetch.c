/*
 * fetch.c: the bytes that lie at a URL, whatever kind of URL
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "fetch/fetch-private.h"
#include "util/i18n.h"

VimgFetch *
vimg_fetch_open(const VimgFetchRules *rules, const char *url, VimgFetchCancelled cancelled,
                gpointer data, GError **error)
{
    g_autoptr(VimgFetch) fetch = g_new0(VimgFetch, 1);

    fetch->rules = rules;
    fetch->cancelled = cancelled;
    fetch->data = data;
    if (!vimg_url_parse(rules, NULL, url, &fetch->url, error))
        return NULL;
    fetch->kind = fetch->url.host ? &vimg_fetch_http : &vimg_fetch_file;
    fetch->source = fetch->kind->open(fetch, &fetch->url, error);
    return fetch->source ? g_steal_pointer(&fetch) : NULL;
}

void
vimg_fetch_close(VimgFetch *fetch)
{
    if (!fetch)
        return;
    if (fetch->source)
        fetch->kind->close(fetch->source);
    vimg_url_clear(&fetch->url);
    g_free(fetch);
}

gboolean
vimg_fetch_check(const VimgFetch *fetch, GError **error)
{
    if (fetch->cancelled && fetch->cancelled(fetch->data))
        return vimg_throw(error, VIMG_ERROR_ABORTED, "%s", _("the import was cancelled"));
    return TRUE;
}

const char *
vimg_fetch_url(const VimgFetch *fetch)
{
    return fetch->url.shown;
}

gboolean
vimg_fetch_length(const VimgFetch *fetch, guint64 *length, guint64 *allocation)
{
    return fetch->kind->length(fetch->source, length, allocation);
}

char *
vimg_fetch_identity(const VimgFetch *fetch)
{
    g_autofree char *identity = fetch->kind->identity(fetch->source);
    g_autofree char *text = NULL;

    if (!identity)
        return NULL;
    text = g_strdup_printf("%s\n%s", fetch->url.shown, identity);
    return g_compute_checksum_for_string(G_CHECKSUM_SHA256, text, -1);
}

gboolean
vimg_fetch_seek(VimgFetch *fetch, guint64 offset, guint64 *at, GError **error)
{
    return fetch->kind->seek(fetch->source, offset, at, error);
}

gboolean
vimg_fetch_next(VimgFetch *fetch, VimgExtent *out, GError **error)
{
    *out = (VimgExtent){0};
    return vimg_fetch_check(fetch, error) && fetch->kind->next(fetch->source, out, error);
}
