/*
 * memory-upkeep.c: the trash of the storages in memory, their cleanup and their verification
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <string.h>

#include "memory-private.h"

static Image *
find_deleted(const char *dir, const char *uuid, GError **error)
{
    Image *image = g_hash_table_lookup(mem_get_storage(dir)->trash, uuid);

    if (!image)
        mem_refuse(error, VIMG_ERROR_NO_VOL, "it is not in the trash");
    return image;
}

gboolean
mem_list_trash(gpointer data, VimgImageSink sink, gpointer sink_data, GError **error)
{
    Handle *handle = data;
    GHashTableIter iter;
    gpointer value;

    if (!mem_gate(handle->dir, "list_trash", NULL, error))
        return FALSE;
    pthread_mutex_lock(&mem_lock);
    g_hash_table_iter_init(&iter, mem_get_storage(handle->dir)->trash);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        if (!sink(&((Image *)value)->info, sink_data))
            break;
    }
    pthread_mutex_unlock(&mem_lock);
    return TRUE;
}

gboolean
mem_restore(gpointer data, const char *uuid, const char *name, VimgPluginImage *out, GError **error)
{
    Handle *handle = data;
    Storage *storage;
    Image *image;

    if (!mem_gate(handle->dir, "restore", NULL, error))
        return FALSE;
    pthread_mutex_lock(&mem_lock);
    storage = mem_get_storage(handle->dir);
    image = find_deleted(handle->dir, uuid, error);
    if (image && mem_find_name(storage, name)) {
        image = NULL;
        mem_refuse(error, VIMG_ERROR_VOL_EXISTS, name);
    }
    if (image) {
        image->info.deleted = 0;
        g_free(image->info.name);
        image->info.name = g_strdup(name);
        mem_move(storage->trash, storage->images, image);
        mem_copy_info(out, &image->info);
    }
    pthread_mutex_unlock(&mem_lock);
    return image != NULL;
}

gboolean
mem_purge(gpointer data, const char *uuid, GError **error)
{
    Handle *handle = data;
    gboolean found;

    if (!mem_gate(handle->dir, "purge", NULL, error))
        return FALSE;
    pthread_mutex_lock(&mem_lock);
    found = find_deleted(handle->dir, uuid, error) != NULL;
    if (found)
        g_hash_table_remove(mem_get_storage(handle->dir)->trash, uuid);
    pthread_mutex_unlock(&mem_lock);
    return found;
}

typedef struct {
    gint64 before; /* images older than that go */
    gboolean dry_run;
    guint64 freed;
    GString *removed;
} Sweep;

static void
sweep(GHashTable *table, gboolean trash, Sweep *sweep)
{
    GHashTableIter iter;
    gpointer value;

    g_hash_table_iter_init(&iter, table);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        const Image *image = value;
        gint64 since = trash ? image->info.deleted : image->info.created;

        if (since > sweep->before || image->writers > 0 ||
            (!trash && image->info.state == VIMG_IMAGE_ACTIVE))
            continue;
        sweep->freed += image->info.allocation;
        g_string_append_printf(sweep->removed, "%s{\"name\": \"%s\", \"reason\": \"%s\"}",
                               sweep->removed->len > 0 ? ", " : "", image->info.name,
                               trash ? "deleted" : "abandoned");
        if (!sweep->dry_run)
            g_hash_table_iter_remove(&iter);
    }
}

char *
mem_cleanup(gpointer data, gboolean dry_run, VimgPluginJob *job, GError **error)
{
    Handle *handle = data;
    gint64 now = g_get_real_time() / G_USEC_PER_SEC;
    g_autoptr(GString) removed = g_string_new(NULL);
    Sweep state = {.dry_run = dry_run, .removed = removed};
    Storage *storage;

    mem_services->job_progress(job, "sweeping", 0, 0);
    if (!mem_gate(handle->dir, "cleanup", job, error))
        return NULL;
    pthread_mutex_lock(&mem_lock);
    storage = mem_get_storage(handle->dir);
    state.before = now - (gint64)storage->keep_deleted;
    sweep(storage->trash, TRUE, &state);
    state.before = now - (gint64)storage->keep_temporary;
    sweep(storage->images, FALSE, &state);
    pthread_mutex_unlock(&mem_lock);
    return g_strdup_printf("{\"freed\": %" G_GUINT64_FORMAT ", \"removed\": [%s], \"kept\": []}",
                           state.freed, removed->str);
}

/* What is wrong is said by the name. */
char *
mem_verify(gpointer data, const char *uuid, VimgPluginJob *job, GError **error)
{
    Handle *handle = data;
    g_autoptr(GString) damaged = g_string_new(NULL);
    GHashTableIter iter;
    gpointer value;
    guint64 checked = 0;
    g_autofree char *totals = NULL;

    if (!mem_gate(handle->dir, "verify", job, error))
        return NULL;
    pthread_mutex_lock(&mem_lock);
    g_hash_table_iter_init(&iter, mem_get_storage(handle->dir)->images);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        const VimgPluginImage *image = &((Image *)value)->info;

        if (uuid && strcmp(image->uuid, uuid) != 0)
            continue;
        checked += image->physical;
        if (g_str_has_prefix(image->name, "damaged"))
            g_string_append_printf(damaged, "%s{\"uuid\": \"%s\", \"name\": \"%s\"}",
                                   damaged->len > 0 ? ", " : "", image->uuid, image->name);
    }
    pthread_mutex_unlock(&mem_lock);
    /* as if half of it were stored, in a third of the bytes */
    if (!uuid)
        totals = g_strdup_printf(", \"stored\": %" G_GUINT64_FORMAT
                                 ", \"plain\": %" G_GUINT64_FORMAT ", \"bad\": %d",
                                 checked / 2, checked / 2 * 3, damaged->len > 0);
    return g_strdup_printf("{\"checked\": %" G_GUINT64_FORMAT ", \"damaged\": [%s]%s}", checked,
                           damaged->str, totals ? totals : "");
}
