/*
 * collect-report.c: what a collection says of itself
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "collect-private.h"
#include "json.h"
#include "throw.h"

static void
set_tally(JsonObject *root, const char *name, const VimgTally *tally, gboolean bytes)
{
    JsonObject *object = json_object_new();

    json_object_set_int_member(object, "count", (gint64)tally->count);
    if (bytes)
        json_object_set_int_member(object, "bytes", (gint64)tally->bytes);
    json_object_set_object_member(root, name, object);
}

static JsonArray *
name_removed(const VimgReport *report)
{
    JsonArray *array = json_array_new();
    g_auto(GStrv) lines = g_strsplit(report->removed->str, "\n", 0);
    guint i;

    for (i = 0; lines[i]; i++) {
        JsonObject *object = json_object_new();
        char *reason = strchr(lines[i], '\t');

        if (reason)
            *reason++ = '\0';
        vimg_json_set_string(object, "name", lines[i]);
        vimg_json_set_string(object, "reason", reason);
        json_array_add_object_element(array, object);
    }
    return array;
}

static JsonArray *
name_kept(const VimgReport *report)
{
    JsonArray *array = json_array_new();
    guint i;

    for (i = 0; i < report->leases->len; i++) {
        JsonObject *object = json_object_new();

        json_object_set_string_member(object, "name", g_ptr_array_index(report->leases, i));
        json_object_set_string_member(object, "reason",
                                      _("a running job; slices condemned before it ends wait"));
        json_array_add_object_element(array, object);
    }
    return array;
}

char *
vimg_report_format(const VimgCollection *collection)
{
    const VimgReport *report = &collection->report;
    g_autoptr(JsonObject) root = json_object_new();

    json_object_set_int_member(root, "freed",
                               (gint64)(report->slices.bytes + report->expired.bytes +
                                        report->bad.bytes + report->temporary.bytes));
    json_object_set_boolean_member(root, "dry_run", collection->dry_run);
    set_tally(root, "slices", &report->slices, TRUE);
    set_tally(root, "expired", &report->expired, TRUE);
    set_tally(root, "abandoned", &report->abandoned, FALSE);
    set_tally(root, "rubbish", &report->rubbish, FALSE);
    set_tally(root, "names", &report->names, FALSE);
    set_tally(root, "bad", &report->bad, TRUE);
    set_tally(root, "temporary", &report->temporary, TRUE);
    json_object_set_int_member(root, "restored", (gint64)report->restored);
    json_object_set_int_member(root, "foreign", (gint64)report->foreign);
    json_object_set_int_member(root, "waiting", (gint64)report->waiting);
    json_object_set_int_member(root, "marked", (gint64)vimg_slots_count(collection->roots.marks));
    json_object_set_int_member(root, "indexes", (gint64)collection->roots.indexes);
    json_object_set_array_member(root, "removed", name_removed(report));
    json_object_set_array_member(root, "kept", name_kept(report));
    return vimg_json_format(root);
}
