/*
 * find.c: stores below a directory
 *
 * A search is a look round, not an inventory: so deep, so many directories and so long at most.
 * Symbolic links are not followed, and what cannot be read is not there.  All directories of one
 * depth are looked at together, since each may be a way to a server and back.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "find.h"
#include "json.h"
#include "location.h"
#include "reach.h"
#include "remote.h"
#include "store.h"
#include "../throw.h"

#define DEPTH_MAX 3
#define LOOKED_MAX 16384
#define FOUND_MAX 1024
#define TIME_MAX (10 * G_USEC_PER_SEC)
#define BATCH 64        /* directories at once */
#define NAMES_MAX 65536 /* in one directory */

typedef struct {
    const VimgPluginPool *pool;
    VimgTransport *root; /* begins at / */
    GString *out;
    guint looked;
    guint found;
    gboolean cut; /* there were more directories than are looked at */
    gint64 deadline;
    int result; /* of opening the first directory */
} Search;

static gboolean
is_over(const Search *search)
{
    return search->looked >= LOOKED_MAX || search->found >= FOUND_MAX ||
           g_get_monotonic_time() > search->deadline;
}

/* ---- what is a store -------------------------------------------------------------------- */

static void
add_hosts(const VimgPluginPool *pool, GString *out)
{
    gsize i;

    for (i = 0; i < pool->n_hosts; i++) {
        g_autofree char *name = g_markup_escape_text(pool->hosts[i].name, -1);

        g_string_append_printf(out, "    <host name='%s'", name);
        if (pool->hosts[i].port)
            g_string_append_printf(out, " port='%u'", pool->hosts[i].port);
        g_string_append(out, "/>\n");
    }
}

/* Whether @content is that of a store, of whatever version, in @dir; then it is in @search. */
static gboolean
take_store(Search *search, const char *dir, const VimgBuffer *content)
{
    g_autoptr(JsonObject) root = NULL;
    g_autofree char *element = NULL;
    const char *uuid;
    guint64 format;

    root = content ? vimg_json_parse(content->data, content->size, NULL) : NULL;
    uuid = root ? vimg_json_string(root, "uuid") : NULL;
    if (!uuid || !g_uuid_string_is_valid(uuid) || !vimg_json_number(root, "format", &format) ||
        !g_utf8_validate(dir, -1, NULL))
        return FALSE;
    g_string_append(search->out, "  <source>\n");
    add_hosts(search->pool, search->out);
    element = g_markup_printf_escaped("    <dir path='%s'/>\n"
                                      "    <image:store xmlns:image='urn:virtimage:pool:1' "
                                      "uuid='%s' format='%llu'/>\n"
                                      "  </source>\n",
                                      dir, uuid, ULL(format));
    g_string_append(search->out, element);
    search->found++;
    return TRUE;
}

/* ---- directories ------------------------------------------------------------------------ */

/* What the transport knows an absolute path by. */
static char *
below_root(const char *path)
{
    return g_strdup(path[1] ? path + 1 : ".");
}

static void
add_children(Search *search, const char *dir, const VimgOp *list, GPtrArray *next)
{
    guint i;

    search->cut |= list->names->len >= NAMES_MAX;
    for (i = 0; i < list->names->len; i++) {
        const char *name = g_ptr_array_index(list->names, i);

        if (name[0] == '.' ||
            g_array_index(list->infos, VimgFileInfo, i).type != VIMG_FILE_DIRECTORY)
            continue;
        if (search->looked + next->len >= LOOKED_MAX) {
            search->cut = TRUE;
            return;
        }
        g_ptr_array_add(next, g_build_filename(dir, name, NULL));
    }
}

/* Looks into @n directories; what is below those that are no stores goes to @next, if there is. */
static void
look_into(Search *search, char **dirs, gsize n, GPtrArray *next)
{
    g_autofree VimgOp *ops = g_new0(VimgOp, 2 * n);
    gsize i;

    for (i = 0; i < n; i++) {
        ops[2 * i] = (VimgOp){.kind = VIMG_OP_LIST,
                              .path = below_root(dirs[i]),
                              .types_only = TRUE,
                              .most = NAMES_MAX};
        ops[2 * i + 1] = (VimgOp){.kind = VIMG_OP_READ,
                                  .path = g_build_filename(ops[2 * i].path, "store.json", NULL),
                                  .size = VIMG_JSON_MAX_SIZE};
    }
    vimg_transport_list_detailed(search->root, ops, 2 * n);
    if (search->looked == 0)
        search->result = ops[0].result;
    for (i = 0; i < n; i++) {
        const VimgOp *list = &ops[2 * i];
        const VimgOp *read = &ops[2 * i + 1];

        search->looked++;
        if (!is_over(search) && !take_store(search, dirs[i], read->content) && next &&
            list->result == 0)
            add_children(search, dirs[i], list, next);
        vimg_buffer_unref(read->content);
    }
    vimg_transport_clear_ops(ops, 2 * n, TRUE);
}

static void
search_below(Search *search, const char *dir)
{
    g_autoptr(GPtrArray) dirs = g_ptr_array_new_with_free_func(g_free);
    /* where no way is saved, the time is looked at after each */
    guint batch = search->root->remote ? BATCH : 1;
    guint depth;

    g_ptr_array_add(dirs, g_strdup(dir));
    for (depth = 0; depth <= DEPTH_MAX && dirs->len > 0; depth++) {
        GPtrArray *next = g_ptr_array_new_with_free_func(g_free);
        guint i;

        for (i = 0; i < dirs->len && !is_over(search); i += batch)
            look_into(search, (char **)dirs->pdata + i, MIN(batch, dirs->len - i),
                      depth < DEPTH_MAX ? next : NULL);
        vimg_transport_sort(next);
        g_ptr_array_unref(dirs);
        dirs = next;
    }
}

char *
vimg_find_stores(VimgTransport *root, const VimgPluginPool *pool, GError **error)
{
    Search search = {.pool = pool,
                     .root = root,
                     .deadline = g_get_monotonic_time() + TIME_MAX,
                     .out = g_string_new(NULL)};

    search_below(&search, pool->dir);
    if (search.result != 0) {
        g_autofree char *where = vimg_remote_where(pool);

        throw_result(error, search.result, _("cannot open path '%s'"), where);
        g_string_free(search.out, TRUE);
        return NULL;
    }
    if (search.cut || is_over(&search))
        vimg_slice_store_log(VIMG_LOG_WARNING,
                             "the search for stores below '%s' ended early: %u directories looked "
                             "at, %u stores found",
                             pool->dir, search.looked, search.found);
    return g_string_free(search.out, FALSE);
}

char *
vimg_imagestore_find(const VimgPluginPool *pool, GError **error)
{
    g_autoptr(VimgTransport) root = NULL;

    if (!pool->dir) {
        throw_error(error, VIMG_ERROR_INVALID_ARG,
                    _("a directory to search is missing: give <dir path='...'/>"));
        return NULL;
    }
    if (!vimg_remote_check(pool, error) ||
        !(vimg_remote_is(pool) ? vimg_location_check_name(pool->dir, error)
                               : vimg_location_check(pool->dir, error)))
        return NULL;
    root = vimg_reach_root(pool, error);
    return root ? vimg_find_stores(root, pool, error) : NULL;
}
