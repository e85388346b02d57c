/*
 * memory-usage.c: what the images of the storages in memory take, and how those are reached
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "memory-private.h"

/* A number that nobody else has, of the trash too: its physical size, and seven shared. */
static guint64
add_images(GHashTable *table, GString *images)
{
    guint64 sum = 0;
    GHashTableIter iter;
    gpointer value;

    g_hash_table_iter_init(&iter, table);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        const VimgPluginImage *image = &((Image *)value)->info;

        g_string_append_printf(
            images, "%s{\"uuid\": \"%s\", \"unique\": %" G_GUINT64_FORMAT ", \"shared\": 7}",
            images->len > 0 ? ", " : "", image->uuid, image->physical);
        sum += image->physical;
    }
    return sum;
}

char *
mem_usage(gpointer data, VimgPluginJob *job, GError **error)
{
    Handle *handle = data;
    g_autoptr(GString) images = g_string_new(NULL);
    guint64 sum;

    if (!mem_gate(handle->dir, "usage", job, error))
        return NULL;
    pthread_mutex_lock(&mem_lock);
    sum = add_images(mem_get_storage(handle->dir)->images, images);
    sum += add_images(mem_get_storage(handle->dir)->trash, images);
    pthread_mutex_unlock(&mem_lock);
    /* as if half of it were stored, in a third of the bytes */
    return g_strdup_printf("{\"as_of\": 1767323045, \"images\": [%s], \"total\": {\"stored\": "
                           "%" G_GUINT64_FORMAT ", \"plain\": %" G_GUINT64_FORMAT "}}",
                           images->str, sum / 2, sum / 2 * 3);
}

char *
mem_diff(gpointer data, const char *from, const char *to, VimgPluginJob *job, GError **error)
{
    Handle *handle = data;
    char *report = NULL;
    Image *old;
    Image *new;

    if (!mem_gate(handle->dir, "diff", job, error))
        return NULL;
    pthread_mutex_lock(&mem_lock);
    old = mem_find_image(handle->dir, from, error);
    new = old ? mem_find_image(handle->dir, to, error) : NULL;
    if (new)
        report =
            g_strdup_printf("{\"from\": \"%s\", \"to\": \"%s\"}", old->info.name, new->info.name);
    pthread_mutex_unlock(&mem_lock);
    return report;
}

gboolean
mem_diagnose(const VimgPluginPool *pool, VimgStepSink sink, gpointer data, VimgPluginJob *job,
             GError **error)
{
    VimgPluginStep step = {
        .size = sizeof(step), .name = "memory", .detail = pool->store_id ? pool->store_id : "new"};
    g_autoptr(GError) local = NULL;

    if (!mem_gate(pool->dir, "diagnose", job, &local)) {
        if (g_error_matches(local, VIMG_ERROR, VIMG_ERROR_ABORTED)) {
            g_propagate_error(error, g_steal_pointer(&local));
            return FALSE;
        }
        step.verdict = VIMG_STEP_FAILED;
        step.detail = local->message;
        step.remedy = "mend it";
    }
    sink(&step, data);
    return TRUE;
}

gboolean
mem_host_key_accept(const VimgPluginPool *pool, const char *fingerprint, GError **error)
{
    if (!mem_gate(pool->dir, "host_key_accept", NULL, error))
        return FALSE;
    if (strcmp(fingerprint, MEM_KEY) == 0)
        return TRUE;
    g_set_error_literal(error, VIMG_ERROR, VIMG_ERROR_AUTH, "the server shows " MEM_KEY);
    return FALSE;
}
