/*
 * persist-rename.c: the files of a pool under another name
 *
 *   1. STATE/renames/UUID says "OLD\nNEW\n": whoever is killed from here on, the next start goes on
 *   2. CONFIG/NEW.xml, CONFIG/autostart/NEW.xml and RUN/NEW.xml are made of what OLD has
 *   3. RUN/OLD.xml, CONFIG/autostart/OLD.xml and CONFIG/OLD.xml go
 *   4. STATE/renames/UUID goes
 *
 * Each step is durable before the next and may be done twice, so a start that goes on does 2 to 4,
 * before it loads any definition.  What fails is done the other way round.  Only what is of the
 * pool by its uuid is read, written over or removed: another one may have either name by then.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <errno.h>
#include <sys/stat.h>

#include "pool/model-private.h"
#include "util/file.h"
#include "util/i18n.h"
#include "util/log.h"

#define JOURNAL_MAX 1024 /* bytes */

static char *
journal_dir(const VimgModel *model)
{
    return g_build_filename(model->state_dir, "renames", NULL);
}

static char *
file_of(const char *dir, const char *name)
{
    return g_strdup_printf("%s/%s.xml", dir, name);
}

static gboolean
is_there(const char *path)
{
    struct stat st;

    return lstat(path, &st) == 0 || errno != ENOENT;
}

/* ---- from one name to another --------------------------------------------------------------- */

typedef struct {
    VimgModel *model;
    const char *uuid;
    const char *from, *to;
} Move;

/*
 * Reads the definition DIR/NAME.xml: *@def is NULL if there is none, *@ours says whether it is that
 * of the pool.  Returns: FALSE if it cannot be read, so that nobody knows whose it is.
 */
static gboolean
look_at(const Move *move, const char *dir, const char *name, VimgPoolDef **def, gboolean *ours,
        GError **error)
{
    g_autofree char *path = file_of(dir, name);
    char uuid[VIMG_UUID_TEXT_SIZE];
    g_autofree char *xml = NULL;

    *ours = FALSE;
    *def = NULL;
    if (!is_there(path))
        return TRUE;
    xml = vimg_file_read(path, VIMG_XML_MAX, NULL, error);
    *def = xml ? vimg_pool_def_parse(xml, FALSE, error) : NULL;
    if (!*def)
        return FALSE;
    vimg_uuid_format((*def)->uuid, uuid);
    *ours = strcmp(uuid, move->uuid) == 0;
    return TRUE;
}

/* Whether DIR/NAME.xml may be written over or left: there is none, or it is the pool's own. */
static gboolean
check_own(const Move *move, const char *dir, const char *name, GError **error)
{
    g_autoptr(VimgPoolDef) def = NULL;
    g_autofree char *path = NULL;
    gboolean ours;

    if (!look_at(move, dir, name, &def, &ours, error))
        return FALSE;
    if (!def || ours)
        return TRUE;
    path = file_of(dir, name);
    return vimg_throw(error, VIMG_ERROR_FAILED, _("'%1$s' is not the definition of pool %2$s"),
                      path, move->uuid);
}

static gboolean
copy_definition(const Move *move, const char *dir, GError **error)
{
    g_autofree char *to = file_of(dir, move->to);
    g_autoptr(VimgPoolDef) def = NULL;
    gboolean ours;

    if (!look_at(move, dir, move->from, &def, &ours, error))
        return FALSE;
    if (!ours) /* another pool has the name by now */
        return TRUE;
    if (!check_own(move, dir, move->to, error))
        return FALSE;
    g_free(def->name);
    def->name = g_strdup(move->to);
    return vimg_persist_write(to, def, error);
}

/* The link to a definition belongs to whom the definition does. */
static gboolean
copy_link(const Move *move, GError **error)
{
    g_autofree char *from = file_of(move->model->autostart_dir, move->from);
    g_autoptr(VimgPoolDef) def = NULL;
    gboolean ours;

    if (!look_at(move, move->model->config_dir, move->from, &def, &ours, error))
        return FALSE;
    return !ours || !is_there(from) || vimg_persist_link(move->model, move->to, error);
}

/* Its file in @dir, if the definition of that name in @owner is that of the pool. */
static gboolean
remove_from(const Move *move, const char *dir, const char *owner, GError **error)
{
    g_autofree char *path = file_of(dir, move->from);
    g_autoptr(VimgPoolDef) def = NULL;
    gboolean ours;

    if (!look_at(move, owner, move->from, &def, &ours, error))
        return FALSE;
    return !ours || vimg_file_remove(path, error);
}

static gboolean
move_files(const Move *move, GError **error)
{
    VimgModel *model = move->model;

    return copy_definition(move, model->config_dir, error) && copy_link(move, error) &&
           copy_definition(move, model->run_dir, error) &&
           remove_from(move, model->run_dir, model->run_dir, error) &&
           remove_from(move, model->autostart_dir, model->config_dir, error) &&
           remove_from(move, model->config_dir, model->config_dir, error);
}

/* Takes back what it can after @why, which was told already. */
static gboolean
move_back(const Move *move)
{
    const Move back = {move->model, move->uuid, move->to, move->from};
    g_autoptr(GError) error = NULL;

    if (move_files(&back, &error))
        return TRUE;
    vimg_warning("storage pool '%s' may be called '%s' after the next start: %s", move->from,
                 move->to, error->message);
    return FALSE;
}

/* ---- while the daemon runs ------------------------------------------------------------------ */

/* Files of that name belong to no pool; an administrator may be at work on one. */
static gboolean
check_vacant(const char *dir, const char *name, GError **error)
{
    g_autofree char *path = file_of(dir, name);

    return !is_there(path) ||
           vimg_throw(error, VIMG_ERROR_FAILED,
                      _("'%s' is in the way, though of no pool: move it elsewhere"), path);
}

gboolean
vimg_persist_rename(VimgPool *pool, const char *name, GError **error)
{
    VimgModel *model = pool->model;
    const Move move = {model, pool->uuid_text, vimg_pool_name(pool), name};
    g_autofree char *dir = journal_dir(model);
    g_autofree char *journal = g_build_filename(dir, pool->uuid_text, NULL);
    g_autofree char *text = g_strdup_printf("%s\n%s\n", move.from, move.to);
    g_autofree char *stale = file_of(model->autostart_dir, name);

    if (!check_vacant(model->config_dir, name, error) ||
        !check_vacant(model->run_dir, name, error) ||
        !check_own(&move, model->config_dir, move.from, error) || !vimg_file_remove(stale, error) ||
        !vimg_file_replace(journal, text, strlen(text), 0600, error))
        return FALSE;
    if (move_files(&move, error) && vimg_file_remove(journal, error))
        return TRUE;
    if (move_back(&move))
        vimg_file_remove(journal, NULL);
    return FALSE;
}

/* ---- at the start --------------------------------------------------------------------------- */

/* Returns: whether @text, which is cut up, has two names. */
static gboolean
parse_journal(char *text, Move *move)
{
    char *end = strchr(text, '\n');
    char *last = end ? strchr(end + 1, '\n') : NULL;

    if (!last || last[1])
        return FALSE;
    *end = *last = '\0';
    move->from = text;
    move->to = end + 1;
    return vimg_name_check("pool", move->from, NULL) && vimg_name_check("pool", move->to, NULL);
}

static void
go_on(VimgModel *model, const char *path, const char *uuid)
{
    Move move = {.model = model, .uuid = uuid};
    g_autoptr(GError) error = NULL;
    g_autofree char *text = vimg_file_read(path, JOURNAL_MAX, NULL, &error);

    if (!text || !parse_journal(text, &move)) {
        vimg_warning("'%s' is skipped: %s", path, error ? error->message : "it is no two names");
        return;
    }
    if (!move_files(&move, &error)) {
        vimg_warning("storage pool '%s' is not renamed to '%s': %s", move.from, move.to,
                     error->message);
        if (!move_back(&move))
            return;
    }
    vimg_file_remove(path, NULL);
}

void
vimg_persist_renames_go_on(VimgModel *model)
{
    g_autofree char *path = journal_dir(model);
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    guint8 uuid[VIMG_UUID_SIZE];
    const char *file;

    while (dir && (file = g_dir_read_name(dir))) {
        g_autofree char *journal = g_build_filename(path, file, NULL);

        if (vimg_uuid_parse(file, uuid))
            go_on(model, journal, file);
    }
}
