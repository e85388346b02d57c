/*
 * persist.c: what survives: definitions, autostart links, remembered stores, pools that are active
 *
 *   CONFIG/NAME.xml            definition of a persistent pool; also put there by hand
 *   CONFIG/autostart/NAME.xml  -> ../NAME.xml
 *   STATE/stores/UUID          id of the storage that pool had; nothing makes it another one
 *   STATE/cleanups/UUID        when that pool was last cleaned up, in seconds since 1970
 *   STATE/pools/UUID/          for its backend
 *   STATE/renames/UUID         while that pool gets another name, see persist-rename.c
 *   RUN/NAME.xml               what an active pool works by; gone after a reboot
 *
 * Every function returns when what it did is durable.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <errno.h>
#include <unistd.h>

#include "pool/model-private.h"
#include "util/file.h"
#include "util/i18n.h"
#include "util/log.h"

#define STORE_ID_MAX 4096
#define TIME_MAX 64 /* bytes */

static char *
file_in(const char *dir, const VimgPool *pool)
{
    return g_strdup_printf("%s/%s.xml", dir, vimg_pool_name(pool));
}

gboolean
vimg_persist_dirs(VimgModel *model, GError **error)
{
    g_autofree char *pools = g_build_filename(model->state_dir, "pools", NULL);
    g_autofree char *cleanups = g_build_filename(model->state_dir, "cleanups", NULL);
    g_autofree char *renames = g_build_filename(model->state_dir, "renames", NULL);

    return vimg_dir_make(model->config_dir, 0755, error) &&
           vimg_dir_make(model->autostart_dir, 0755, error) &&
           vimg_dir_make(model->state_dir, 0700, error) &&
           vimg_dir_make(model->stores_dir, 0700, error) && vimg_dir_make(pools, 0700, error) &&
           vimg_dir_make(cleanups, 0700, error) && vimg_dir_make(renames, 0700, error) &&
           vimg_dir_make(model->run_dir, 0755, error);
}

gboolean
vimg_persist_write(const char *path, const VimgPoolDef *def, GError **error)
{
    g_autofree char *xml = vimg_pool_def_format(def, NULL);

    return vimg_file_replace(path, xml, strlen(xml), 0600, error);
}

gboolean
vimg_persist_save(VimgPool *pool, const VimgPoolDef *def, GError **error)
{
    g_autofree char *path = file_in(pool->model->config_dir, pool);

    return vimg_persist_write(path, def, error);
}

/* The link first: an autostart link that leads nowhere is nothing, a pool without one is a pool. */
gboolean
vimg_persist_forget(VimgPool *pool, GError **error)
{
    g_autofree char *path = file_in(pool->model->config_dir, pool);
    g_autofree char *link = file_in(pool->model->autostart_dir, pool);

    return vimg_file_remove(link, error) && vimg_file_remove(path, error);
}

gboolean
vimg_persist_link(VimgModel *model, const char *name, GError **error)
{
    g_autofree char *link = g_strdup_printf("%s/%s.xml", model->autostart_dir, name);
    g_autofree char *target = g_strdup_printf("../%s.xml", name);

    if (symlink(target, link) < 0 && errno != EEXIST)
        return vimg_throw_errno(error, _("Failed to create symlink '%1$s' to '%2$s'"), link,
                                target);
    return vimg_dir_sync(model->autostart_dir, error);
}

gboolean
vimg_persist_autostart(VimgPool *pool, gboolean autostart, GError **error)
{
    g_autofree char *link = file_in(pool->model->autostart_dir, pool);

    return autostart ? vimg_persist_link(pool->model, vimg_pool_name(pool), error)
                     : vimg_file_remove(link, error);
}

gboolean
vimg_persist_run_save(VimgPool *pool, const VimgPoolDef *def, GError **error)
{
    g_autofree char *path = file_in(pool->model->run_dir, pool);

    return vimg_persist_write(path, def, error);
}

gboolean
vimg_persist_run_remove(VimgPool *pool, GError **error)
{
    g_autofree char *path = file_in(pool->model->run_dir, pool);

    return vimg_file_remove(path, error);
}

/* ---- stores ----------------------------------------------------------------------------- */

static char *
store_file(const VimgPool *pool)
{
    return g_build_filename(pool->model->stores_dir, pool->uuid_text, NULL);
}

char *
vimg_persist_store_id(VimgPool *pool, GError **error)
{
    g_autofree char *path = store_file(pool);
    g_autofree char *id = NULL;

    if (access(path, F_OK) < 0 && errno == ENOENT)
        return NULL;
    id = vimg_file_read(path, STORE_ID_MAX, NULL, error);
    if (!id)
        return NULL;
    g_strchomp(id);
    if (*id)
        return g_steal_pointer(&id);
    vimg_throw(error, VIMG_ERROR_INTERNAL, _("'%s' does not name a storage"), path);
    return NULL;
}

gboolean
vimg_persist_store_remember(VimgPool *pool, const char *store_id, GError **error)
{
    g_autofree char *path = store_file(pool);
    g_autofree char *line = g_strconcat(store_id, "\n", NULL);

    return vimg_file_replace(path, line, strlen(line), 0600, error);
}

static char *
cleanup_file(const VimgPool *pool)
{
    return g_build_filename(pool->model->state_dir, "cleanups", pool->uuid_text, NULL);
}

gboolean
vimg_persist_store_forget(VimgPool *pool, GError **error)
{
    g_autofree char *path = store_file(pool);
    g_autofree char *cleanup = cleanup_file(pool);

    return vimg_file_remove(cleanup, error) && vimg_file_remove(path, error);
}

gint64
vimg_persist_cleaned(VimgPool *pool)
{
    g_autofree char *path = cleanup_file(pool);
    g_autofree char *text = vimg_file_read(path, TIME_MAX, NULL, NULL);
    guint64 when = 0;

    if (!text || !g_ascii_string_to_unsigned(g_strchomp(text), 10, 0, G_MAXINT64, &when, NULL))
        return 0;
    return (gint64)when;
}

gboolean
vimg_persist_note_cleaned(VimgPool *pool, gint64 when, GError **error)
{
    g_autofree char *path = cleanup_file(pool);
    g_autofree char *line = g_strdup_printf("%" G_GINT64_FORMAT "\n", when);

    return vimg_file_replace(path, line, strlen(line), 0600, error);
}

void
vimg_persist_store_drop(VimgPool *pool)
{
    g_autoptr(GError) error = NULL;

    if (!vimg_persist_store_forget(pool, &error))
        vimg_warning("storage of former pool '%s' is still remembered: %s", vimg_pool_name(pool),
                     error->message);
}

gboolean
vimg_persist_fresh(VimgPool *pool, GError **error)
{
    g_autofree char *path = file_in(pool->model->config_dir, pool);

    return vimg_persist_autostart(pool, FALSE, error) &&
           (access(path, F_OK) == 0 || vimg_persist_store_forget(pool, error));
}

char *
vimg_persist_pool_dir(VimgPool *pool)
{
    return g_build_filename(pool->model->state_dir, "pools", pool->uuid_text, NULL);
}
