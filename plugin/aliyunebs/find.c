/*
 * find.c: the image storages in a bucket
 *
 * A look round, not an inventory: so deep and at so many prefixes at most.  What lies below a
 * storage is its own.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "definition.h"
#include "find.h"
#include "open.h"
#include "site.h"
#include "throw.h"

#define DEPTH_MAX 3
#define LOOKED_MAX 1000
#define PAGES_MAX 10 /* of one prefix */
#define ID_MAX 64    /* bytes; of another object's content */

typedef struct {
    VimgOss *oss;
    const VimgPatience *patience;
    GPtrArray *prefixes;
    GPtrArray *ids;
    GPtrArray *below; /* prefixes with a '/' at their end, which are still to be looked at */
} Search;

/* Whether object @key, PREFIX/id, is that of a storage. */
static gboolean
take_storage(Search *search, const char *key)
{
    g_autoptr(VimgBuffer) text = vimg_oss_get(search->oss, key, ID_MAX, search->patience, NULL);
    g_autofree char *id = text ? g_strndup((const char *)text->data, text->size) : NULL;

    if (!id || !g_uuid_string_is_valid(id) || !g_utf8_validate(key, -1, NULL))
        return FALSE;
    g_ptr_array_add(search->prefixes, g_strndup(key, strlen(key) - strlen("/id")));
    g_ptr_array_add(search->ids, g_steal_pointer(&id));
    return TRUE;
}

static gboolean
has_id(const VimgOssPage *page, const char *key)
{
    guint i;

    for (i = 0; i < page->entries->len; i++) {
        if (strcmp(((const VimgOssEntry *)page->entries->pdata[i])->key, key) == 0)
            return TRUE;
    }
    return FALSE;
}

static guint
depth_of(const char *prefix)
{
    guint depth = 0;

    for (; *prefix; prefix++)
        depth += *prefix == '/';
    return depth;
}

static void
go_below(Search *search, const VimgOssPage *page)
{
    guint i;

    for (i = 0; i < page->prefixes->len && search->below->len < LOOKED_MAX; i++) {
        const char *prefix = page->prefixes->pdata[i];

        if (depth_of(prefix) <= DEPTH_MAX)
            g_ptr_array_add(search->below, g_strdup(prefix));
    }
}

static gboolean
look_at(Search *search, const char *prefix, GError **error)
{
    g_autofree char *id = g_strconcat(prefix, "id", NULL);
    g_autofree char *token = NULL;
    guint former = search->below->len;
    guint pages = 0;

    do {
        g_autoptr(VimgOssPage) page =
            vimg_oss_list(search->oss, prefix, "/", token, search->patience, error);

        if (!page)
            return FALSE;
        if (*prefix && has_id(page, id) && take_storage(search, id)) {
            g_ptr_array_set_size(search->below, (gint)former);
            return TRUE;
        }
        go_below(search, page);
        g_free(token);
        token = page->truncated ? g_strdup(page->next) : NULL;
    } while (token && ++pages < PAGES_MAX);
    return TRUE;
}

gboolean
vimg_ebs_find(VimgOss *oss, GPtrArray *prefixes, GPtrArray *ids, const VimgPatience *patience,
              GError **error)
{
    g_autoptr(GPtrArray) below = g_ptr_array_new_with_free_func(g_free);
    Search search = {
        .oss = oss, .patience = patience, .prefixes = prefixes, .ids = ids, .below = below};
    guint i;

    if (!look_at(&search, "", error))
        return FALSE;
    for (i = 0; i < below->len; i++) {
        if (!look_at(&search, below->pdata[i], error))
            return FALSE;
    }
    return TRUE;
}

/* ---- as the elements of a pool ---------------------------------------------------------- */

static void
add_text(GString *out, const char *format, const char *text)
{
    g_autofree char *element = text ? g_markup_printf_escaped(format, text) : NULL;

    if (element)
        g_string_append(out, element);
}

static void
add_source(GString *out, const VimgPluginPool *pool, const char *prefix, const char *id)
{
    const VimgPluginAddress *host = &pool->hosts[0];
    g_autofree char *store = g_markup_printf_escaped(
        "    <image:store xmlns:image='urn:virtimage:pool:1' uuid='%s' prefix='%s'/>\n", id,
        prefix);

    g_string_append(out, "  <source>\n");
    add_text(out, "    <host name='%s'", host->name);
    if (host->port)
        g_string_append_printf(out, " port='%u'", host->port);
    g_string_append(out, "/>\n");
    add_text(out, "    <device path='%s'/>\n", pool->device);
    add_text(out, "    <name>%s</name>\n", pool->source_name);
    add_text(out, "    <auth type='" VIMG_EBS_AUTH "' username='%s'>", pool->auth_user);
    add_text(out, "<secret usage='%s'/>", pool->secret_usage);
    add_text(out, "<secret uuid='%s'/>", pool->secret_uuid);
    g_string_append_printf(out, "</auth>\n%s  </source>\n", store);
}

char *
vimg_ebs_find_sources(const VimgPluginPool *pool, GError **error)
{
    g_autoptr(GPtrArray) prefixes = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GPtrArray) ids = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GString) out = g_string_new(NULL);
    VimgPatience patience = vimg_ebs_patience(NULL);
    g_autoptr(VimgEbsSite) site = NULL;
    guint i;

    if (pool->n_hosts == 0 || !pool->source_name || !pool->auth_user) {
        throw_error(error, VIMG_ERROR_XML,
                    _("a search needs <host>, the bucket's <name>, and <auth>"));
        return NULL;
    }
    site = vimg_ebs_check(pool, error) ? vimg_ebs_site_new(pool, error) : NULL;
    if (!site || !vimg_ebs_find(site->oss, prefixes, ids, &patience, error))
        return NULL;
    for (i = 0; i < prefixes->len; i++)
        add_source(out, pool, prefixes->pdata[i], ids->pdata[i]);
    return g_string_free(g_steal_pointer(&out), FALSE);
}
