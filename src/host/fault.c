/*
 * fault.c: what the host's libvirt daemon says of a failure, as an error of ours
 *
 * Clients get the code that they would get from that daemon, and its words once.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <errno.h>
#include <string.h>
#include <libvirt/virterror.h>

#include "host/connect.h"
#include "util/i18n.h"

static const struct {
    int said; /* virErrorNumber */
    VimgErrorCode code;
} meanings[] = {
    {VIR_ERR_NO_MEMORY, VIMG_ERROR_NO_MEMORY},
    {VIR_ERR_NO_SUPPORT, VIMG_ERROR_NO_SUPPORT},
    {VIR_ERR_INVALID_ARG, VIMG_ERROR_INVALID_ARG},
    {VIR_ERR_OPERATION_FAILED, VIMG_ERROR_FAILED},
    {VIR_ERR_XML_ERROR, VIMG_ERROR_XML},
    {VIR_ERR_XML_DETAIL, VIMG_ERROR_XML_DETAIL},
    {VIR_ERR_XML_INVALID_SCHEMA, VIMG_ERROR_XML_SCHEMA},
    {VIR_ERR_OPERATION_DENIED, VIMG_ERROR_OPERATION_DENIED},
    {VIR_ERR_SYSTEM_ERROR, VIMG_ERROR_SYSTEM},
    {VIR_ERR_AUTH_FAILED, VIMG_ERROR_AUTH},
    {VIR_ERR_AUTH_UNAVAILABLE, VIMG_ERROR_AUTH},
    {VIR_ERR_NO_STORAGE_POOL, VIMG_ERROR_NO_POOL},
    {VIR_ERR_NO_STORAGE_VOL, VIMG_ERROR_NO_VOL},
    {VIR_ERR_STORAGE_VOL_EXIST, VIMG_ERROR_VOL_EXISTS},
    {VIR_ERR_OPERATION_INVALID, VIMG_ERROR_OPERATION_INVALID},
    {VIR_ERR_INVALID_SECRET, VIMG_ERROR_INVALID_SECRET},
    {VIR_ERR_NO_SECRET, VIMG_ERROR_NO_SECRET},
    {VIR_ERR_CONFIG_UNSUPPORTED, VIMG_ERROR_CONFIG_UNSUPPORTED},
    {VIR_ERR_OPERATION_TIMEOUT, VIMG_ERROR_TIMEOUT},
    {VIR_ERR_ARGUMENT_UNSUPPORTED, VIMG_ERROR_ARGUMENT_UNSUPPORTED},
    {VIR_ERR_OPERATION_ABORTED, VIMG_ERROR_ABORTED},
    {VIR_ERR_OPERATION_UNSUPPORTED, VIMG_ERROR_OPERATION_UNSUPPORTED},
    {VIR_ERR_RESOURCE_BUSY, VIMG_ERROR_BUSY},
    {VIR_ERR_ACCESS_DENIED, VIMG_ERROR_ACCESS_DENIED},
};

static VimgErrorCode
meaning_of(const virError *said)
{
    for (gsize i = 0; i < G_N_ELEMENTS(meanings); i++) {
        if (meanings[i].said == said->code)
            return meanings[i].code;
    }
    return VIMG_ERROR_INTERNAL;
}

/* Without the words that are put around it again where the reply is made.  (transfer full) */
static char *
detail_of(const char *message, VimgErrorCode code)
{
    g_autoptr(GError) bare = g_error_new(VIMG_ERROR, (gint)code, "%s", "\1");
    g_autofree char *form = vimg_error_text(bare);
    const char *hole = strchr(form, '\1');
    gsize before = (gsize)(hole - form);
    gsize after = strlen(hole + 1);
    gsize size = strlen(message);

    if (size < before + after || strncmp(message, form, before) != 0 ||
        strcmp(message + size - after, hole + 1) != 0)
        return g_strdup(message);
    return g_strndup(message + before, size - before - after);
}

gboolean
vimg_host_throw(GError **error)
{
    virErrorPtr said = virGetLastError();
    g_autofree char *detail = NULL;
    VimgErrorCode code;

    if (!said || !said->message)
        return vimg_throw(error, VIMG_ERROR_INTERNAL, "%s",
                          _("the host's libvirt daemon failed without a reason"));
    if (said->domain == VIR_FROM_RPC || said->domain == VIR_FROM_REMOTE)
        return vimg_throw(error, VIMG_ERROR_DISCONNECTED,
                          _("the host's libvirt daemon does not answer: %s"), said->message);
    code = meaning_of(said);
    detail = detail_of(said->message, code);
    if (code == VIMG_ERROR_SYSTEM && said->int1 == ENOSPC)
        code = VIMG_ERROR_NO_SPACE;
    return vimg_throw(error, code, "%s", detail);
}

gboolean
vimg_host_said(int code)
{
    virErrorPtr said = virGetLastError();

    return said && said->code == code;
}
