/*
 * dispatch.c: from a procedure number to the function that answers it
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "rpc/dispatch.h"
#include "util/i18n.h"
#include "wire/frame.h"

const VimgProc *
vimg_program_proc(const VimgProgram *program, gint32 procedure)
{
    if (procedure < 0 || (gsize)procedure >= program->n_procs || !program->procs[procedure].handler)
        return NULL;
    return &program->procs[procedure];
}

gboolean
vimg_dispatch_admit(VimgClient *client, guint flags, GError **error)
{
    if (!(flags & VIMG_PROC_PRE_AUTH) && !vimg_client_is_authenticated(client))
        return vimg_throw(error, VIMG_ERROR_RPC, _("authentication required"));
    if (!(flags & (VIMG_PROC_PRE_AUTH | VIMG_PROC_PRE_OPEN)) && !vimg_client_get_uri(client))
        return vimg_throw(error, VIMG_ERROR_RPC_STATE, _("connection not open"));
    return TRUE;
}

gboolean
vimg_dispatch_prepare(VimgCall *call, const guint8 *payload, gsize size, GError **error)
{
    const VimgProc *proc = call->proc;

    if (!vimg_dispatch_admit(call->client, proc->flags, error))
        return FALSE;
    if ((proc->flags & VIMG_PROC_WRITES) && vimg_client_is_read_only(call->client))
        return vimg_throw(error, VIMG_ERROR_OPERATION_DENIED, _("read only access prevents %s"),
                          proc->name);
    call->args = g_malloc0(MAX(proc->args_size, 1));
    return vimg_xdr_decode(proc->args, call->args, payload, size, error);
}
