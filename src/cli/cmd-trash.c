/*
 * cmd-trash.c: virtimagectl trash list, restore and purge
 *
 * A deleted image is named by its uuid or, if only one of that name was deleted, by its name.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "cli/ctl.h"
#include "cli/table.h"
#include "util/error.h"
#include "util/i18n.h"
#include "util/uuid.h"

/* ---- what is there -------------------------------------------------------------------------- */

static JsonObject *
entry_to_json(const vimg_control_trash_entry *entry)
{
    JsonObject *object = json_object_new();

    json_object_set_string_member(object, "uuid", entry->uuid);
    json_object_set_string_member(object, "name", entry->name);
    json_object_set_string_member(object, "format", entry->format ? *entry->format : NULL);
    json_object_set_int_member(object, "capacity", (gint64)entry->capacity);
    json_object_set_int_member(object, "allocation", (gint64)entry->allocation);
    json_object_set_int_member(object, "physical", (gint64)entry->physical);
    json_object_set_int_member(object, "created", entry->created);
    json_object_set_int_member(object, "deleted", entry->deleted);
    json_object_set_int_member(object, "expires", entry->expires);
    json_object_set_string_member(object, "needed_by", entry->needed_by ? *entry->needed_by : NULL);
    return object;
}

static gboolean
add_page(VimgCtl *ctl, const VimgCtlPool *pool, vimg_remote_text *after, JsonArray *list,
         GError **error)
{
    vimg_control_trash_args args = {*pool, after, VIMG_CONTROL_PAGE_MAX};
    vimg_control_trash_ret ret = {0};
    gboolean ok =
        vimg_ctl_call(ctl, VIMG_CONTROL_TRASH_LIST, (xdrproc_t)xdr_vimg_control_trash_args, &args,
                      (xdrproc_t)xdr_vimg_control_trash_ret, &ret, error);

    for (u_int i = 0; ok && i < ret.entries.entries_len; i++)
        json_array_add_object_element(list, entry_to_json(&ret.entries.entries_val[i]));
    xdr_free((xdrproc_t)xdr_vimg_control_trash_ret, (char *)&ret);
    return ok;
}

static JsonObject *
get_trash(VimgCtl *ctl, const VimgCtlPool *pool, GError **error)
{
    return vimg_ctl_list(ctl, pool, "trash", "uuid", add_page, error);
}

static void
show_trash(VimgCtl *ctl, JsonObject *report)
{
    static const VimgColumn columns[] = {
        {N_("Name"), "name", VIMG_CELL_TEXT, 0},
        {N_("UUID"), "uuid", VIMG_CELL_TEXT, 4},
        {N_("Allocation"), "allocation", VIMG_CELL_SIZE, 1},
        {N_("Deleted"), "deleted", VIMG_CELL_TIME, 3},
        {N_("Expires"), "expires", VIMG_CELL_TIME, 2},
        {N_("Needed by"), "needed_by", VIMG_CELL_TEXT, 5},
    };

    vimg_table_print(ctl, report, "trash", columns, G_N_ELEMENTS(columns));
}

int
vimg_cmd_trash_list(VimgCtl *ctl, int argc, char **argv)
{
    g_auto(VimgCtlPool) pool = {0};
    g_autoptr(JsonObject) report = NULL;
    g_autoptr(GError) error = NULL;

    if (vimg_ctl_find_pool(ctl, argv[0], &pool, &error))
        report = get_trash(ctl, &pool, &error);
    return vimg_ctl_show(ctl, report, show_trash, error);
}

/* ---- restore and purge ---------------------------------------------------------------------- */

/* Returns: (transfer full) the uuid of the one that @which names, or NULL. */
static char *
find_entry(VimgCtl *ctl, const VimgCtlPool *pool, const char *which, GError **error)
{
    guint8 uuid[VIMG_UUID_SIZE];
    g_autoptr(JsonObject) report = NULL;
    const char *found = NULL;

    if (vimg_uuid_parse(which, uuid))
        return g_strdup(which);
    report = get_trash(ctl, pool, error);
    for (guint i = 0; report && i < vimg_report_count(report, "trash"); i++) {
        JsonObject *entry = vimg_report_element(report, "trash", i);

        if (g_strcmp0(vimg_report_string(entry, "name"), which) != 0)
            continue;
        if (found) {
            vimg_throw(error, VIMG_ERROR_INVALID_ARG,
                       _("several deleted images were named '%s': give the uuid of one"), which);
            return NULL;
        }
        found = vimg_report_string(entry, "uuid");
    }
    if (report && !found)
        vimg_throw(error, VIMG_ERROR_NO_VOL, _("no deleted image '%s'"), which);
    return g_strdup(found);
}

int
vimg_cmd_trash_restore(VimgCtl *ctl, int argc, char **argv)
{
    static const char *const names[] = {"pool", "name", "key", NULL};
    vimg_remote_text name = argc > 2 ? argv[2] : NULL;
    g_auto(VimgCtlPool) pool = {0};
    g_autofree char *uuid = NULL;
    g_autoptr(GError) error = NULL;
    vimg_remote_vol ret = {0};
    int code;

    if (vimg_ctl_find_pool(ctl, argv[0], &pool, &error))
        uuid = find_entry(ctl, &pool, argv[1], &error);
    if (uuid) {
        vimg_control_restore_args args = {pool, uuid, name ? &name : NULL};

        vimg_ctl_call(ctl, VIMG_CONTROL_TRASH_RESTORE, (xdrproc_t)xdr_vimg_control_restore_args,
                      &args, (xdrproc_t)xdr_vimg_remote_vol, &ret, &error);
    }
    if (error) {
        code = vimg_ctl_fail(ctl, error);
    } else {
        const char *const values[] = {ret.pool, ret.name, ret.key};

        code = vimg_ctl_done(ctl, names, values, _("Image %1$s is back in pool %2$s"), ret.name,
                             ret.pool);
    }
    xdr_free((xdrproc_t)xdr_vimg_remote_vol, (char *)&ret);
    return code;
}

int
vimg_cmd_trash_purge(VimgCtl *ctl, int argc, char **argv)
{
    static const char *const names[] = {"pool", "uuid", NULL};
    g_auto(VimgCtlPool) pool = {0};
    g_autofree char *uuid = NULL;
    g_autoptr(GError) error = NULL;

    if (vimg_ctl_find_pool(ctl, argv[0], &pool, &error))
        uuid = find_entry(ctl, &pool, argv[1], &error);
    if (uuid) {
        vimg_control_purge_args args = {pool, uuid};

        vimg_ctl_call(ctl, VIMG_CONTROL_TRASH_PURGE, (xdrproc_t)xdr_vimg_control_purge_args, &args,
                      NULL, NULL, &error);
    }
    if (error)
        return vimg_ctl_fail(ctl, error);
    return vimg_ctl_done(ctl, names, (const char *const[]){pool.name, uuid},
                         _("Image %1$s is gone from the trash of pool %2$s"), argv[1], pool.name);
}
