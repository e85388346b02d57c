/*
 * cmd-image.c: virtimagectl list, show, flatten, du and diff: what is stored
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <stdio.h>

#include "cli/image.h"
#include "cli/table.h"
#include "cli/watch.h"
#include "util/i18n.h"

/* ---- list ----------------------------------------------------------------------------------- */

static void
show_list(VimgCtl *ctl, JsonObject *report)
{
    static const VimgColumn columns[] = {
        {N_("Name"), "name", VIMG_CELL_TEXT, 0},
        {N_("State"), "state", VIMG_CELL_WORD, 1},
        {N_("Format"), "format", VIMG_CELL_TEXT, 5},
        {N_("Capacity"), "capacity", VIMG_CELL_SIZE, 2},
        {N_("Allocation"), "allocation", VIMG_CELL_SIZE, 3},
        {N_("Unique"), "unique", VIMG_CELL_SIZE, 6},
        {N_("Created"), "created", VIMG_CELL_TIME, 4},
    };

    vimg_table_print(ctl, report, "volumes", columns, G_N_ELEMENTS(columns));
}

int
vimg_cmd_list(VimgCtl *ctl, int argc, char **argv)
{
    g_auto(VimgCtlPool) pool = {0};
    g_autoptr(JsonObject) report = NULL;
    g_autoptr(GError) error = NULL;

    if (vimg_ctl_find_pool(ctl, argv[0], &pool, &error))
        report = vimg_image_list(ctl, &pool, &error);
    return vimg_ctl_show(ctl, report, show_list, error);
}

/* ---- show ----------------------------------------------------------------------------------- */

static void
show_image(VimgCtl *ctl, JsonObject *report)
{
    static const VimgColumn fields[] = {
        {N_("Name"), "name", VIMG_CELL_TEXT, 0},
        {N_("UUID"), "uuid", VIMG_CELL_TEXT, 0},
        {N_("Key"), "key", VIMG_CELL_TEXT, 0},
        {N_("Path"), "path", VIMG_CELL_TEXT, 0},
        {N_("State"), "state", VIMG_CELL_WORD, 0},
        {N_("Reason"), "reason", VIMG_CELL_TEXT, 0},
        {N_("Format"), "format", VIMG_CELL_TEXT, 0},
        {N_("Capacity"), "capacity", VIMG_CELL_SIZE, 0},
        {N_("Allocation"), "allocation", VIMG_CELL_SIZE, 0},
        {N_("Physical"), "physical", VIMG_CELL_SIZE, 0},
        {N_("Unique"), "unique", VIMG_CELL_SIZE, 0},
        {N_("Shared"), "shared", VIMG_CELL_SIZE, 0},
        {N_("As of"), "as_of", VIMG_CELL_TIME, 0},
        {N_("Created"), "created", VIMG_CELL_TIME, 0},
        {N_("Received"), "position", VIMG_CELL_SIZE, 0},
        {N_("System"), "os", VIMG_CELL_TEXT, 0},
        {N_("Architecture"), "arch", VIMG_CELL_TEXT, 0},
        {N_("Description"), "description", VIMG_CELL_TEXT, 0},
        {N_("Parent"), "parent", VIMG_CELL_TEXT, 0},
        {N_("Uploaded as"), "uploaded_format", VIMG_CELL_TEXT, 0},
        {N_("Uploaded size"), "uploaded_size", VIMG_CELL_SIZE, 0},
        {N_("Checksum"), "checksum", VIMG_CELL_TEXT, 0},
        {N_("Origin"), "origin", VIMG_CELL_TEXT, 0},
        {N_("Of the machine"), "machine", VIMG_CELL_TEXT, 0},
        {N_("Being changed by"), "changing", VIMG_CELL_TEXT, 0},
        {N_("Readers"), "readers", VIMG_CELL_NUMBER, 0},
    };

    vimg_fields_print(ctl, report, fields, G_N_ELEMENTS(fields));
}

int
vimg_cmd_show(VimgCtl *ctl, int argc, char **argv)
{
    g_auto(VimgCtlPool) pool = {0};
    g_autoptr(JsonObject) report = NULL;
    g_autoptr(GError) error = NULL;

    if (vimg_ctl_find_pool(ctl, argv[0], &pool, &error)) {
        vimg_control_volume_args args = {pool, argv[1]};

        report = vimg_ctl_report(ctl, VIMG_CONTROL_VOLUME_SHOW,
                                 (xdrproc_t)xdr_vimg_control_volume_args, &args, &error);
    }
    return vimg_ctl_show(ctl, report, show_image, error);
}

/* ---- flatten -------------------------------------------------------------------------------- */

int
vimg_cmd_flatten(VimgCtl *ctl, int argc, char **argv)
{
    g_auto(VimgCtlPool) pool = {0};
    g_autoptr(JsonObject) report = NULL;
    g_autoptr(GError) error = NULL;

    if (vimg_ctl_find_pool(ctl, argv[0], &pool, &error)) {
        const VimgWatched watched = {"flatten", argv[1], FALSE,
                                     _("the image still needs its source")};
        vimg_control_volume_args args = {pool, argv[1]};

        report = vimg_watch_report(ctl, &watched, VIMG_CONTROL_VOLUME_FLATTEN,
                                   (xdrproc_t)xdr_vimg_control_volume_args, &args, &error);
    }
    return vimg_ctl_show(ctl, report, show_image, error);
}

/* ---- du ------------------------------------------------------------------------------------- */

static void
copy_size(JsonObject *to, const char *as, JsonObject *from, const char *member)
{
    gint64 bytes = vimg_report_number(from, member, -1);

    if (bytes >= 0)
        json_object_set_int_member(to, as, bytes);
}

/* What is below the table, in one piece, so that it stands in one column. */
static void
show_sums(VimgCtl *ctl, JsonObject *report)
{
    static const VimgColumn fields[] = {
        {N_("Size of images"), "logical", VIMG_CELL_SIZE, 0},
        {N_("Stored"), "stored", VIMG_CELL_SIZE, 0},
        {N_("Shared"), "shared", VIMG_CELL_SIZE, 0},
        {N_("Purging frees"), "purging", VIMG_CELL_SIZE, 0},
        {N_("Garbage"), "garbage", VIMG_CELL_SIZE, 0},
    };
    JsonObject *total = vimg_report_object(report, "total");
    g_autoptr(JsonObject) sums = json_object_new();

    copy_size(sums, "logical", total, "logical");
    copy_size(sums, "stored", total, "stored");
    copy_size(sums, "shared", total, "shared");
    copy_size(sums, "purging", vimg_report_object(report, "trash"), "freed");
    copy_size(sums, "garbage", total, "orphans");
    vimg_fields_print(ctl, sums, fields, G_N_ELEMENTS(fields));
}

static void
show_usage(VimgCtl *ctl, JsonObject *report)
{
    static const VimgColumn columns[] = {
        {N_("Name"), "name", VIMG_CELL_TEXT, 0},
        {N_("Capacity"), "capacity", VIMG_CELL_SIZE, 3},
        {N_("Unique"), "unique", VIMG_CELL_SIZE, 1},
        {N_("Shared"), "shared", VIMG_CELL_SIZE, 2},
        {N_("Deleting frees"), "freed", VIMG_CELL_SIZE, 1},
    };

    vimg_table_print(ctl, report, "images", columns, G_N_ELEMENTS(columns));
    if (vimg_report_truth(report, "truncated"))
        fputs(_("There are more.\n"), stderr);
    if (ctl->quiet)
        return;
    putchar('\n');
    show_sums(ctl, report);
    if (vimg_report_count(report, "unreadable") > 0)
        fputs(_("Some images cannot be read: no number is less than what is said.\n"), stderr);
}

int
vimg_cmd_du(VimgCtl *ctl, int argc, char **argv)
{
    g_auto(VimgCtlPool) pool = {0};
    g_autoptr(JsonObject) report = NULL;
    g_autoptr(GError) error = NULL;

    if (vimg_ctl_find_pool(ctl, argv[0], &pool, &error)) {
        const VimgWatched watched = {"usage", NULL, FALSE, _("nothing was changed")};

        report = vimg_watch_report(ctl, &watched, VIMG_CONTROL_POOL_USAGE,
                                   (xdrproc_t)xdr_vimg_remote_pool, &pool, &error);
    }
    return vimg_ctl_show(ctl, report, show_usage, error);
}

/* ---- diff ----------------------------------------------------------------------------------- */

static void
show_diff(VimgCtl *ctl, JsonObject *report)
{
    static const VimgColumn fields[] = {
        {N_("From"), "from", VIMG_CELL_TEXT, 0},
        {N_("To"), "to", VIMG_CELL_TEXT, 0},
        {N_("Length before"), "from_length", VIMG_CELL_SIZE, 0},
        {N_("Length now"), "to_length", VIMG_CELL_SIZE, 0},
        {N_("Changed"), "changed", VIMG_CELL_SIZE, 0},
        {N_("Added"), "added", VIMG_CELL_SIZE, 0},
        {N_("Removed"), "removed", VIMG_CELL_SIZE, 0},
        {N_("Shared"), "shared", VIMG_CELL_SIZE, 0},
        {N_("Extents"), "extents", VIMG_CELL_COUNT, 0},
    };
    static const VimgColumn columns[] = {
        {N_("Offset"), "offset", VIMG_CELL_NUMBER, 0},
        {N_("Length"), "length", VIMG_CELL_SIZE, 0},
        {N_("Kind"), "kind", VIMG_CELL_WORD, 1},
    };

    if (!vimg_ctl_option(ctl, "extents")) {
        vimg_fields_print(ctl, report, fields, G_N_ELEMENTS(fields));
        return;
    }
    vimg_table_print(ctl, report, "extents", columns, G_N_ELEMENTS(columns));
    if (vimg_report_truth(report, "truncated"))
        fputs(_("There are more.\n"), stderr);
}

int
vimg_cmd_diff(VimgCtl *ctl, int argc, char **argv)
{
    g_auto(VimgCtlPool) pool = {0};
    g_autoptr(JsonObject) report = NULL;
    g_autoptr(GError) error = NULL;

    if (vimg_ctl_find_pool(ctl, argv[0], &pool, &error)) {
        const VimgWatched watched = {"diff", argv[2], FALSE, _("nothing was changed")};
        vimg_control_diff_args args = {pool, argv[1], argv[2]};

        report = vimg_watch_report(ctl, &watched, VIMG_CONTROL_VOLUME_DIFF,
                                   (xdrproc_t)xdr_vimg_control_diff_args, &args, &error);
    }
    return vimg_ctl_show(ctl, report, show_diff, error);
}
