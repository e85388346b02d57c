/*
 * pool-edit.c: single members of a definition, changed while its pool runs
 *
 * A pool that waits for its next start has two definitions: the one it works by, in its run file,
 * and the one that waits, in the file of definitions.  Both are edited, each in its file.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <libvirt/libvirt.h>

#include "conf/xml.h"
#include "pool/model-private.h"
#include "util/i18n.h"

/* ---- any ------------------------------------------------------------------------------------ */

/* Returns: (transfer full) what a start would read, so that nothing is stored that it refuses. */
static VimgPoolDef *
edit_copy(const VimgPoolDef *def, VimgEditFunc func, gconstpointer data, GError **error)
{
    g_autoptr(VimgPoolDef) draft = vimg_pool_def_copy(def);
    g_autofree char *xml = NULL;

    if (!func(draft, data, error))
        return NULL;
    xml = vimg_pool_def_format(draft, NULL);
    return vimg_pool_def_parse(xml, FALSE, error);
}

VimgPoolDef *
vimg_pool_copy_next(VimgPool *pool)
{
    VIMG_LOCK_GUARD(&pool->lock);
    return pool->next_def ? vimg_pool_def_copy(pool->next_def) : NULL;
}

static gboolean
save(VimgPool *pool, const VimgPoolDef *def, const VimgPoolDef *next, GError **error)
{
    return (!pool->persistent || vimg_persist_save(pool, next ? next : def, error)) &&
           (!vimg_pool_check_active(pool, TRUE, "%s", NULL) ||
            vimg_persist_run_save(pool, def, error));
}

static void
replace(VimgPool *pool, VimgPoolDef *def, VimgPoolDef *next)
{
    VIMG_LOCK_GUARD(&pool->lock);
    vimg_pool_def_free(pool->def);
    vimg_pool_def_free(pool->next_def);
    pool->def = def;
    pool->next_def = next;
}

gboolean
vimg_pool_edit(VimgPool *pool, VimgEditFunc func, gconstpointer data, GError **error)
{
    g_autoptr(VimgPoolDef) before = vimg_pool_copy_def(pool);
    g_autoptr(VimgPoolDef) next_before = vimg_pool_copy_next(pool);
    g_autoptr(VimgPoolDef) def = edit_copy(before, func, data, error);
    g_autoptr(VimgPoolDef) next = NULL;
    gboolean disabled;

    if (!def || (next_before && !(next = edit_copy(next_before, func, data, error))))
        return FALSE;
    if (!save(pool, def, next, error)) {
        save(pool, before, next_before, NULL);
        return FALSE;
    }
    disabled = def->disabled;
    replace(pool, g_steal_pointer(&def), g_steal_pointer(&next));
    vimg_adopt_kick(pool);
    if (disabled)
        vimg_adopt_stop(pool, NULL); /* or the file it is at would still become an image */
    return TRUE;
}

gboolean
vimg_pool_unedit(VimgPool *pool, const VimgPoolDef *def, const VimgPoolDef *next, GError **error)
{
    if (!save(pool, def, next, error))
        return FALSE;
    replace(pool, vimg_pool_def_copy(def), next ? vimg_pool_def_copy(next) : NULL);
    vimg_adopt_kick(pool);
    return TRUE;
}

/* Of a pool that has no definition to keep clients see the document change. */
void
vimg_pool_emit_edited(VimgPool *pool)
{
    if (pool->persistent)
        vimg_model_emit_pool(pool->model, pool, VIMG_EVENT_POOL_LIFECYCLE,
                             VIR_STORAGE_POOL_EVENT_DEFINED);
    else
        vimg_model_emit_pool(pool->model, pool, VIMG_EVENT_POOL_REFRESH, 0);
}

gboolean
vimg_pool_edit_by_id(VimgModel *model, const VimgPoolId *id, VimgEditFunc func, gconstpointer data,
                     GError **error)
{
    g_autoptr(VimgPool) pool = vimg_registry_get(model, id, error);
    g_autoptr(VimgPoolTurn) turn = NULL;

    if (!pool || !vimg_pool_begin(pool, VIMG_POOL_DEFINING, error))
        return FALSE;
    turn = pool;
    if (!vimg_pool_edit(pool, func, data, error))
        return FALSE;
    vimg_pool_emit_edited(pool);
    return TRUE;
}

/* ---- state ---------------------------------------------------------------------------------- */

static gboolean
set_state(VimgPoolDef *def, gconstpointer data, GError **error)
{
    const gboolean *enabled = data;

    def->disabled = !*enabled;
    return TRUE;
}

gboolean
vimg_model_pool_enable(VimgModel *model, const VimgPoolId *pool, gboolean enabled, GError **error)
{
    return vimg_pool_edit_by_id(model, pool, set_state, &enabled, error);
}

/* ---- description ---------------------------------------------------------------------------- */

/* What a document cannot hold would be stored as something else. */
static gboolean
check_text(const char *text, GError **error)
{
    gboolean valid = g_utf8_validate(text, -1, NULL);

    for (; valid && *text; text = g_utf8_next_char(text))
        valid = vimg_xml_is_character(g_utf8_get_char(text));
    return valid || vimg_throw(error, VIMG_ERROR_INVALID_ARG, "%s",
                               _("the description is not UTF-8 or has control characters"));
}

static gboolean
set_description(VimgPoolDef *def, gconstpointer data, GError **error)
{
    g_free(def->description);
    def->description = g_strdup(data);
    return TRUE;
}

gboolean
vimg_model_pool_describe(VimgModel *model, const VimgPoolId *pool, const char *description,
                         GError **error)
{
    return (!description || check_text(description, error)) &&
           vimg_pool_edit_by_id(model, pool, set_description, description, error);
}
