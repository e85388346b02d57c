/*
 * persist-load.c: what the directories hold when the daemon starts
 *
 * Files are hostile or half-edited until proven otherwise: a bad one is named in the log, skipped
 * and left alone.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <unistd.h>

#include "pool/model-private.h"
#include "util/file.h"
#include "util/i18n.h"
#include "util/log.h"

#define SUFFIX ".xml"

typedef gboolean (*LoadFunc)(VimgModel *model, const char *path, const char *name, gpointer data,
                             GError **error);

/* What an earlier version took and this one does not is no reason to lose a pool. */
static void
leave_out(VimgModel *model, const char *path, VimgPoolDef *def)
{
    const VimgType *type = vimg_backends_get(model->backends, def->type, NULL);
    g_autoptr(GError) error = NULL;

    if (!vimg_pool_def_check(def, &error)) {
        vimg_warning("'%s': left out: %s", path, error->message);
        g_clear_pointer(&def->cleanup_schedule, g_free);
    }
    if (def->retrieve_existing && type && !vimg_type_can_adopt(type)) {
        vimg_warning("'%s': left out: element 'retrieve', of no use to type '%s'", path, def->type);
        def->retrieve_existing = FALSE;
    }
}

/* The definition in @path, which must be that of a pool @name. */
static VimgPoolDef *
read_def(VimgModel *model, const char *path, const char *name, GError **error)
{
    g_autofree char *xml = vimg_file_read(path, VIMG_XML_MAX, NULL, error);
    g_autoptr(VimgPoolDef) def = xml ? vimg_pool_def_parse(xml, FALSE, error) : NULL;

    if (!def)
        return NULL;
    if (strcmp(def->name, name) != 0) {
        vimg_throw(error, VIMG_ERROR_XML, _("the file must have the name of its pool '%s'"),
                   def->name);
        return NULL;
    }
    leave_out(model, path, def);
    return g_steal_pointer(&def);
}

static gint
compare_texts(gconstpointer a, gconstpointer b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* What vimg_file_replace() was writing when the daemon was killed: NAME.UUID.new */
static gboolean
is_leftover(const char *file)
{
    const gsize tail = strlen(".new");
    const gsize uuid = VIMG_UUID_TEXT_SIZE - 1;
    gsize length = strlen(file);
    guint8 parsed[VIMG_UUID_SIZE];
    g_autofree char *text = NULL;

    if (length < uuid + tail + 2 || !g_str_has_suffix(file, ".new"))
        return FALSE;
    text = g_strndup(file + length - tail - uuid, uuid);
    return file[length - tail - uuid - 1] == '.' && vimg_uuid_parse(text, parsed);
}

static void
sweep_dir(const char *dir_path)
{
    g_autoptr(GDir) dir = g_dir_open(dir_path, 0, NULL);
    const char *file;

    while (dir && (file = g_dir_read_name(dir))) {
        g_autofree char *path = g_build_filename(dir_path, file, NULL);

        if (is_leftover(file))
            unlink(path);
    }
}

/* In the order of names, so that of two files that conflict the same one wins each time. */
static gboolean
load_dir(VimgModel *model, const char *dir_path, LoadFunc load, gpointer data, GError **error)
{
    g_autoptr(GDir) dir = g_dir_open(dir_path, 0, error);
    g_autoptr(GPtrArray) files = g_ptr_array_new_with_free_func(g_free);
    const char *file;
    guint i;

    if (!dir)
        return FALSE;
    while ((file = g_dir_read_name(dir))) {
        if (g_str_has_suffix(file, SUFFIX))
            g_ptr_array_add(files, g_strdup(file));
    }
    g_ptr_array_sort(files, compare_texts);
    for (i = 0; i < files->len; i++) {
        g_autoptr(GError) local = NULL;
        g_autofree char *path = NULL;
        g_autofree char *name = NULL;

        file = g_ptr_array_index(files, i);
        path = g_build_filename(dir_path, file, NULL);
        name = g_strndup(file, strlen(file) - strlen(SUFFIX));
        if (!load(model, path, name, data, &local)) {
            g_autofree char *text = vimg_error_text(local);

            vimg_warning("'%s' is skipped: %s", path, text);
        }
    }
    return TRUE;
}

/* Whether CONFIG/autostart/NAME.xml is there; what it points at is our own business. */
static gboolean
has_autostart(const VimgPool *pool)
{
    g_autofree char *link =
        g_strdup_printf("%s/%s.xml", pool->model->autostart_dir, vimg_pool_name(pool));
    g_autofree char *target = g_file_read_link(link, NULL);

    return target || access(link, F_OK) == 0;
}

static gboolean
load_definition(VimgModel *model, const char *path, const char *name, gpointer data, GError **error)
{
    g_autoptr(VimgPoolDef) def = read_def(model, path, name, error);
    g_autofree char *identity = NULL;
    g_autoptr(VimgPool) pool = NULL;
    gboolean made = FALSE;

    if (!def || !vimg_pool_check_def(model, def, TRUE, &identity, error))
        return FALSE;
    pool = vimg_registry_claim(model, def, identity, &made, error);
    if (!pool)
        return FALSE;
    if (!made) { /* the same name and uuid twice cannot come from one directory */
        vimg_pool_end(pool);
        return vimg_throw(error, VIMG_ERROR_INTERNAL, _("pool '%s' is loaded already"), name);
    }
    pool->persistent = TRUE;
    pool->autostart = has_autostart(pool);
    vimg_registry_show(pool);
    vimg_pool_end(pool);
    /* its uuid must be the same tomorrow */
    return def->has_uuid || vimg_persist_save(pool, pool->def, error);
}

/* An active pool that has a definition too may work by another one until it is stopped. */
static void
join_running(VimgPool *pool, const VimgPoolDef *def, const char *identity)
{
    g_autofree char *persistent = vimg_pool_def_format(pool->def, NULL);
    g_autofree char *running = vimg_pool_def_format(def, NULL);
    g_autofree char *defined = NULL;
    g_autofree char *next = NULL;

    vimg_registry_identities(pool, &defined, &next);
    if (strcmp(persistent, running) == 0)
        return;
    vimg_registry_note(pool, identity, defined);
    pool->next_def = pool->def;
    pool->def = vimg_pool_def_copy(def);
}

static gboolean
load_running(VimgModel *model, const char *path, const char *name, gpointer data, GError **error)
{
    GPtrArray *were_active = data;
    g_autoptr(VimgPoolDef) def = read_def(model, path, name, error);
    g_autofree char *identity = NULL;
    g_autoptr(VimgPool) pool = NULL;
    gboolean made = FALSE;

    if (!def || !vimg_pool_check_def(model, def, TRUE, &identity, error))
        return FALSE;
    pool = vimg_registry_claim(model, def, identity, &made, error);
    if (!pool)
        return FALSE;
    if (!made)
        join_running(pool, def, identity);
    vimg_registry_unclaim(pool);
    vimg_registry_show(pool);
    vimg_pool_end(pool);
    g_ptr_array_add(were_active, g_steal_pointer(&pool));
    return TRUE;
}

gboolean
vimg_persist_load(VimgModel *model, GPtrArray *were_active, GError **error)
{
    g_autofree char *renames = g_build_filename(model->state_dir, "renames", NULL);

    sweep_dir(model->config_dir);
    sweep_dir(model->stores_dir);
    sweep_dir(model->run_dir);
    sweep_dir(renames);
    vimg_persist_renames_go_on(model);
    return load_dir(model, model->config_dir, load_definition, NULL, error) &&
           load_dir(model, model->run_dir, load_running, were_active, error);
}
