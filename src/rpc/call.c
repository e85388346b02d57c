/*
 * call.c: one call from its packet to its reply
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <unistd.h>
#include <libvirt/virterror.h>

#include "rpc/call.h"
#include "rpc/connection.h"
#include "rpc/handlers.h"
#include "rpc/merge.h"
#include "rpc/upstream.h"
#include "util/i18n.h"
#include "util/thread.h"
#include "util/wipe.h"
#include "wire/xdr.h"

/* The last procedure of libvirt's that is known; what is beyond is unknown to its daemons as well.
 */
#define LIBVIRT_LAST 453
/* What the main loop makes a list of: bytes of the host's, which is some hundred pools, and how
 * many pools and secrets are ours; each of the ones is compared with each of the others. */
#define SHORT_MAX 4096
#define FEW_MAX 128

VimgServerCall *
vimg_server_call_new(VimgClient *client, const VimgFrameHeader *header, VimgBuffer *payload,
                     gsize offset)
{
    VimgServerCall *call = g_new0(VimgServerCall, 1);

    call->client = vimg_client_ref(client);
    call->link.data = call;
    call->base.client = client;
    call->header = *header;
    call->header.type = VIMG_FRAME_REPLY;
    call->type = header->type;
    call->payload = payload;
    call->offset = offset;
    call->bytes = payload ? payload->size : 0;
    return call;
}

/* Nobody knows yet what is in a call without a row. */
static gboolean
is_secret(const VimgServerCall *call)
{
    return !call->base.proc || (call->base.proc->flags & VIMG_PROC_SECRET);
}

static void
free_frame(const VimgServerCall *call, VimgBuffer **frame)
{
    g_clear_pointer(frame, is_secret(call) ? vimg_buffer_wipe : vimg_buffer_unref);
}

static void
free_struct(const VimgServerCall *call, xdrproc_t proc, gpointer *data)
{
    if (!*data)
        return;
    if (is_secret(call))
        vimg_xdr_wipe(proc, *data);
    xdr_free(proc, *data);
    g_clear_pointer(data, g_free);
}

static void
free_args(VimgServerCall *call)
{
    if (call->base.args)
        free_struct(call, call->base.proc->args, &call->base.args);
}

void
vimg_server_call_free(VimgServerCall *call)
{
    if (!call)
        return;
    free_args(call);
    vimg_upstream_call_unref(call->base.asked);
    vimg_transfer_free(call->base.transfer);
    free_frame(call, &call->payload);
    free_frame(call, &call->reply);
    vimg_stream_unref(call->stream);
    for (guint i = 0; i < call->n_fds; i++)
        close(call->fds[i]);
    g_free(call->fds);
    vimg_client_unref(call->client);
    g_free(call);
}

void
vimg_server_call_add_fds(VimgServerCall *call, const int *fds, guint n)
{
    call->fds = g_memdup2(fds, n * sizeof(*fds));
    call->n_fds = n;
}

VimgPacket *
vimg_server_call_take_packet(VimgServerCall *call)
{
    g_autoptr(VimgBuffer) payload = g_steal_pointer(&call->payload);
    VimgFrameHeader header = call->header;
    VimgPacket *packet;

    header.type = call->type;
    packet = vimg_packet_new_payload(&header, payload, 0, payload ? payload->size : 0);
    packet->secret = is_secret(call);
    packet->fds = g_steal_pointer(&call->fds);
    packet->n_fds = call->n_fds;
    call->n_fds = 0;
    return packet;
}

static const VimgProgram *
find_program(const VimgProgram *const *programs, const VimgFrameHeader *header)
{
    for (; *programs; programs++) {
        if ((*programs)->id == header->program && (*programs)->version == header->version)
            return *programs;
    }
    return NULL;
}

/* Nothing of ours: for the host's daemon, if the client may call anything at all. */
static void
leave_to_host(VimgServerCall *call)
{
    call->hosts =
        vimg_upstream_is_configured(call->client) && vimg_dispatch_admit(call->client, 0, NULL);
}

/* One of libvirt's own is served where a libvirt daemon of the host is found. */
static gboolean
throw_unknown(const VimgServerCall *call, GError **error)
{
    const VimgFrameHeader *header = &call->header;

    if (header->program != VIMG_PROGRAM_REMOTE || header->procedure < 1 ||
        header->procedure > LIBVIRT_LAST || vimg_upstream_is_configured(call->client))
        return vimg_throw(error, VIMG_ERROR_RPC, _("unknown procedure: %d"), header->procedure);
    return vimg_throw(
        error, VIMG_ERROR_RPC,
        _("unknown procedure: %d: only a libvirt daemon of this host would serve it, and none was found (host_uri in virtimaged.conf)"),
        header->procedure);
}

static gboolean
is_hosts(const VimgServerCall *call)
{
    const VimgProc *proc = call->base.proc;

    return ((proc->flags & VIMG_PROC_HOST) || (proc->route && proc->route(&call->base)) ||
            call->base.side == VIMG_SIDE_HOST) &&
           vimg_upstream_is_configured(call->client);
}

/* What may go to the host's daemon as it came, now or after a worker looked at it. */
static gboolean
keeps_payload(const VimgServerCall *call)
{
    return call->hosts || call->base.side == VIMG_SIDE_BOTH || call->base.side == VIMG_SIDE_SEARCH;
}

gboolean
vimg_server_call_prepare(VimgServerCall *call, VimgModel *model, const VimgProgram *const *programs,
                         GError **error)
{
    const VimgFrameHeader *header = &call->header;
    const VimgProgram *program = find_program(programs, header);
    const guint8 *args = call->payload ? call->payload->data + call->offset : NULL;
    gsize size = call->payload ? call->payload->size - call->offset : 0;
    gboolean ok;

    if (!program && header->program != VIMG_PROGRAM_CONTROL)
        leave_to_host(call);
    if (!program)
        return vimg_throw(error, VIMG_ERROR_RPC, _("Cannot find program %1$d version %2$d"),
                          (int)header->program, (int)header->version);
    if (header->status != VIMG_FRAME_OK)
        return vimg_throw(error, VIMG_ERROR_RPC, _("Unexpected message status %u"), header->status);
    call->base.model = model;
    call->base.proc = vimg_program_proc(program, header->procedure);
    call->base.procedure = header->procedure;
    if (!call->base.proc && header->program != VIMG_PROGRAM_CONTROL)
        leave_to_host(call);
    if (!call->base.proc)
        return throw_unknown(call, error);
    ok = vimg_dispatch_prepare(&call->base, args, size, error);
    if (ok)
        call->base.side = vimg_merge_side(&call->base);
    call->hosts = ok && is_hosts(call);
    if (ok && !call->hosts)
        ok = vimg_merge_may_run_alone(&call->base, error);
    if (!ok || !keeps_payload(call))
        free_frame(call, &call->payload);
    return ok;
}

VimgPacket *
vimg_server_call_take_reply(VimgServerCall *call)
{
    VimgPacket *packet = vimg_packet_new(g_steal_pointer(&call->reply));

    packet->secret = is_secret(call);
    return packet;
}

void
vimg_server_call_fail(VimgServerCall *call, const GError *cause)
{
    int domain = call->base.proc ? call->base.proc->domain : VIR_FROM_RPC;

    free_frame(call, &call->reply);
    call->reply = vimg_frame_new_error(&call->header, cause, domain);
    call->failed = TRUE;
}

/* The host's own daemon is to be asked before. */
static gboolean
asks_host(const VimgServerCall *call)
{
    return call->base.side == VIMG_SIDE_BOTH;
}

/* What came before is not overtaken more than the workers would have it. */
static gboolean
closes_too_soon(const VimgServerCall *call)
{
    return (call->base.proc->flags & VIMG_PROC_CLOSES) && call->client->n_calls > 1;
}

/* The row is, and there is not too much of ours. */
static gboolean
is_inline_row(const VimgServerCall *call)
{
    guint flags = call->base.proc->flags;

    return (flags & VIMG_PROC_INLINE) &&
           (!(flags & VIMG_PROC_LIST) || vimg_model_size(call->base.model) <= FEW_MAX);
}

gboolean
vimg_server_call_is_inline(const VimgServerCall *call)
{
    return !asks_host(call) && !closes_too_soon(call) &&
           (call->base.side == VIMG_SIDE_SEARCH || is_inline_row(call));
}

/* Returns: (transfer full) the reply, or NULL with @error, or without if it is to be passed on. */
static VimgBuffer *
run_handler(VimgServerCall *call, GError **error)
{
    const VimgProc *proc = call->base.proc;
    VimgBuffer *reply = NULL;
    gboolean ok;

    if (__atomic_load_n(&call->client->gone, __ATOMIC_ACQUIRE)) {
        vimg_throw(error, VIMG_ERROR_ABORTED, _("the client has gone"));
        return NULL;
    }
    call->base.ret = g_malloc0(MAX(proc->ret_size, 1));
    vimg_thread_set_caller(vimg_client_number(call->client));
    ok = asks_host(call) ? vimg_merge_run(&call->base, error) : proc->handler(&call->base, error);
    vimg_thread_set_caller(0);
    if (ok && !call->base.pass)
        reply = vimg_frame_new_xdr(&call->header, proc->ret, call->base.ret, error);
    else if (!ok && error && !*error)
        vimg_throw(error, VIMG_ERROR_INTERNAL, _("%s failed without an error"), proc->name);
    if (reply && (proc->flags & VIMG_PROC_STREAM) && !call->base.transfer) {
        g_clear_pointer(&reply, vimg_buffer_unref);
        vimg_throw(error, VIMG_ERROR_INTERNAL, _("%s made no transfer"), proc->name);
    }
    free_struct(call, proc->ret, &call->base.ret);
    return reply;
}

void
vimg_server_call_run(VimgServerCall *call)
{
    g_autoptr(GError) error = NULL;

    call->reply = run_handler(call, &error);
    if (!call->reply && error) {
        call->base.pass = vimg_merge_is_missed(&call->base, error);
        vimg_server_call_fail(call, error);
        vimg_transfer_free(g_steal_pointer(&call->base.transfer));
    }
    if (!call->base.pass) /* if there is no host after all, it is run again */
        free_args(call);
}

static void
run_call(gpointer data)
{
    VimgServerCall *call = data;

    vimg_server_call_run(call);
    vimg_inbox_post(call->inbox, call->done, call);
}

/* Returns: (transfer full) the line it waits in: one of each pool, whatever a client calls it. */
static char *
find_line(const VimgServerCall *call)
{
    VimgPoolId given, found;

    if (!(call->base.proc->flags & VIMG_PROC_POOL_ARG))
        return NULL;
    if (call->base.proc->flags & VIMG_PROC_POOL_UUID) {
        vimg_pool_from_wire(call->base.args, &given);
        if (vimg_model_pool_by_uuid(call->base.model, given.uuid, &found, NULL))
            return found.name;
    }
    return g_strdup(*(char **)call->base.args);
}

/* What a storage is busy with for hours, it is not before its pool is active. */
static gboolean
takes_long(const VimgServerCall *call)
{
    VimgPoolId pool;
    gboolean active = FALSE;

    if (!(call->base.proc->flags & VIMG_PROC_LONG))
        return FALSE;
    vimg_pool_from_wire(call->base.args, &pool);
    return vimg_model_pool_is_active(call->base.model, &pool, &active, NULL) && active;
}

static void
push_long(VimgServerCall *call, VimgScheduler *scheduler)
{
    gboolean import = (call->base.proc->flags & VIMG_PROC_IMPORT) != 0;
    g_autoptr(GError) error = NULL;

    if (vimg_scheduler_push_long(scheduler, import ? VIMG_SCHEDULER_IMPORT : VIMG_SCHEDULER_UPKEEP,
                                 &call->task, &error))
        return;
    vimg_server_call_fail(call, error);
    vimg_inbox_post(call->inbox, call->done, call);
}

/* In a line of its client: none waits for what another one asked the host. */
static void
push_host(VimgServerCall *call, VimgScheduler *scheduler)
{
    g_autofree char *line = g_strdup_printf("%" G_GUINT64_FORMAT, vimg_client_number(call->client));

    vimg_scheduler_push_slow(scheduler, line, &call->task);
}

/* Two short lists become one in the main loop; for others it has no time. */
static gboolean
is_soon_done(const VimgServerCall *call)
{
    return is_inline_row(call) &&
           (!call->base.asked || vimg_upstream_size(call->base.asked) <= SHORT_MAX);
}

/* Main loop. */
static void
run_asked(gpointer data)
{
    VimgServerCall *call = data;

    vimg_upstream_next(call->base.asked);
    if (is_soon_done(call) || vimg_connection_is_closed(call->client)) {
        vimg_server_call_run(call);
        call->done(call);
    } else {
        call->scheduler = vimg_server_host_scheduler(vimg_client_server(call->client));
        push_host(call, call->scheduler);
    }
}

void
vimg_server_call_submit(VimgServerCall *call, VimgScheduler *scheduler, VimgInbox *inbox,
                        void (*done)(gpointer call))
{
    const VimgProc *proc = call->base.proc;

    call->inbox = inbox;
    call->done = done;
    call->task = (VimgTask){.func = run_call, .data = call};
    if (asks_host(call)) {
        if (!vimg_merge_ask(&call->base, run_asked, call))
            vimg_inbox_post(inbox, run_asked, call);
        return;
    }
    call->scheduler = scheduler;
    if (proc->flags & VIMG_PROC_MEMORY) {
        vimg_scheduler_push_fast(scheduler, run_call, call);
    } else if (takes_long(call)) {
        push_long(call, scheduler);
    } else {
        g_autofree char *line = find_line(call);

        vimg_scheduler_push_slow(scheduler, line, &call->task);
    }
}
