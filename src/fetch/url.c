/*
 * url.c: which URLs may be fetched
 *
 * A URL is taken apart once, by the library that will use it: what was checked is what is fetched.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "fetch/fetch-private.h"
#include "util/i18n.h"

/* Longest URL taken, in bytes. */
#define URL_MAX 8192

void
vimg_url_clear(VimgUrl *url)
{
    g_clear_pointer(&url->parsed, curl_url_cleanup);
    g_clear_pointer(&url->scheme, g_free);
    g_clear_pointer(&url->host, g_free);
    g_clear_pointer(&url->path, g_free);
    g_clear_pointer(&url->shown, g_free);
}

/* Returns: (transfer full); NULL: it has none. */
static char *
part(CURLU *parsed, CURLUPart what, guint flags)
{
    char *found = NULL;
    char *text;

    if (curl_url_get(parsed, what, &found, flags) != CURLUE_OK)
        return NULL;
    text = g_strdup(found);
    curl_free(found);
    return text;
}

static gboolean
has(CURLU *parsed, CURLUPart what)
{
    g_autofree char *text = part(parsed, what, 0);

    return text != NULL;
}

/* Returns: (transfer full) what people may see of it. */
static char *
show(CURLU *parsed)
{
    g_autofree char *text = NULL;
    CURLU *copy = curl_url_dup(parsed);

    curl_url_set(copy, CURLUPART_QUERY, NULL, 0);
    curl_url_set(copy, CURLUPART_FRAGMENT, NULL, 0);
    text = part(copy, CURLUPART_URL, 0);
    curl_url_cleanup(copy);
    return g_utf8_make_valid(text ? text : "", -1);
}

static gboolean
parse(const VimgUrl *base, const char *text, VimgUrl *out, GError **error)
{
    CURLUcode code;

    out->parsed = base ? curl_url_dup(base->parsed) : curl_url();
    if (strlen(text) > URL_MAX)
        return vimg_throw(error, VIMG_ERROR_INVALID_ARG, _("a URL has at most %d bytes"), URL_MAX);
    code = curl_url_set(out->parsed, CURLUPART_URL, text, CURLU_URLENCODE);
    if (code == CURLUE_UNSUPPORTED_SCHEME)
        return vimg_throw(error, VIMG_ERROR_INVALID_ARG, "%s",
                          _("images are imported from https, http and file URLs"));
    if (code != CURLUE_OK)
        return vimg_throw(error, VIMG_ERROR_INVALID_ARG, _("this is no URL to import from: %s"),
                          curl_url_strerror(code));
    /* they would end in lists of processes, logs and histories */
    if (has(out->parsed, CURLUPART_USER) || has(out->parsed, CURLUPART_PASSWORD))
        return vimg_throw(
            error, VIMG_ERROR_INVALID_ARG, "%s",
            _("a URL with a user name or password is not taken: others could read it; let the server sign a URL for this"));
    out->scheme = part(out->parsed, CURLUPART_SCHEME, 0);
    out->shown = show(out->parsed);
    return TRUE;
}

/* Returns: (transfer full) as patterns are compared with it. */
static char *
find_host(CURLU *parsed)
{
    g_autofree char *text = part(parsed, CURLUPART_HOST, CURLU_URLDECODE);
    gsize size = text ? strlen(text) : 0;

    if (size > 2 && text[0] == '[') {
        memmove(text, text + 1, size - 2);
        text[size - 2] = '\0';
    } else if (size > 1 && text[size - 1] == '.') {
        text[size - 1] = '\0';
    }
    return text ? g_utf8_strdown(text, -1) : g_strdup("");
}

static gboolean
check_host(const VimgFetchRules *rules, const char *host, GError **error)
{
    if (!g_utf8_validate(host, -1, NULL) || !*host)
        return vimg_throw(error, VIMG_ERROR_INVALID_ARG, "%s", _("the URL names no host"));
    for (guint i = 0; rules->hosts[i]; i++) {
        g_autofree char *pattern = g_utf8_strdown(rules->hosts[i], -1);

        if (g_pattern_match_simple(pattern, host))
            return TRUE;
    }
    return !rules->hosts[0] ||
           vimg_throw(error, VIMG_ERROR_ACCESS_DENIED,
                      _("host '%s' is not among import_hosts of virtimaged.conf"), host);
}

/* From the safe to the unsafe, and from the network to the host, nobody is led. */
static gboolean
check_step(const VimgUrl *base, const VimgUrl *url, GError **error)
{
    if (!base || strcmp(base->scheme, url->scheme) == 0 || strcmp(url->scheme, "https") == 0)
        return TRUE;
    return vimg_throw(error, VIMG_ERROR_ACCESS_DENIED,
                      _("'%1$s' redirects from %2$s to %3$s, which is not followed"), base->shown,
                      base->scheme, url->scheme);
}

gboolean
vimg_url_parse(const VimgFetchRules *rules, const VimgUrl *base, const char *text, VimgUrl *out,
               GError **error)
{
    g_auto(VimgUrl) url = {0};

    if (!parse(base, text, &url, error) || !check_step(base, &url, error))
        return FALSE;
    if (!g_strv_contains(rules->schemes, url.scheme))
        return vimg_throw(error, VIMG_ERROR_ACCESS_DENIED,
                          _("scheme '%s' is not among import_schemes of virtimaged.conf"),
                          url.scheme);
    if (strcmp(url.scheme, "file") == 0) {
        url.path = part(url.parsed, CURLUPART_PATH, CURLU_URLDECODE);
        if (!url.path)
            return vimg_throw(error, VIMG_ERROR_INVALID_ARG, "%s", _("the URL names no file"));
    } else {
        url.host = find_host(url.parsed);
        if (!check_host(rules, url.host, error))
            return FALSE;
    }
    *out = url;
    url = (VimgUrl){0};
    return TRUE;
}
