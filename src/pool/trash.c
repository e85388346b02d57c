/*
 * trash.c: deleted images that can still be had back
 *
 * The storage alone knows them, so every question about them goes there.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "pool/model-private.h"
#include "util/i18n.h"

void
vimg_trash_entry_free(VimgTrashEntry *entry)
{
    if (!entry)
        return;
    g_free(entry->uuid);
    g_free(entry->name);
    g_free(entry->format);
    g_free(entry->needed_by);
    g_free(entry);
}

/* Returns: FALSE with @local (transfer full) as the error. */
static gboolean
fail(VimgUse *use, GError *local, GError **error)
{
    vimg_use_failed(use, local);
    g_propagate_error(error, local);
    return FALSE;
}

/* As backends write them. */
static gboolean
take_uuid(const char *text, char *uuid, GError **error)
{
    guint8 bytes[VIMG_UUID_SIZE];

    if (!vimg_uuid_parse(text, bytes))
        return vimg_throw(error, VIMG_ERROR_INVALID_ARG, _("'%s' is not a uuid"), text);
    vimg_uuid_format(bytes, uuid);
    return TRUE;
}

/* ---- list ------------------------------------------------------------------------------- */

typedef struct {
    const char *after;
    gint64 keep;        /* seconds */
    GPtrArray *entries; /* of VimgTrashEntry */
} Page;

static gboolean
collect(const VimgPluginImage *image, gpointer data)
{
    Page *page = data;
    VimgTrashEntry *entry;

    if (page->after && strcmp(image->uuid, page->after) <= 0)
        return TRUE;
    entry = g_new0(VimgTrashEntry, 1);
    entry->uuid = g_strdup(image->uuid);
    entry->name = g_strdup(image->name);
    entry->format = g_strdup(image->format);
    entry->capacity = image->capacity;
    entry->allocation = image->allocation;
    entry->physical = image->physical;
    entry->created = image->created;
    entry->deleted = image->deleted;
    entry->expires = MIN(image->deleted, G_MAXINT64 - page->keep) + page->keep;
    entry->needed_by = VIMG_PLUGIN_IMAGE_HAS(image, needed_by) ? g_strdup(image->needed_by) : NULL;
    g_ptr_array_add(page->entries, entry);
    return TRUE;
}

static gint
compare_entries(gconstpointer a, gconstpointer b)
{
    const VimgTrashEntry *const *left = a;
    const VimgTrashEntry *const *right = b;

    return strcmp((*left)->uuid, (*right)->uuid);
}

GPtrArray *
vimg_model_trash_list(VimgModel *model, const VimgPoolId *id, const char *after, guint max,
                      GError **error)
{
    g_autoptr(VimgPool) pool = vimg_registry_get(model, id, error);
    g_autoptr(VimgPoolDef) def = pool ? vimg_pool_copy_def(pool) : NULL;
    g_autoptr(GPtrArray) entries =
        g_ptr_array_new_with_free_func((GDestroyNotify)vimg_trash_entry_free);
    g_auto(VimgUse) use = {0};
    Page page = {.after = after, .entries = entries};
    GError *local = NULL;

    if (!pool || !vimg_use_pool(pool, &use, error))
        return NULL;
    page.keep = (gint64)def->keep_deleted;
    if (!vimg_store_list_trash(vimg_session_store(use.session), collect, &page, &local)) {
        fail(&use, local, error);
        return NULL;
    }
    g_ptr_array_sort(entries, compare_entries);
    g_ptr_array_set_size(entries, (gint)MIN(entries->len, max));
    return g_steal_pointer(&entries);
}

/* ---- restore ---------------------------------------------------------------------------- */

typedef struct {
    const char *uuid;
    char *name; /* NULL: not found yet */
} Search;

static gboolean
match(const VimgPluginImage *image, gpointer data)
{
    Search *search = data;

    if (strcmp(image->uuid, search->uuid) == 0)
        search->name = g_strdup(image->name);
    return search->name == NULL;
}

/* Returns: (transfer full) the name it had. */
static char *
find_name(VimgPool *pool, const char *uuid, GError **error)
{
    g_auto(VimgUse) use = {0};
    Search search = {.uuid = uuid};
    GError *local = NULL;

    if (!vimg_use_pool(pool, &use, error))
        return NULL;
    if (!vimg_store_list_trash(vimg_session_store(use.session), match, &search, &local)) {
        g_clear_pointer(&search.name, g_free);
        fail(&use, local, error);
    } else if (!search.name) {
        vimg_throw(error, VIMG_ERROR_NO_VOL, _("no deleted volume with uuid %s"), uuid);
    }
    return search.name;
}

static gboolean
restore(VimgPool *pool, const char *uuid, const char *name, VimgVolId *out, GError **error)
{
    g_auto(VimgPluginImage) image = VIMG_PLUGIN_IMAGE_INIT;
    g_auto(VimgUse) use = {0};
    GError *local = NULL;

    if (!vimg_use_create(pool, name, "restore", &use, error))
        return FALSE;
    if (!vimg_store_restore(vimg_session_store(use.session), uuid, name, &image, &local))
        return fail(&use, local, error);
    vimg_use_created(&use, &image, "restore");
    vimg_session_sizes(use.session);
    vimg_use_fill_id(&use, out);
    return TRUE;
}

gboolean
vimg_model_trash_restore(VimgModel *model, const VimgPoolId *id, const char *uuid, const char *name,
                         VimgVolId *out, GError **error)
{
    g_autoptr(VimgPool) pool = vimg_registry_get(model, id, error);
    g_autofree char *known = NULL;
    char canonical[VIMG_UUID_TEXT_SIZE];

    if (!pool || !take_uuid(uuid, canonical, error) ||
        (name && !vimg_name_check_argument("volume", name, error)))
        return FALSE;
    known = name ? g_strdup(name) : find_name(pool, canonical, error);
    if (!known || !restore(pool, canonical, known, out, error))
        return FALSE;
    vimg_model_emit_pool(model, pool, VIMG_EVENT_POOL_REFRESH, 0);
    return TRUE;
}

/* ---- purge ------------------------------------------------------------------------------ */

gboolean
vimg_model_trash_purge(VimgModel *model, const VimgPoolId *id, const char *uuid, GError **error)
{
    g_autoptr(VimgPool) pool = vimg_registry_get(model, id, error);
    g_auto(VimgUse) use = {0};
    char canonical[VIMG_UUID_TEXT_SIZE];
    GError *local = NULL;

    if (!pool || !take_uuid(uuid, canonical, error) ||
        !vimg_use_trash(pool, canonical, "purge", &use, error))
        return FALSE;
    if (!vimg_store_purge(vimg_session_store(use.session), canonical, &local))
        return fail(&use, local, error);
    vimg_session_sizes(use.session);
    return TRUE;
}
