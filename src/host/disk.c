/*
 * disk.c: an image of ours as a machine would see it, over NBD
 *
 * The daemon's own server of blocks gives what is stored.  What is no raw disk is taken apart by
 * qemu-nbd, which is told the format, becomes nobody, and dies with the thread that has started it.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <errno.h>
#include <pwd.h>
#include <string.h>
#include <unistd.h>
#include <libnbd.h>

#include "host/disk.h"
#include "util/i18n.h"

#define PIECE ((guint64)1024 * 1024)       /* bytes read at once */
#define AHEAD 8                            /* pieces on their way */
#define NAP 250                            /* milliseconds until it is asked whether to go on */
#define DRAIN ((gint64)2 * G_USEC_PER_SEC) /* for what was asked for and is not wanted any more */
#define STRETCH ((guint64)1024 * 1024 * 1024) /* bytes that are asked about at once */
#define RUNS_MAX (1U << 20)

struct _VimgHostDisk {
    const VimgHostSource *source;
    VimgExportInfo *export; /* NULL: none was begun */
    struct nbd_handle *nbd;
    guint64 size;
};

static gboolean
throw_nbd(VimgHostDisk *disk, GError **error)
{
    const char *said = nbd_get_error();

    return vimg_throw(error, VIMG_ERROR_FAILED, _("cannot read image '%1$s' as a disk: %2$s"),
                      disk->source->info->name, said ? said : _("unknown error"));
}

/* ---- opening ---------------------------------------------------------------------------- */

static gboolean
reader_user(const char *name, uid_t *uid, gid_t *gid, GError **error)
{
    g_autofree char *buffer = g_malloc(65536);
    struct passwd entry, *user = NULL;

    *uid = geteuid();
    *gid = getegid();
    if (*uid != 0)
        return TRUE;
    errno = getpwnam_r(name, &entry, buffer, 65536, &user);
    if (!user)
        return vimg_throw(error, VIMG_ERROR_CONFIG_UNSUPPORTED, _("there is no user '%s'"), name);
    *uid = user->pw_uid;
    *gid = user->pw_gid;
    return TRUE;
}

/* Of JSON: a string without its quotes. */
static char *
escape(const char *text)
{
    GString *out = g_string_new(NULL);

    for (; *text; text++) {
        if (strchr("\"\\", *text))
            g_string_append_c(out, '\\');
        g_string_append_c(out, *text);
    }
    return g_string_free(out, FALSE);
}

/* It opens that one file and nothing that a header names. */
static char *
blocks_for(const char *format, const char *socket)
{
    g_autofree char *path = escape(socket);

    return g_strdup_printf("json:{\"driver\":\"%s\",\"backing\":null,\"file\":{\"driver\":\"nbd\","
                           "\"server\":{\"type\":\"unix\",\"path\":\"%s\"}}}",
                           format, path);
}

/* Returns: (transfer full) the words of a command */
static GPtrArray *
command_for(const char *format, const char *socket, uid_t uid, gid_t gid)
{
    static const char *const fixed[] = {
        "--no-new-privs", "--pdeathsig=KILL", "--", "prlimit",  "--as=4294967296",
        "--nofile=64",    "--core=0",         "--", "qemu-nbd", "--read-only",
    };
    GPtrArray *words = g_ptr_array_new_with_free_func(g_free);

    g_ptr_array_add(words, g_strdup("setpriv"));
    if (geteuid() == 0) {
        g_ptr_array_add(words, g_strdup_printf("--reuid=%u", (guint)uid));
        g_ptr_array_add(words, g_strdup_printf("--regid=%u", (guint)gid));
        g_ptr_array_add(words, g_strdup("--clear-groups"));
        g_ptr_array_add(words, g_strdup("--inh-caps=-all"));
        g_ptr_array_add(words, g_strdup("--bounding-set=-all"));
    }
    for (gsize i = 0; i < G_N_ELEMENTS(fixed); i++)
        g_ptr_array_add(words, g_strdup(fixed[i]));
    g_ptr_array_add(words, blocks_for(format, socket));
    g_ptr_array_add(words, NULL);
    return words;
}

static gboolean
begin_connecting(VimgHostDisk *disk, const char *socket, uid_t uid, gid_t gid, GError **error)
{
    const char *format = disk->source->info->format;
    g_autoptr(GPtrArray) words = NULL;

    if (strcmp(format, "raw") == 0 || strcmp(format, "iso") == 0)
        return nbd_aio_connect_unix(disk->nbd, socket) == 0 || throw_nbd(disk, error);
    words = command_for(format, socket, uid, gid);
    return nbd_aio_connect_systemd_socket_activation(disk->nbd, (char **)words->pdata) == 0 ||
           throw_nbd(disk, error);
}

/* Whether somebody still wants it. */
static gboolean
wait_a_moment(VimgHostDisk *disk, GError **error)
{
    if (nbd_poll(disk->nbd, NAP) < 0)
        return throw_nbd(disk, error);
    return vimg_transfer_check(disk->source->transfer, error);
}

static gboolean
connect_disk(VimgHostDisk *disk, const char *socket, uid_t uid, gid_t gid, GError **error)
{
    gint64 size;

    disk->nbd = nbd_create();
    if (!disk->nbd || nbd_add_meta_context(disk->nbd, LIBNBD_CONTEXT_BASE_ALLOCATION) < 0)
        return throw_nbd(disk, error);
    if (!begin_connecting(disk, socket, uid, gid, error))
        return FALSE;
    while (nbd_aio_is_connecting(disk->nbd) == 1) {
        if (!wait_a_moment(disk, error))
            return FALSE;
    }
    size = nbd_aio_is_ready(disk->nbd) == 1 ? nbd_get_size(disk->nbd) : -1;
    if (size < 0)
        return throw_nbd(disk, error);
    disk->size = (guint64)size;
    return TRUE;
}

static gboolean
open_disk(VimgHostDisk *disk, GError **error)
{
    const VimgHostSource *source = disk->source;
    g_auto(VimgPoolId) pool = {0};
    g_autofree char *socket = NULL;
    uid_t uid;
    gid_t gid;

    if (!reader_user(source->primary->reader, &uid, &gid, error) ||
        !vimg_model_pool_by_name(source->primary->model, source->info->pool, &pool, error))
        return FALSE;
    disk->export = vimg_model_nbd_start(source->primary->model, &pool, source->info->name, uid,
                                        &socket, error);
    return disk->export && connect_disk(disk, socket, uid, gid, error);
}

VimgHostDisk *
vimg_host_disk_open(const VimgHostSource *source, GError **error)
{
    g_autoptr(VimgHostDisk) disk = g_new0(VimgHostDisk, 1);

    disk->source = source;
    return open_disk(disk, error) ? g_steal_pointer(&disk) : NULL;
}

void
vimg_host_disk_close(VimgHostDisk *disk)
{
    if (!disk)
        return;
    nbd_close(disk->nbd);
    if (disk->export) {
        vimg_model_nbd_stop(disk->source->primary->model, disk->export->id, NULL);
        vimg_export_info_free(disk->export);
    }
    g_free(disk);
}

guint64
vimg_host_disk_size(const VimgHostDisk *disk)
{
    return disk->size;
}

/* ---- what may hold something -------------------------------------------------------------- */

static gboolean
wait_for(VimgHostDisk *disk, gint64 cookie, GError **error)
{
    int done;

    if (cookie < 0)
        return throw_nbd(disk, error);
    while ((done = nbd_aio_command_completed(disk->nbd, (guint64)cookie)) == 0) {
        if (!wait_a_moment(disk, error))
            return FALSE;
    }
    return done == 1 || throw_nbd(disk, error);
}

typedef struct {
    GArray *runs;
    guint64 size;
    guint64 at; /* what was told about ends here */
} Survey;

static void
add_run(Survey *survey, guint64 start, guint64 end)
{
    VimgHostRun run = {start, end};
    VimgHostRun *last = survey->runs->len > 0
                            ? &g_array_index(survey->runs, VimgHostRun, survey->runs->len - 1)
                            : NULL;

    if (last && (last->end == start || survey->runs->len >= RUNS_MAX))
        last->end = end;
    else
        g_array_append_val(survey->runs, run);
}

static int
on_extents(void *data, const char *context, uint64_t offset, uint32_t *entries, size_t n,
           int *error)
{
    Survey *survey = data;

    if (strcmp(context, LIBNBD_CONTEXT_BASE_ALLOCATION) != 0 || offset != survey->at)
        return 0;
    for (size_t i = 0; i + 1 < n && survey->at < survey->size; i += 2) {
        guint64 end = MIN(survey->at + entries[i], survey->size);

        if (!(entries[i + 1] & LIBNBD_STATE_ZERO))
            add_run(survey, survey->at, end);
        survey->at = end;
    }
    return 0;
}

GArray *
vimg_host_disk_runs(VimgHostDisk *disk, GError **error)
{
    g_autoptr(GArray) runs = g_array_new(FALSE, FALSE, sizeof(VimgHostRun));
    Survey survey = {.runs = runs, .size = disk->size};

    if (nbd_can_meta_context(disk->nbd, LIBNBD_CONTEXT_BASE_ALLOCATION) != 1) {
        if (disk->size > 0)
            add_run(&survey, 0, disk->size);
        return g_steal_pointer(&runs);
    }
    while (survey.at < disk->size) {
        guint64 before = survey.at;
        gint64 cookie = nbd_aio_block_status(
            disk->nbd, MIN(disk->size - before, STRETCH), before,
            (nbd_extent_callback){.callback = on_extents, .user_data = &survey},
            NBD_NULL_COMPLETION, 0);

        if (!wait_for(disk, cookie, error))
            return NULL;
        if (survey.at == before) {
            vimg_throw(error, VIMG_ERROR_FAILED, _("cannot read image '%1$s' as a disk: %2$s"),
                       disk->source->info->name, _("its extents end too early"));
            return NULL;
        }
    }
    return g_steal_pointer(&runs);
}

/* ---- reading ------------------------------------------------------------------------------ */

/* One that is on its way, or is there. */
typedef struct {
    VimgHostPiece piece;
    gint64 cookie;      /* of data that is being read; 0: it is there */
    VimgBuffer *buffer; /* NULL: of zeros */
} Slot;

typedef struct {
    VimgHostDisk *disk;
    const VimgHostPlan *plan;
    Slot slots[AHEAD];
    guint first, n; /* slots in use */
    guint64 at;     /* where the next piece begins */
    gboolean ended;
} Flow;

/* A server whose client goes while it answers breaks down. */
static void
drain(struct nbd_handle *nbd)
{
    gint64 deadline = g_get_monotonic_time() + DRAIN;

    while (nbd_aio_in_flight(nbd) > 0 && g_get_monotonic_time() < deadline &&
           nbd_poll(nbd, NAP) >= 0)
        ;
}

/* What was asked for and not answered yet must not be written into memory that is gone. */
static void
flow_clear(Flow *flow)
{
    gboolean pending = FALSE;

    for (guint i = 0; i < flow->n; i++)
        pending = pending || flow->slots[(flow->first + i) % AHEAD].cookie > 0;
    if (pending) {
        drain(flow->disk->nbd);
        g_clear_pointer(&flow->disk->nbd, nbd_close);
    }
    for (guint i = 0; i < flow->n; i++)
        vimg_buffer_unref(flow->slots[(flow->first + i) % AHEAD].buffer);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Flow, flow_clear)

static gboolean
begin_piece(Flow *flow, GError **error)
{
    Slot *slot = &flow->slots[(flow->first + flow->n) % AHEAD];
    VimgHostPiece *piece = &slot->piece;

    flow->plan->look(flow->plan->data, flow->at, piece);
    if (piece->length == 0) {
        flow->ended = TRUE;
        return TRUE;
    }
    slot->cookie = 0;
    slot->buffer = NULL;
    if (piece->kind != VIMG_HOST_PIECE_ZEROS) {
        piece->length = MIN(piece->length, PIECE);
        slot->buffer = vimg_buffer_new((gsize)piece->length);
    }
    if (piece->kind == VIMG_HOST_PIECE_MADE)
        flow->plan->make(flow->plan->data, flow->at, slot->buffer->data, (gsize)piece->length);
    if (piece->kind == VIMG_HOST_PIECE_DATA) {
        guint64 there = flow->disk->size - MIN(piece->offset, flow->disk->size);
        guint64 size = MIN(piece->length, there);

        /* behind the end of a disk there are zeros, up to the end of its last cluster */
        memset(slot->buffer->data + size, 0, (gsize)(piece->length - size));
        if (size > 0)
            slot->cookie = nbd_aio_pread(flow->disk->nbd, slot->buffer->data, (gsize)size,
                                         piece->offset, NBD_NULL_COMPLETION, 0);
    }
    flow->at += piece->length;
    flow->n++;
    if (slot->cookie < 0)
        return throw_nbd(flow->disk, error);
    return TRUE;
}

static gboolean
end_piece(Flow *flow, VimgHostSink *sink, GError **error)
{
    Slot *slot = &flow->slots[flow->first];
    g_autoptr(VimgBuffer) buffer = NULL;

    if (slot->cookie > 0 && !wait_for(flow->disk, slot->cookie, error))
        return FALSE;
    slot->cookie = 0;
    buffer = g_steal_pointer(&slot->buffer);
    flow->first = (flow->first + 1) % AHEAD;
    flow->n--;
    if (!buffer)
        return vimg_host_sink_hole(sink, slot->piece.length, error);
    return vimg_host_sink_data(sink, buffer, 0, buffer->size, error);
}

gboolean
vimg_host_disk_pour(VimgHostDisk *disk, const VimgHostPlan *plan, VimgHostSink *sink,
                    GError **error)
{
    g_auto(Flow) flow = {.disk = disk, .plan = plan};
    guint64 done = 0;

    while (!flow.ended || flow.n > 0) {
        guint64 length;

        if (!flow.ended && flow.n < AHEAD) {
            if (!begin_piece(&flow, error))
                return FALSE;
            continue;
        }
        length = flow.slots[flow.first].piece.length;
        if (!end_piece(&flow, sink, error))
            return FALSE;
        done += length;
        if (!vimg_transfer_progress(disk->source->transfer, "convert", done, plan->total, error))
            return FALSE;
    }
    return TRUE;
}
