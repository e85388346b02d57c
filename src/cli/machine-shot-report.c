/*
 * machine-shot-report.c: what is said of the images that disks became
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <stdio.h>

#include "cli/machine-shot.h"
#include "cli/table.h"
#include "cli/text.h"
#include "util/i18n.h"

static JsonObject *
report_disk(const VimgShot *shot, const VimgShotDisk *disk)
{
    JsonObject *object = json_object_new();

    json_object_set_string_member(object, "disk", disk->disk->target);
    json_object_set_string_member(object, "pool", shot->pool);
    json_object_set_string_member(object, "name", disk->name);
    json_object_set_string_member(object, "uuid", disk->image->uuid);
    json_object_set_int_member(object, "bytes", (gint64)disk->capacity);
    json_object_set_int_member(object, "read", (gint64)disk->read);
    json_object_set_boolean_member(object, "shared", disk->shared);
    json_object_set_string_member(object, "base", disk->base);
    json_object_set_string_member(object, "whole", disk->whole);
    return object;
}

JsonObject *
vimg_shot_report(const VimgShot *shot)
{
    JsonObject *report = json_object_new();
    JsonArray *images = json_array_new();
    double seconds = (double)((g_get_monotonic_time() - shot->began) / 1000) / 1000;

    json_object_set_string_member(report, "machine", shot->machine->name);
    json_object_set_string_member(report, "uuid", shot->machine->uuid);
    if (shot->snapshot)
        json_object_set_string_member(report, "snapshot", shot->snapshot);
    json_object_set_boolean_member(report, "frozen", shot->frozen);
    json_object_set_string_member(report, "not_frozen", shot->not_frozen);
    for (guint i = 0; i < shot->disks->len; i++)
        json_array_add_object_element(images, report_disk(shot, shot->disks->pdata[i]));
    json_object_set_array_member(report, "images", images);
    json_object_set_double_member(report, "seconds", seconds);
    return report;
}

void
vimg_shot_say_frozen(VimgCtl *ctl, JsonObject *report)
{
    const char *why = vimg_report_string(report, "not_frozen");
    g_autofree char *safe = vimg_text_safe(why);

    if (why && !ctl->quiet)
        fprintf(stderr, _("File systems of the guest were not frozen: %s.\n"), safe);
}

static void
say_whole(VimgCtl *ctl, JsonObject *report)
{
    for (guint i = 0; i < vimg_report_count(report, "images"); i++) {
        JsonObject *image = vimg_report_element(report, "images", i);
        const char *why = vimg_report_string(image, "whole");

        if (why)
            fprintf(stderr, _("Disk '%1$s' was read whole: %2$s.\n"),
                    vimg_report_string(image, "disk"), why);
    }
}

void
vimg_shot_show(VimgCtl *ctl, JsonObject *report)
{
    static const VimgColumn columns[] = {
        {N_("Disk"), "disk", VIMG_CELL_TEXT, 0}, {N_("Image"), "name", VIMG_CELL_TEXT, 0},
        {N_("UUID"), "uuid", VIMG_CELL_TEXT, 3}, {N_("Size"), "bytes", VIMG_CELL_SIZE, 1},
        {N_("Read"), "read", VIMG_CELL_SIZE, 2},
    };

    if (!ctl->quiet)
        vimg_table_print(ctl, report, "images", columns, G_N_ELEMENTS(columns));
    if (!ctl->quiet)
        say_whole(ctl, report);
    vimg_shot_say_frozen(ctl, report);
}
