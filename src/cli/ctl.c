/*
 * ctl.c: what commands share: options, the connection, errors and exit codes
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <gio/gio.h>
#include <libvirt/virterror.h>

#include "cli/ctl.h"
#include "cli/text.h"
#include "util/error.h"
#include "util/i18n.h"
#include "util/uuid.h"

/* Pages that are asked for at most: a daemon whose list has no end is not believed. */
#define PAGES_MAX 4096

/* What is not here has failed. */
static const struct {
    int code;
    VimgExit exit;
} exits[] = {
    {VIR_ERR_INVALID_ARG, VIMG_EXIT_USAGE},
    {VIR_ERR_XML_ERROR, VIMG_EXIT_USAGE},
    {VIR_ERR_NO_CONNECT, VIMG_EXIT_UNREACHABLE},
    {VIMG_DAEMON_UNREACHABLE, VIMG_EXIT_UNREACHABLE},
    {VIMG_DAEMON_LOST, VIMG_EXIT_UNREACHABLE},
    {VIMG_DAEMON_BROKEN, VIMG_EXIT_UNREACHABLE},
    {VIR_ERR_NO_STORAGE_POOL, VIMG_EXIT_NOT_FOUND},
    {VIR_ERR_NO_STORAGE_VOL, VIMG_EXIT_NOT_FOUND},
    {VIR_ERR_NO_DOMAIN, VIMG_EXIT_NOT_FOUND},
    {VIR_ERR_OPERATION_INVALID, VIMG_EXIT_REFUSED},
    {VIR_ERR_OPERATION_DENIED, VIMG_EXIT_REFUSED},
    {VIR_ERR_ACCESS_DENIED, VIMG_EXIT_REFUSED},
    {VIR_ERR_RESOURCE_BUSY, VIMG_EXIT_REFUSED},
    {VIR_ERR_STORAGE_VOL_EXIST, VIMG_EXIT_REFUSED},
    {VIR_ERR_RPC, VIMG_EXIT_UNSUPPORTED}, /* a procedure that an older daemon lacks */
    {VIR_ERR_NO_SUPPORT, VIMG_EXIT_UNSUPPORTED},
    {VIR_ERR_OPERATION_UNSUPPORTED, VIMG_EXIT_UNSUPPORTED},
    {VIR_ERR_CONFIG_UNSUPPORTED, VIMG_EXIT_UNSUPPORTED},
    {VIR_ERR_ARGUMENT_UNSUPPORTED, VIMG_EXIT_UNSUPPORTED},
};

/* ---- options and errors --------------------------------------------------------------------- */

const char *
vimg_ctl_option(VimgCtl *ctl, const char *name)
{
    return g_hash_table_lookup(ctl->options, name);
}

int
vimg_ctl_misused(VimgCtl *ctl, const char *format, ...)
{
    g_autofree char *text = NULL;
    g_autofree char *safe = NULL;
    va_list args;

    va_start(args, format);
    text = g_strdup_vprintf(format, args);
    va_end(args);
    safe = vimg_text_safe(text);
    fprintf(stderr, _("error: %s\n"), safe);
    if (ctl->command)
        fprintf(stderr, _("usage: virtimagectl %1$s%2$s%3$s\n"), ctl->command->name,
                *ctl->command->args ? " " : "", ctl->command->args);
    else
        fputs(_("See 'virtimagectl help'.\n"), stderr);
    return VIMG_EXIT_USAGE;
}

int
vimg_ctl_fail(VimgCtl *ctl, const GError *error)
{
    gboolean theirs = error->domain == VIMG_DAEMON_ERROR;
    int code = theirs ? error->code : vimg_error_to_vir(error)->code;
    g_autofree char *text = theirs ? g_strdup(error->message) : vimg_error_text(error);
    g_autofree char *safe = vimg_text_safe(text);

    if (g_error_matches(error, G_IO_ERROR, G_IO_ERROR_CANCELLED)) {
        fprintf(stderr, _("interrupted: %s\n"), error->message);
        return VIMG_EXIT_INTERRUPTED;
    }
    fprintf(stderr, _("error: %s\n"), safe);
    if (ctl->unreachable)
        return VIMG_EXIT_UNREACHABLE;
    for (gsize i = 0; i < G_N_ELEMENTS(exits); i++)
        if (exits[i].code == code)
            return (int)exits[i].exit;
    return VIMG_EXIT_FAILED;
}

int
vimg_ctl_show(VimgCtl *ctl, JsonObject *report, VimgCtlShow show, const GError *error)
{
    if (!report)
        return vimg_ctl_fail(ctl, error);
    if (ctl->json)
        vimg_report_print(report);
    else
        show(ctl, report);
    return VIMG_EXIT_OK;
}

int
vimg_ctl_done(VimgCtl *ctl, const char *const *names, const char *const *values, const char *format,
              ...)
{
    g_autoptr(JsonObject) report = json_object_new();
    g_autofree char *text = NULL;
    g_autofree char *safe = NULL;
    va_list args;

    va_start(args, format);
    text = g_strdup_vprintf(format, args);
    va_end(args);
    safe = vimg_text_safe(text);
    for (gsize i = 0; names[i]; i++)
        json_object_set_string_member(report, names[i], values[i]);
    if (ctl->json)
        vimg_report_print(report);
    else if (!ctl->quiet)
        vimg_text_print(safe, 0, ctl->columns);
    return VIMG_EXIT_OK;
}

gboolean
vimg_ctl_confirm(VimgCtl *ctl, const char *question, GError **error)
{
    char answer[16] = "";

    if (ctl->yes)
        return TRUE;
    if (!isatty(STDIN_FILENO))
        return vimg_throw(error, VIMG_ERROR_INVALID_ARG, "%s",
                          _("this asks for confirmation: without a terminal, give --yes"));
    fprintf(stderr, _("%s [y/N] "), question);
    if (fgets(answer, sizeof(answer), stdin) &&
        (rpmatch(answer) == 1 || answer[0] == 'y' || answer[0] == 'Y'))
        return TRUE;
    return vimg_throw(error, VIMG_ERROR_ABORTED, "%s", _("nothing was done"));
}

/* ---- the daemon ----------------------------------------------------------------------------- */

VimgDaemon *
vimg_ctl_daemon(VimgCtl *ctl, GError **error)
{
    g_autoptr(GError) local = NULL;

    if (!ctl->daemon)
        ctl->daemon = vimg_daemon_open(ctl->uri, ctl->read_only, &local);
    /* a URI that names none is misuse */
    ctl->unreachable = !ctl->daemon && !g_error_matches(local, VIMG_ERROR, VIMG_ERROR_INVALID_ARG);
    if (local)
        g_propagate_error(error, g_steal_pointer(&local));
    return ctl->daemon;
}

gboolean
vimg_ctl_call(VimgCtl *ctl, gint32 procedure, xdrproc_t args_proc, gpointer args,
              xdrproc_t ret_proc, gpointer ret, GError **error)
{
    VimgDaemon *daemon = vimg_ctl_daemon(ctl, error);

    return daemon && vimg_daemon_call(daemon, VIMG_PROGRAM_CONTROL, procedure, args_proc, args,
                                      ret_proc, ret, error);
}

JsonObject *
vimg_ctl_report(VimgCtl *ctl, gint32 procedure, xdrproc_t args_proc, gpointer args, GError **error)
{
    vimg_control_report ret = {0};
    JsonObject *report = NULL;

    if (vimg_ctl_call(ctl, procedure, args_proc, args, (xdrproc_t)xdr_vimg_control_report, &ret,
                      error))
        report = vimg_report_parse(ret.value, error);
    xdr_free((xdrproc_t)xdr_vimg_control_report, (char *)&ret);
    return report;
}

JsonObject *
vimg_ctl_list(VimgCtl *ctl, const VimgCtlPool *pool, const char *member, const char *key,
              VimgCtlPage page, GError **error)
{
    g_autoptr(JsonObject) report = json_object_new();
    JsonArray *list = json_array_new();
    vimg_remote_text after = NULL;

    if (pool)
        json_object_set_string_member(report, "pool", pool->name);
    json_object_set_array_member(report, member, list);
    for (guint pages = 0; pages < PAGES_MAX; pages++) {
        guint before = json_array_get_length(list), n;
        const char *last;

        if (!page(ctl, pool, after ? &after : NULL, list, error))
            return NULL;
        n = json_array_get_length(list);
        if (n - before < VIMG_CONTROL_PAGE_MAX)
            return g_steal_pointer(&report);
        last = vimg_report_string(json_array_get_object_element(list, n - 1), key);
        if (!last || (after && strcmp(last, after) <= 0)) /* it would go round for ever */
            break;
        after = (char *)last;
    }
    vimg_throw(error, VIMG_ERROR_RPC, "%s", _("the daemon sent a list that has no end"));
    return NULL;
}

void
vimg_ctl_pool_clear(VimgCtlPool *pool)
{
    xdr_free((xdrproc_t)xdr_vimg_remote_pool, (char *)pool);
}

/* By uuid, as virsh takes one too where a name is asked for. */
static gboolean
find_by_uuid(VimgDaemon *daemon, const char *text, VimgCtlPool *pool)
{
    vimg_remote_uuid_args args;

    return vimg_uuid_parse(text, (guint8 *)args.uuid) &&
           vimg_daemon_call(daemon, VIMG_PROGRAM_REMOTE, VIMG_REMOTE_POOL_LOOKUP_BY_UUID,
                            (xdrproc_t)xdr_vimg_remote_uuid_args, &args,
                            (xdrproc_t)xdr_vimg_remote_pool, pool, NULL);
}

gboolean
vimg_ctl_find_pool(VimgCtl *ctl, const char *name, VimgCtlPool *pool, GError **error)
{
    VimgDaemon *daemon = vimg_ctl_daemon(ctl, error);
    vimg_remote_string args = {.value = (char *)name};

    if (!daemon)
        return FALSE;
    return find_by_uuid(daemon, name, pool) ||
           vimg_daemon_call(daemon, VIMG_PROGRAM_REMOTE, VIMG_REMOTE_POOL_LOOKUP_BY_NAME,
                            (xdrproc_t)xdr_vimg_remote_string, &args,
                            (xdrproc_t)xdr_vimg_remote_pool, pool, error);
}
