/*
 * journal.c: what this host began in the storage and has not ended
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <fcntl.h>
#include <unistd.h>
#include <glib/gstdio.h>

#include "journal.h"
#include "../imagestore/json.h"
#include "throw.h"

#define DIRECTORY "journal"
#define HOST "host"
#define HOST_LENGTH 36
#define FILES_MAX 65536
#define DURABLE (G_FILE_SET_CONTENTS_CONSISTENT | G_FILE_SET_CONTENTS_DURABLE)

static const char *const steps[] = {"uploading", "completing", "completed", "importing",
                                    "exporting"};

G_STATIC_ASSERT(G_N_ELEMENTS(steps) == VIMG_EBS_N_STEPS);

static const struct {
    const char *name;
    gsize offset;
} strings[] = {
    {"uuid", G_STRUCT_OFFSET(VimgEbsJournal, uuid)},
    {"name", G_STRUCT_OFFSET(VimgEbsJournal, name)},
    {"key", G_STRUCT_OFFSET(VimgEbsJournal, key)},
    {"attempt", G_STRUCT_OFFSET(VimgEbsJournal, attempt)},
    {"upload", G_STRUCT_OFFSET(VimgEbsJournal, upload)},
    {"etag", G_STRUCT_OFFSET(VimgEbsJournal, etag)},
    {"objectVersion", G_STRUCT_OFFSET(VimgEbsJournal, version)},
    {"token", G_STRUCT_OFFSET(VimgEbsJournal, token)},
    {"imageName", G_STRUCT_OFFSET(VimgEbsJournal, image_name)},
    {"imageId", G_STRUCT_OFFSET(VimgEbsJournal, image_id)},
    {"taskId", G_STRUCT_OFFSET(VimgEbsJournal, task_id)},
    {"record", G_STRUCT_OFFSET(VimgEbsJournal, record)},
};

static char **
string_of(const VimgEbsJournal *journal, gsize i)
{
    return (char **)G_STRUCT_MEMBER_P(journal, strings[i].offset);
}

static char *
path_of(const VimgEbsStore *store, const char *uuid)
{
    return g_build_filename(store->state_dir, DIRECTORY, uuid, NULL);
}

void
vimg_ebs_journal_free(VimgEbsJournal *journal)
{
    gsize i;

    if (!journal)
        return;
    for (i = 0; i < G_N_ELEMENTS(strings); i++)
        g_free(*string_of(journal, i));
    g_free(journal);
}

static gboolean
write_durably(const char *path, const char *text, GError **error)
{
    g_autofree char *dir = g_path_get_dirname(path);
    g_autoptr(GError) local = NULL;

    if (g_mkdir_with_parents(dir, 0700) < 0)
        return throw_result(error, errno, _("cannot make directory '%s'"), dir);
    return g_file_set_contents_full(path, text, -1, DURABLE, 0600, &local) ||
           throw_error(error, VIMG_ERROR_SYSTEM, "%s", local->message);
}

/* ---- one -------------------------------------------------------------------------------- */

static gboolean
read_members(VimgEbsJournal *journal, JsonObject *object)
{
    const char *step = vimg_json_string(object, "step");
    guint64 clone;
    gsize i;

    for (i = 0; i < G_N_ELEMENTS(strings); i++)
        *string_of(journal, i) = g_strdup(vimg_json_string(object, strings[i].name));
    vimg_json_number(object, "clone", &clone);
    journal->clone = clone == 1;
    for (i = 0; step && i < G_N_ELEMENTS(steps); i++) {
        if (strcmp(steps[i], step) == 0) {
            journal->step = (VimgEbsStep)i;
            return journal->uuid && journal->name && journal->key;
        }
    }
    return FALSE;
}

VimgEbsJournal *
vimg_ebs_journal_load(const VimgEbsStore *store, const char *uuid, GError **error)
{
    g_autoptr(VimgEbsJournal) journal = g_new0(VimgEbsJournal, 1);
    g_autofree char *path = path_of(store, uuid);
    g_autofree char *text = NULL;
    g_autoptr(JsonObject) object = NULL;
    g_autoptr(GError) local = NULL;
    gsize size;

    if (!g_file_get_contents(path, &text, &size, &local)) {
        if (g_error_matches(local, G_FILE_ERROR, G_FILE_ERROR_NOENT))
            return g_steal_pointer(&journal);
        throw_error(error, VIMG_ERROR_SYSTEM, "%s", local->message);
        return NULL;
    }
    object = vimg_json_parse((const guint8 *)text, size, NULL);
    if (object && read_members(journal, object) && strcmp(journal->uuid, uuid) == 0)
        return g_steal_pointer(&journal);
    throw_error(error, VIMG_ERROR_DAMAGED, _("the journal '%s' cannot be read"), path);
    return NULL;
}

gboolean
vimg_ebs_journal_note(const VimgEbsStore *store, VimgEbsJournal *journal, VimgEbsStep step,
                      GError **error)
{
    g_autofree char *path = path_of(store, journal->uuid);
    g_autoptr(JsonObject) object = json_object_new();
    g_autofree char *text = NULL;
    gsize i;

    journal->step = step;
    json_object_set_string_member(object, "step", steps[step]);
    json_object_set_int_member(object, "clone", journal->clone ? 1 : 0);
    for (i = 0; i < G_N_ELEMENTS(strings); i++)
        vimg_json_set_string(object, strings[i].name, *string_of(journal, i));
    text = vimg_json_format(object);
    return write_durably(path, text, error);
}

/* Durably, as it was noted: what ended is not to be looked at again after a loss of power. */
void
vimg_ebs_journal_drop(const VimgEbsStore *store, const char *uuid)
{
    g_autofree char *path = path_of(store, uuid);
    g_autofree char *dir = path_of(store, NULL);
    int fd;

    if (g_unlink(path) < 0) {
        if (errno != ENOENT)
            vimg_ebs_warn("cannot remove '%s': %s", path, g_strerror(errno));
        return;
    }
    fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        fsync(fd);
        close(fd);
    }
}

/* ---- all of them ------------------------------------------------------------------------ */

GPtrArray *
vimg_ebs_journal_list(const VimgEbsStore *store)
{
    GPtrArray *uuids = g_ptr_array_new_with_free_func(g_free);
    g_autofree char *path = path_of(store, NULL);
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    const char *name;

    while (dir && uuids->len < FILES_MAX && (name = g_dir_read_name(dir))) {
        if (g_uuid_string_is_valid(name))
            g_ptr_array_add(uuids, g_strdup(name));
    }
    return uuids;
}

char *
vimg_ebs_journal_host(const char *state_dir, GError **error)
{
    g_autofree char *path = g_build_filename(state_dir, HOST, NULL);
    g_autofree char *name = NULL;

    if (g_file_get_contents(path, &name, NULL, NULL) && strlen(name) == HOST_LENGTH &&
        g_uuid_string_is_valid(name))
        return g_steal_pointer(&name);
    g_free(name);
    name = g_uuid_string_random();
    return write_durably(path, name, error) ? g_steal_pointer(&name) : NULL;
}
