/*
 * cmd-export.c: virtimagectl export, export list and export revoke, nbd and nbd stop
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <string.h>

#include "cli/ctl.h"
#include "cli/table.h"
#include "cli/text.h"
#include "cli/watch.h"
#include "util/error.h"
#include "util/i18n.h"

#define EXPIRES_DEFAULT "7d"

static const struct {
    char letter;
    guint64 seconds;
} units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}, {'w', 7 * 86400}};

static JsonObject *
entry_to_json(const vimg_control_export *entry)
{
    JsonObject *object = json_object_new();

    json_object_set_string_member(object, "id", entry->id);
    json_object_set_string_member(object, "pool", entry->pool);
    json_object_set_string_member(object, "image", entry->volume);
    json_object_set_string_member(object, "uuid", entry->uuid);
    json_object_set_string_member(object, "file", entry->file);
    json_object_set_string_member(object, "format", entry->format);
    json_object_set_boolean_member(object, "compressed", entry->compress != 0);
    json_object_set_boolean_member(object, "direct", entry->direct != 0);
    json_object_set_int_member(object, "size", (gint64)entry->size);
    json_object_set_int_member(object, "created", entry->created);
    if (entry->expires > 0)
        json_object_set_int_member(object, "expires", entry->expires);
    else
        json_object_set_null_member(object, "expires");
    json_object_set_string_member(object, "state", entry->state);
    json_object_set_string_member(object, "sha256", entry->sha256 ? *entry->sha256 : NULL);
    return object;
}

/* ---- export -----------------------------------------------------------------------------------
 */

static gboolean
parse_time(const char *text, guint64 *seconds)
{
    gsize size = strlen(text);
    g_autofree char *number = g_strndup(text, size > 0 ? size - 1 : 0);

    for (gsize i = 0; size > 1 && i < G_N_ELEMENTS(units); i++) {
        if (text[size - 1] != units[i].letter)
            continue;
        if (!g_ascii_string_to_unsigned(number, 10, 1, G_MAXINT32, seconds, NULL))
            return FALSE;
        *seconds *= units[i].seconds;
        return TRUE;
    }
    return FALSE;
}

/* The URL alone on a line, so that it can be copied and piped. */
static void
show_export(VimgCtl *ctl, JsonObject *report)
{
    g_autofree char *expires = vimg_text_time(vimg_report_number(report, "expires", 0));
    g_autofree char *url = vimg_text_safe(vimg_report_string(report, "url"));
    g_autofree char *page = g_path_get_dirname(url); /* the URL without the name */

    puts(url);
    if (ctl->quiet)
        return;
    if (json_object_get_boolean_member(report, "direct"))
        fprintf(
            stderr,
            _("until %s, and it cannot be revoked: only if the image is deleted and purged does it end before\n"),
            expires);
    else
        fprintf(stderr,
                _("until %1$s, with a page at %2$s; to end it: virtimagectl export revoke %3$s\n"),
                expires, page, vimg_report_string(report, "id"));
}

static JsonObject *
make_export(VimgCtl *ctl, char **argv, guint64 lifetime, GError **error)
{
    const VimgWatched watched = {"export", argv[1], TRUE, _("nothing was exported")};
    vimg_remote_text format = (char *)vimg_ctl_option(ctl, "format");
    vimg_control_export_ret ret = {0};
    g_auto(VimgCtlPool) pool = {0};
    JsonObject *report = NULL;

    if (vimg_ctl_find_pool(ctl, argv[0], &pool, error)) {
        vimg_control_export_args args = {pool,
                                         argv[1],
                                         format ? &format : NULL,
                                         lifetime,
                                         vimg_ctl_option(ctl, "compress") != NULL,
                                         vimg_ctl_option(ctl, "direct") != NULL};

        if (vimg_watch_call(ctl, &watched, VIMG_CONTROL_EXPORT_CREATE,
                            (xdrproc_t)xdr_vimg_control_export_args, &args,
                            (xdrproc_t)xdr_vimg_control_export_ret, &ret, error)) {
            report = entry_to_json(&ret.entry);
            json_object_set_string_member(report, "url", ret.url);
        }
    }
    xdr_free((xdrproc_t)xdr_vimg_control_export_ret, (char *)&ret);
    return report;
}

int
vimg_cmd_export(VimgCtl *ctl, int argc, char **argv)
{
    const char *expires = vimg_ctl_option(ctl, "expires");
    g_autoptr(JsonObject) report = NULL;
    g_autoptr(GError) error = NULL;
    guint64 lifetime;

    if (!parse_time(expires ? expires : EXPIRES_DEFAULT, &lifetime))
        return vimg_ctl_misused(ctl, _("'%s' is no time such as 90s, 30m, 12h, 7d or 4w"), expires);
    report = make_export(ctl, argv, lifetime, &error);
    return vimg_ctl_show(ctl, report, show_export, error);
}

/* ---- list and revoke --------------------------------------------------------------------------
 */

static gboolean
add_page(VimgCtl *ctl, const VimgCtlPool *pool, vimg_remote_text *after, JsonArray *list,
         GError **error)
{
    vimg_control_exports_args args = {after, VIMG_CONTROL_PAGE_MAX};
    vimg_control_exports_ret ret = {0};
    gboolean ok =
        vimg_ctl_call(ctl, VIMG_CONTROL_EXPORT_LIST, (xdrproc_t)xdr_vimg_control_exports_args,
                      &args, (xdrproc_t)xdr_vimg_control_exports_ret, &ret, error);

    for (u_int i = 0; ok && i < ret.entries.entries_len; i++)
        json_array_add_object_element(list, entry_to_json(&ret.entries.entries_val[i]));
    xdr_free((xdrproc_t)xdr_vimg_control_exports_ret, (char *)&ret);
    return ok;
}

static void
show_exports(VimgCtl *ctl, JsonObject *report)
{
    static const VimgColumn columns[] = {
        {N_("Image"), "image", VIMG_CELL_TEXT, 0},     {N_("Pool"), "pool", VIMG_CELL_TEXT, 3},
        {N_("Format"), "format", VIMG_CELL_TEXT, 4},   {N_("Size"), "size", VIMG_CELL_SIZE, 2},
        {N_("Expires"), "expires", VIMG_CELL_TIME, 1}, {N_("State"), "state", VIMG_CELL_WORD, 0},
        {N_("ID"), "id", VIMG_CELL_TEXT, 0},
    };

    vimg_table_print(ctl, report, "exports", columns, G_N_ELEMENTS(columns));
}

int
vimg_cmd_export_list(VimgCtl *ctl, int argc, char **argv)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(JsonObject) report = vimg_ctl_list(ctl, NULL, "exports", "id", add_page, &error);

    return vimg_ctl_show(ctl, report, show_exports, error);
}

int
vimg_cmd_export_revoke(VimgCtl *ctl, int argc, char **argv)
{
    static const char *const names[] = {"id", NULL};
    vimg_control_revoke_args args = {argv[0]};
    g_autoptr(GError) error = NULL;

    if (!vimg_ctl_call(ctl, VIMG_CONTROL_EXPORT_REVOKE, (xdrproc_t)xdr_vimg_control_revoke_args,
                       &args, NULL, NULL, &error))
        return vimg_ctl_fail(ctl, error);
    return vimg_ctl_done(ctl, names, (const char *const[]){argv[0]}, _("Export %s is revoked"),
                         argv[0]);
}

/* ---- nbd --------------------------------------------------------------------------------------
 */

static void
show_nbd(VimgCtl *ctl, JsonObject *report)
{
    g_autofree char *uri = vimg_text_safe(vimg_report_string(report, "uri"));

    puts(uri);
    if (!ctl->quiet)
        fprintf(
            stderr,
            _("format %1$s, until its last client is gone; to end it: virtimagectl nbd stop %2$s\n"),
            vimg_report_string(report, "format"), vimg_report_string(report, "id"));
}

/* As qemu-img, nbdcopy and others take it. */
static JsonObject *
nbd_to_json(const vimg_control_nbd_ret *ret)
{
    JsonObject *object = entry_to_json(&ret->entry);
    g_autofree char *path = g_uri_escape_string(ret->socket, "/", FALSE);
    g_autofree char *uri = g_strdup_printf("nbd+unix:///?socket=%s", path);

    json_object_set_string_member(object, "socket", ret->socket);
    json_object_set_string_member(object, "uri", uri);
    return object;
}

int
vimg_cmd_nbd(VimgCtl *ctl, int argc, char **argv)
{
    const VimgWatched watched = {"export", argv[1], TRUE, _("nothing is served")};
    vimg_control_nbd_ret ret = {0};
    g_auto(VimgCtlPool) pool = {0};
    g_autoptr(JsonObject) report = NULL;
    g_autoptr(GError) error = NULL;

    if (vimg_ctl_find_pool(ctl, argv[0], &pool, &error)) {
        vimg_control_volume_args args = {pool, argv[1]};

        if (vimg_watch_call(ctl, &watched, VIMG_CONTROL_NBD_START,
                            (xdrproc_t)xdr_vimg_control_volume_args, &args,
                            (xdrproc_t)xdr_vimg_control_nbd_ret, &ret, &error))
            report = nbd_to_json(&ret);
    }
    xdr_free((xdrproc_t)xdr_vimg_control_nbd_ret, (char *)&ret);
    return vimg_ctl_show(ctl, report, show_nbd, error);
}

int
vimg_cmd_nbd_stop(VimgCtl *ctl, int argc, char **argv)
{
    static const char *const names[] = {"id", NULL};
    vimg_control_revoke_args args = {argv[0]};
    g_autoptr(GError) error = NULL;

    if (!vimg_ctl_call(ctl, VIMG_CONTROL_NBD_STOP, (xdrproc_t)xdr_vimg_control_revoke_args, &args,
                       NULL, NULL, &error))
        return vimg_ctl_fail(ctl, error);
    return vimg_ctl_done(ctl, names, (const char *const[]){argv[0]}, _("%s is served no more"),
                         argv[0]);
}
