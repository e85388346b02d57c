/*
 * sync-report.c: what a client is told of a synchronisation
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "pool/backend.h"
#include "pool/status.h"
#include "pool/sync-report.h"
#include "util/error.h"

/* Of names and reasons; what they become as JSON is at most six times as long. */
#define TEXT_MAX (VIMG_REPORT_MAX / 8)

typedef enum {
    COPIED,
    PRESENT,
    DELETED,
    REFUSED,
    N_LISTS
} List;

static const char *const names[N_LISTS] = {"copied", "present", "deleted", "refused"};

struct _VimgSyncReport {
    JsonArray *lists[N_LISTS];
    guint counts[N_LISTS]; /* of all, also those that the lists lack */
    guint64 sent;
    guint64 total;
    gsize text; /* bytes of it */
    gboolean truncated;
};

VimgSyncReport *
vimg_sync_report_new(void)
{
    VimgSyncReport *report = g_new0(VimgSyncReport, 1);
    gsize i;

    for (i = 0; i < N_LISTS; i++)
        report->lists[i] = json_array_new();
    return report;
}

void
vimg_sync_report_free(VimgSyncReport *report)
{
    gsize i;

    if (!report)
        return;
    for (i = 0; i < N_LISTS; i++)
        json_array_unref(report->lists[i]);
    g_free(report);
}

/* Returns: (transfer none) a new object of @list, or NULL: there are more than a report can hold.
 */
static JsonObject *
add(VimgSyncReport *report, List list, const char *name, gsize text)
{
    JsonObject *object;

    report->counts[list]++;
    report->text += strlen(name) + text + 64;
    report->truncated = report->truncated || report->text > TEXT_MAX;
    if (report->truncated)
        return NULL;
    object = json_object_new();
    json_object_set_string_member(object, "name", name);
    json_array_add_object_element(report->lists[list], object);
    return object;
}

static JsonObject *
add_image(VimgSyncReport *report, List list, const VimgPluginImage *image)
{
    JsonObject *object = add(report, list, image->name, 0);

    if (object)
        json_object_set_string_member(object, "uuid", image->uuid);
    return object;
}

void
vimg_sync_report_sent(VimgSyncReport *report, guint64 sent)
{
    report->sent += sent;
}

void
vimg_sync_report_copied(VimgSyncReport *report, const VimgPluginImage *image, guint64 sent)
{
    JsonObject *object = add_image(report, COPIED, image);

    report->sent += sent;
    report->total += image->allocation;
    if (!object)
        return;
    json_object_set_int_member(object, "sent", (gint64)sent);
    json_object_set_int_member(object, "allocation", (gint64)image->allocation);
}

void
vimg_sync_report_present(VimgSyncReport *report, const VimgPluginImage *image)
{
    add_image(report, PRESENT, image);
}

void
vimg_sync_report_deleted(VimgSyncReport *report, const VimgPluginImage *image)
{
    add_image(report, DELETED, image);
}

void
vimg_sync_report_refused(VimgSyncReport *report, const char *name, const GError *why)
{
    g_autofree char *text = vimg_error_text(why);
    JsonObject *object = add(report, REFUSED, name, strlen(text));

    if (object)
        json_object_set_string_member(object, "reason", text);
}

char *
vimg_sync_report_sum(const VimgSyncReport *report)
{
    GString *text = g_string_new(NULL);
    gsize i;

    for (i = 0; i < N_LISTS; i++)
        g_string_append_printf(text, "%s%u %s", i > 0 ? ", " : "", report->counts[i], names[i]);
    g_string_append_printf(text, ", %" G_GUINT64_FORMAT " bytes sent", report->sent);
    return g_string_free(text, FALSE);
}

char *
vimg_sync_report_format(VimgSyncReport *report, const char *source, const char *pool)
{
    g_autoptr(JsonObject) root = json_object_new();
    gsize i;

    json_object_set_string_member(root, "source", source);
    json_object_set_string_member(root, "pool", pool);
    for (i = 0; i < N_LISTS; i++) {
        g_autofree char *count = g_strconcat(names[i], "_count", NULL);

        json_object_set_array_member(root, names[i], json_array_ref(report->lists[i]));
        json_object_set_int_member(root, count, report->counts[i]);
    }
    json_object_set_int_member(root, "sent", (gint64)report->sent);
    json_object_set_int_member(root, "total", (gint64)report->total);
    json_object_set_boolean_member(root, "truncated", report->truncated);
    return vimg_json_to_text(root);
}
