/*
 * collect-wait.c: the leases that a run waits for, noted in its directory
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "collect-private.h"
#include "spare.h"
#include "survey.h"
#include "../throw.h"

#define NAMES_MAX_SIZE ((gsize)16 * 1024 * 1024)
#define NAMES_END "end"

GPtrArray *
vimg_collect_read_names(VimgCollection *collection, const char *dir, const char *name)
{
    g_autofree char *path = g_strconcat(dir, "/", name, NULL);
    g_autoptr(VimgBuffer) content = NULL;
    g_autofree char *text = NULL;
    g_auto(GStrv) lines = NULL;
    GPtrArray *names;
    guint i;

    if (vimg_transport_read(collection->store->transport, path, NAMES_MAX_SIZE, &content) != 0)
        return NULL;
    text = g_strndup((const char *)content->data, content->size);
    lines = g_strsplit(text, "\n", 0);
    if (!g_strv_contains((const char *const *)lines, NAMES_END))
        return NULL;
    names = g_ptr_array_new_with_free_func(g_free);
    for (i = 0; strcmp(lines[i], NAMES_END) != 0; i++)
        g_ptr_array_add(names, g_strdup(lines[i]));
    return names;
}

gboolean
vimg_collect_write_names(VimgCollection *collection, const char *dir, const char *name,
                         const GPtrArray *names, GError **error)
{
    g_autofree char *path = g_strconcat(dir, "/", name, NULL);
    g_autoptr(GString) text = g_string_new(NULL);
    VimgTransport *transport = collection->store->transport;
    int result;
    guint i;

    for (i = 0; i < names->len; i++)
        g_string_append_printf(text, "%s\n", (const char *)g_ptr_array_index(names, i));
    g_string_append(text, NAMES_END "\n");
    vimg_transport_unlink(transport, path);
    result = vimg_transport_create(transport, path, text->str, text->len, FALSE);
    if (vimg_spare_use(transport, result)) {
        collection->lock->tight = TRUE;
        vimg_transport_unlink(transport, path);
        result = vimg_transport_create(transport, path, text->str, text->len, FALSE);
    }
    if (result != 0 && result != ENOENT)
        return throw_result(error, result, _("cannot note the leases to wait for"));
    return result == 0;
}

gboolean
vimg_collect_get_leases(VimgCollection *collection, const char *dir, const char *name,
                        GPtrArray **out, GError **error)
{
    g_autoptr(GError) local = NULL;

    *out = vimg_collect_read_names(collection, dir, name);
    if (*out)
        return TRUE;
    *out = vimg_survey_leases(collection->store, g_get_monotonic_time(), error);
    if (!*out)
        return FALSE;
    if (vimg_collect_write_names(collection, dir, name, *out, &local))
        return TRUE;
    g_clear_pointer(out, g_ptr_array_unref);
    if (!local)
        return TRUE;
    g_propagate_error(error, g_steal_pointer(&local));
    return FALSE;
}

void
vimg_collect_drop_ended(GPtrArray *leases, const GPtrArray *alive)
{
    guint i = 0;

    while (i < leases->len) {
        if (g_ptr_array_find_with_equal_func((GPtrArray *)alive, g_ptr_array_index(leases, i),
                                             g_str_equal, NULL))
            i++;
        else
            g_ptr_array_remove_index_fast(leases, i);
    }
}

gboolean
vimg_collect_wait(VimgCollection *collection, GPtrArray *leases, gint64 deadline, gboolean *out,
                  GError **error)
{
    guint total = leases->len;

    for (;;) {
        gint64 now = g_get_monotonic_time();
        g_autoptr(GPtrArray) alive = NULL;

        if (leases->len > 0) {
            alive = vimg_survey_leases(collection->store, now, error);
            if (!alive)
                return FALSE;
            vimg_collect_drop_ended(leases, alive);
        }
        *out = leases->len == 0;
        if (*out || now >= deadline)
            return TRUE;
        if (!vimg_collect_check_end(collection, error))
            return FALSE;
        vimg_collect_progress(collection, "waiting for running jobs", total - leases->len, total);
        g_usleep((gulong)MIN(VIMG_COLLECT_POLL, deadline - now));
        collection->resumed = g_get_monotonic_time();
    }
}
