/*
 * cmd-machine-snapshot.c: virtimagectl machine-snapshot: all disks of a machine at one moment
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <string.h>

#include "cli/machine-history.h"
#include "cli/machine-shot.h"
#include "cli/table.h"
#include "util/error.h"
#include "util/i18n.h"

/* ---- list ------------------------------------------------------------------------------- */

static void
show_snapshots(VimgCtl *ctl, JsonObject *report)
{
    static const VimgColumn columns[] = {
        {N_("Snapshot"), "snapshot", VIMG_CELL_TEXT, 0},
        {N_("Disk"), "disk", VIMG_CELL_TEXT, 0},
        {N_("Pool"), "pool", VIMG_CELL_TEXT, 0},
        {N_("Image"), "name", VIMG_CELL_TEXT, 1},
        {N_("Created"), "created", VIMG_CELL_TIME, 2},
        {N_("After"), "previous", VIMG_CELL_TEXT, 3},
    };

    vimg_table_print(ctl, report, "images", columns, G_N_ELEMENTS(columns));
}

static void
set_text(JsonObject *object, const char *name, const char *text)
{
    if (text)
        json_object_set_string_member(object, name, text);
    else
        json_object_set_null_member(object, name);
}

/* The snapshot that the image before was part of; NULL: it is gone, or there was none. */
static const char *
previous_of(GPtrArray *history, const VimgImage *image)
{
    for (guint i = 0; image->parent && i < history->len; i++) {
        const VimgImage *other = history->pdata[i];

        if (strcmp(other->uuid, image->parent) == 0)
            return other->snapshot && *other->snapshot ? other->snapshot : NULL;
    }
    return NULL;
}

static JsonObject *
report_image(GPtrArray *history, const VimgImage *image)
{
    JsonObject *object = json_object_new();

    json_object_set_string_member(object, "snapshot", image->snapshot);
    set_text(object, "disk", image->machine_disk);
    set_text(object, "pool", image->pool);
    set_text(object, "name", image->name);
    set_text(object, "uuid", image->uuid);
    json_object_set_int_member(object, "bytes", (gint64)image->physical);
    json_object_set_int_member(object, "created", image->created);
    set_text(object, "previous", previous_of(history, image));
    return object;
}

static JsonObject *
list(VimgMachine *machine, GError **error)
{
    g_autoptr(GPtrArray) history = vimg_history_of_all(machine->ctl, machine->uuid, error);
    JsonArray *images;
    JsonObject *report;

    if (!history)
        return NULL;
    images = json_array_new();
    for (guint i = 0; i < history->len; i++) {
        const VimgImage *image = history->pdata[i];

        if (image->snapshot && *image->snapshot)
            json_array_add_object_element(images, report_image(history, image));
    }
    report = json_object_new();
    json_object_set_string_member(report, "machine", machine->name);
    json_object_set_string_member(report, "uuid", machine->uuid);
    json_object_set_array_member(report, "images", images);
    return report;
}

/* ---- making one ------------------------------------------------------------------------- */

static gboolean
is_free(VimgMachine *machine, const char *name, GError **error)
{
    g_autoptr(GPtrArray) history = vimg_history_of_all(machine->ctl, machine->uuid, error);

    for (guint i = 0; history && i < history->len; i++) {
        const VimgImage *image = history->pdata[i];

        if (g_strcmp0(image->snapshot, name) == 0)
            return vimg_throw(error, VIMG_ERROR_OPERATION_INVALID,
                              _("machine '%1$s' has a snapshot '%2$s' already, in pool '%3$s'"),
                              machine->name, name, image->pool);
    }
    return history != NULL;
}

static JsonObject *
take(VimgMachine *machine, const char *pool, const char *name, GError **error)
{
    g_autoptr(GPtrArray) disks = vimg_machine_choose(machine, NULL, error);
    g_auto(VimgShot) shot = {0};

    if (!disks || !is_free(machine, name, error))
        return NULL;
    vimg_shot_init(&shot, machine, pool, name, disks);
    shot.snapshot = name;
    shot.incremental = vimg_ctl_option(machine->ctl, "incremental") != NULL;
    if (!vimg_shot_take(&shot, error))
        return NULL;
    vimg_undo_keep(machine->undo);
    return vimg_shot_report(&shot);
}

int
vimg_cmd_machine_snapshot(VimgCtl *ctl, int argc, char **argv)
{
    gboolean listing = vimg_ctl_option(ctl, "list") != NULL;
    g_autoptr(JsonObject) report = NULL;
    g_autoptr(GError) error = NULL;
    VimgMachine machine = {0};
    gboolean found;

    if (listing != (argc == 1) || argc == 2)
        return vimg_ctl_misused(ctl, "%s",
                                listing ? _("--list takes a machine alone")
                                        : _("a pool and a name are missing"));
    found = listing ? vimg_machine_find(&machine, ctl, argv[0], &error)
                    : vimg_machine_open(&machine, ctl, argv[0], &error);
    if (found)
        report = listing ? list(&machine, &error) : take(&machine, argv[1], argv[2], &error);
    vimg_machine_clear(&machine);
    return vimg_ctl_show(ctl, report, listing ? show_snapshots : vimg_shot_show, error);
}
