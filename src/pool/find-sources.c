/*
 * find-sources.c: where storages can be found
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "conf/xml.h"
#include "pool/model-private.h"
#include "util/i18n.h"

#define SOURCE_END "</source>\n"
#define HOST_TIME                                                                                  \
    (30 * G_USEC_PER_SEC) /* all searches on one host; the last one may begin then                 \
                           */

/* ---- one place -------------------------------------------------------------------------- */

/* A client gives a <source> alone; as a pool it can be parsed like any other. */
static VimgPoolDef *
parse_spec(const char *type, const char *spec, GError **error)
{
    g_autoptr(GString) xml = g_string_new("<pool");
    g_autoptr(xmlDoc) doc = NULL;
    xmlBuffer *buffer;

    vimg_xml_add_attribute(xml, "type", type);
    g_string_append(xml, "><name>find</name>");
    if (spec && *spec) {
        doc = vimg_xml_parse(spec, "(storage_source_specification)", "source", NULL, error);
        if (!doc)
            return NULL;
        buffer = xmlBufferCreate();
        if (xmlNodeDump(buffer, doc, xmlDocGetRootElement(doc), 0, 0) > 0)
            g_string_append(xml, (const char *)xmlBufferContent(buffer));
        xmlBufferFree(buffer);
    }
    g_string_append(xml, "</pool>");
    return vimg_pool_def_parse(xml->str, FALSE, error);
}

static char *
find_at(VimgModel *model, const VimgType *type, const VimgPoolDef *def, GError **error)
{
    g_autoptr(VimgPoolView) view = vimg_pool_view(model, def, NULL);

    if (!vimg_pool_check_path(def, error))
        return NULL;
    return vimg_type_find_sources(type, view, error);
}

/* ---- what was found --------------------------------------------------------------------- */

typedef struct {
    VimgModel *model;
    const VimgType *type;
    GString *out;
    GHashTable *seen;  /* elements of char: places may lie in one another */
    GHashTable *tried; /* of char: directories with the login that was tried there */
    gint64 deadline;   /* after which nothing more is searched, monotonic */
} Search;

static void
add_text(GString *key, const char *text)
{
    g_string_append_printf(key, "%zu:%s", text ? strlen(text) : 0, text ? text : "");
}

/* Whether @def was not searched at @path before, NULL: its own, with the same login. */
static gboolean
is_new(Search *search, const VimgPoolDef *def, const char *path)
{
    g_autoptr(GString) key = g_string_new(NULL);
    guint i;

    add_text(key, path ? path : vimg_pool_def_dir(def));
    add_text(key, def->auth_user);
    add_text(key, def->secret_usage);
    add_text(key, def->secret_uuid);
    add_text(key, def->data_network);
    for (i = 0; i < def->hosts->len; i++) {
        const VimgHostDef *host = g_ptr_array_index(def->hosts, i);
        g_autofree char *name = g_ascii_strdown(host->name, -1);

        add_text(key, name);
        g_string_append_printf(key, "%u", host->port);
    }
    /* only the backend knows which of these are of a login */
    for (i = 0; i < def->elements->len; i++) {
        const VimgElementDef *element = g_ptr_array_index(def->elements, i);
        char **attribute;

        add_text(key, element->path);
        for (attribute = element->attributes; attribute && *attribute; attribute++)
            add_text(key, *attribute);
        add_text(key, element->text);
    }
    return g_hash_table_add(search->tried, g_string_free(g_steal_pointer(&key), FALSE));
}

static gboolean
is_late(const Search *search)
{
    return g_get_monotonic_time() > search->deadline;
}

static void
add_found(Search *search, const char *found)
{
    const char *end;

    for (; (end = strstr(found, SOURCE_END)); found = end + strlen(SOURCE_END)) {
        gsize length = (gsize)(end - found) + strlen(SOURCE_END);
        char *element = g_strndup(found, length);

        if (g_hash_table_add(search->seen, element))
            g_string_append_len(search->out, found, (gssize)length);
    }
    g_string_append(search->out, found); /* of a backend that ends its lines otherwise */
}

/* @path: in the place of the directory of @def; NULL: that. */
static gboolean
search_at(Search *search, VimgPoolDef *def, const char *path, GError **error)
{
    g_autofree char *found = NULL;

    if (path) {
        g_free(def->source_dir);
        def->source_dir = g_strdup(path);
    }
    found = find_at(search->model, search->type, def, error);
    if (found)
        add_found(search, found);
    return found != NULL;
}

/* What is no storage, or cannot be read, is simply not found. */
static void
search_paths(Search *search, VimgPoolDef *def)
{
    char **path;

    for (path = search->model->search_paths; path && *path && !is_late(search); path++)
        if (is_new(search, def, *path))
            search_at(search, def, *path, NULL);
}

/* ---- on other hosts --------------------------------------------------------------------- */

/* Whether one of @hosts is one of @others; a port that is not given is any. */
static gboolean
is_one_of(const GPtrArray *hosts, const GPtrArray *others)
{
    guint i;
    guint k;

    for (i = 0; i < hosts->len; i++) {
        for (k = 0; k < others->len; k++) {
            const VimgHostDef *a = g_ptr_array_index(hosts, i);
            const VimgHostDef *b = g_ptr_array_index(others, k);

            if (g_ascii_strcasecmp(a->name, b->name) == 0 &&
                (a->port == b->port || a->port == 0 || b->port == 0))
                return TRUE;
        }
    }
    return FALSE;
}

/* Returns: (transfer full) of VimgPoolDef: the pools on the hosts of @def, which know how to log
 * in. */
static GPtrArray *
find_neighbours(VimgModel *model, const VimgPoolDef *def)
{
    g_autoptr(GPtrArray) pools = vimg_registry_list(model);
    GPtrArray *found = g_ptr_array_new_with_free_func((GDestroyNotify)vimg_pool_def_free);
    guint i;

    for (i = 0; i < pools->len; i++) {
        VimgPoolDef *other = vimg_pool_copy_def(g_ptr_array_index(pools, i));

        if (strcmp(other->type, def->type) == 0 && vimg_pool_def_dir(other) &&
            is_one_of(def->hosts, other->hosts))
            g_ptr_array_add(found, other);
        else
            vimg_pool_def_free(other);
    }
    return found;
}

/*
 * A client that names a host alone, as virsh does, means what is known of it: the places of the
 * pools there, and the paths of our configuration.  One that names a directory too means that one,
 * with any login that is good.
 */
static gboolean
search_host(Search *search, const VimgPoolDef *def, const GPtrArray *neighbours, GError **error)
{
    const char *path = vimg_pool_def_dir(def);
    g_autoptr(GError) local = NULL;
    VimgPoolDef *good = NULL;
    guint i;

    search->deadline = g_get_monotonic_time() + HOST_TIME;
    for (i = 0; i < neighbours->len && !(path && good) && !is_late(search); i++) {
        VimgPoolDef *neighbour = g_ptr_array_index(neighbours, i);

        if (!is_new(search, neighbour, path))
            continue;
        g_clear_error(&local);
        if (search_at(search, neighbour, path, &local))
            good = neighbour;
        else if (g_error_matches(local, VIMG_ERROR, VIMG_ERROR_DISCONNECTED))
            break;
    }
    if (!good) {
        g_propagate_error(error, g_steal_pointer(&local));
        return FALSE;
    }
    if (!path)
        search_paths(search, good);
    return TRUE;
}

/* ---- all -------------------------------------------------------------------------------- */

static gboolean
search_all(Search *search, VimgPoolDef *def, GError **error)
{
    const VimgBackend *table = vimg_type_table(search->type);
    gboolean dirs = ((table->source_required | table->source_allowed) & VIMG_SOURCE_DIR) != 0;
    g_autoptr(GPtrArray) neighbours = NULL;

    if (dirs && def->hosts->len == 0 && !vimg_pool_def_dir(def)) {
        search_paths(search, def);
        return TRUE;
    }
    if (dirs && def->hosts->len > 0 && !def->auth_type)
        neighbours = find_neighbours(search->model, def);
    if (neighbours && neighbours->len > 0)
        return search_host(search, def, neighbours, error);
    return search_at(search, def, NULL, error);
}

char *
vimg_model_find_sources(VimgModel *model, const char *type_name, const char *spec, guint flags,
                        GError **error)
{
    const VimgType *type = NULL;
    g_autoptr(VimgPoolDef) def = NULL;
    g_autoptr(GString) out = g_string_new("<sources>\n");
    g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_autoptr(GHashTable) tried = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    Search search = {
        .model = model, .out = out, .seen = seen, .tried = tried, .deadline = G_MAXINT64};

    if (!vimg_flags_check(flags, 0, "virConnectFindStoragePoolSources", error))
        return NULL;
    type = vimg_backends_get(model->backends, type_name, error);
    def = type ? parse_spec(type_name, spec, error) : NULL;
    if (!def)
        return NULL;
    if (!vimg_type_table(type)->find_sources) {
        vimg_throw(error, VIMG_ERROR_NO_SUPPORT,
                   _("pool type '%s' does not support source discovery"), type_name);
        return NULL;
    }
    search.type = type;
    if (!search_all(&search, def, error))
        return NULL;
    g_string_append(out, "</sources>\n");
    return g_string_free(g_steal_pointer(&out), FALSE);
}
