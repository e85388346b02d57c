/*
 * cmd-sync.c: virtimagectl sync: the images of one pool in another one too
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <stdio.h>

#include "cli/image.h"
#include "cli/table.h"
#include "cli/text.h"
#include "cli/watch.h"
#include "util/error.h"
#include "util/i18n.h"

typedef struct {
    VimgCtlPool source;
    VimgCtlPool pool;
    GPtrArray *uuids; /* of images that are to be deleted */
    guint64 bandwidth;
} Sync;

static void
sync_clear(Sync *sync)
{
    vimg_ctl_pool_clear(&sync->source);
    vimg_ctl_pool_clear(&sync->pool);
    g_ptr_array_unref(sync->uuids);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Sync, sync_clear)

/* ---- what is missing at the source ---------------------------------------------------------- */

/* Returns: (transfer full) the names of all images of @list, which they live as long as. */
static GHashTable *
collect_names(JsonObject *list)
{
    GHashTable *names = g_hash_table_new(g_str_hash, g_str_equal);

    for (guint i = 0; i < vimg_report_count(list, "volumes"); i++) {
        const char *name = vimg_report_string(vimg_report_element(list, "volumes", i), "name");

        if (name)
            g_hash_table_add(names, (char *)name);
    }
    return names;
}

/* Complete images of the pool that the source has none of the name of. */
static gboolean
find_missing(VimgCtl *ctl, Sync *sync, GPtrArray *names, GError **error)
{
    g_autoptr(JsonObject) source = vimg_image_list(ctl, &sync->source, error);
    g_autoptr(JsonObject) pool = source ? vimg_image_list(ctl, &sync->pool, error) : NULL;
    g_autoptr(GHashTable) known = pool ? collect_names(source) : NULL;

    if (!pool)
        return FALSE;
    for (guint i = 0; i < vimg_report_count(pool, "volumes"); i++) {
        JsonObject *volume = vimg_report_element(pool, "volumes", i);
        const char *name = vimg_report_string(volume, "name");

        if (!name || g_strcmp0(vimg_report_string(volume, "state"), "active") != 0 ||
            g_hash_table_contains(known, name))
            continue;
        g_ptr_array_add(sync->uuids, g_strdup(vimg_report_string(volume, "uuid")));
        g_ptr_array_add(names, vimg_text_safe(name));
    }
    return TRUE;
}

static gboolean
confirm_deletion(VimgCtl *ctl, Sync *sync, GError **error)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
    g_autofree char *source = vimg_text_safe(sync->source.name);
    g_autofree char *pool = vimg_text_safe(sync->pool.name);
    g_autofree char *list = NULL;
    g_autofree char *question = NULL;

    if (!find_missing(ctl, sync, names, error))
        return FALSE;
    if (names->len == 0)
        return TRUE;
    g_ptr_array_add(names, NULL);
    list = g_strjoinv(", ", (char **)names->pdata);
    question = g_strdup_printf(
        _("Move these images of pool %1$s to its trash, as pool %2$s does not have them: %3$s?"),
        pool, source, list);
    return vimg_ctl_confirm(ctl, question, error);
}

/* ---- the call ------------------------------------------------------------------------------- */

static void
show_sync(VimgCtl *ctl, JsonObject *report)
{
    static const VimgColumn fields[] = {
        {N_("Copied"), "copied_count", VIMG_CELL_NUMBER, 0},
        {N_("Present"), "present_count", VIMG_CELL_NUMBER, 0},
        {N_("Deleted"), "deleted_count", VIMG_CELL_NUMBER, 0},
        {N_("Refused"), "refused_count", VIMG_CELL_NUMBER, 0},
        {N_("Sent"), "sent", VIMG_CELL_SIZE, 0},
        {N_("Of"), "total", VIMG_CELL_SIZE, 0},
    };
    static const VimgColumn copied[] = {
        {N_("Copied"), "name", VIMG_CELL_TEXT, 0},
        {N_("Sent"), "sent", VIMG_CELL_SIZE, 1},
        {N_("Allocation"), "allocation", VIMG_CELL_SIZE, 2},
    };
    static const VimgColumn deleted[] = {
        {N_("Deleted"), "name", VIMG_CELL_TEXT, 0},
    };
    static const VimgColumn refused[] = {
        {N_("Refused"), "name", VIMG_CELL_TEXT, 0},
        {N_("Reason"), "reason", VIMG_CELL_TEXT, 1},
    };
    static const struct {
        const char *member;
        const VimgColumn *columns;
        gsize n;
    } tables[] = {
        {"copied", copied, G_N_ELEMENTS(copied)},
        {"deleted", deleted, G_N_ELEMENTS(deleted)},
        {"refused", refused, G_N_ELEMENTS(refused)},
    };

    vimg_fields_print(ctl, report, fields, G_N_ELEMENTS(fields));
    for (gsize i = 0; i < G_N_ELEMENTS(tables); i++) {
        if (vimg_report_count(report, tables[i].member) == 0)
            continue;
        putchar('\n');
        vimg_table_print(ctl, report, tables[i].member, tables[i].columns, tables[i].n);
    }
    if (vimg_report_truth(report, "truncated"))
        fputs(_("There are more.\n"), stderr);
}

static JsonObject *
call_sync(VimgCtl *ctl, Sync *sync, int n_images, char **images, GError **error)
{
    const VimgWatched watched = {"sync", NULL, TRUE,
                                 _("what came is kept, and the same command goes on")};
    vimg_control_sync_args args = {
        .pool = sync->pool, .source = sync->source, .bandwidth = sync->bandwidth};

    args.images.images_len = (u_int)n_images;
    args.images.images_val = images;
    args.deletes.deletes_len = sync->uuids->len;
    args.deletes.deletes_val = (vimg_remote_text *)sync->uuids->pdata;
    return vimg_watch_report(ctl, &watched, VIMG_CONTROL_POOL_SYNC,
                             (xdrproc_t)xdr_vimg_control_sync_args, &args, error);
}

int
vimg_cmd_sync(VimgCtl *ctl, int argc, char **argv)
{
    const char *rate = vimg_ctl_option(ctl, "bandwidth");
    g_auto(Sync) sync = {.uuids = g_ptr_array_new_with_free_func(g_free)};
    g_autoptr(JsonObject) report = NULL;
    g_autoptr(GError) error = NULL;
    int code;

    if (rate && !vimg_text_parse_size(rate, &sync.bandwidth))
        return vimg_ctl_misused(ctl, _("--bandwidth: '%s' is no number of bytes a second"), rate);
    if (vimg_ctl_find_pool(ctl, argv[0], &sync.source, &error) &&
        vimg_ctl_find_pool(ctl, argv[1], &sync.pool, &error) &&
        (!vimg_ctl_option(ctl, "delete-missing") || confirm_deletion(ctl, &sync, &error)))
        report = call_sync(ctl, &sync, argc - 2, argv + 2, &error);
    code = vimg_ctl_show(ctl, report, show_sync, error);
    return report && vimg_report_number(report, "refused_count", 0) > 0 ? VIMG_EXIT_PROBLEM : code;
}
