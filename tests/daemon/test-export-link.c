/*
 * test-export-link.c: what a server that was taken over may have the daemon do
 *
 * The link is the daemon's own; its model is one here, whose images are ones everywhere.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "daemon/export-link.h"
#include "daemon/nbd-file.h"
#include "exporter/protocol.h"

#define BYTE 1
#define WORKERS 2
#define BLOCKS ((guint64)1000)
#define BLOCK_SIZE 4096
#define ROOM ((guint64)2 * VIMG_EXPORTER_PIECE)

/* ---- the model, and the disk --------------------------------------------------------------- */

static guint64 free_blocks;

/* A storage that hangs while it is told to. */
static VimgMutex storage_lock = VIMG_MUTEX_INIT;
static VimgCond storage_changed;
static gboolean hangs; /* under lock, as the next one */
static guint reads;    /* that began */

static void
read_storage(void)
{
    VIMG_LOCK_GUARD(&storage_lock);
    reads++;
    vimg_cond_broadcast(&storage_changed);
    while (hangs)
        vimg_cond_wait(&storage_changed, &storage_lock);
}

static void
set_hangs(gboolean value)
{
    VIMG_LOCK_GUARD(&storage_lock);
    hangs = value;
    reads = 0;
    vimg_cond_broadcast(&storage_changed);
}

static void
wait_for_reads(guint n)
{
    VIMG_LOCK_GUARD(&storage_lock);
    while (reads < n)
        vimg_cond_wait(&storage_changed, &storage_lock);
}

int
fstatvfs(int fd, struct statvfs *out)
{
    guint64 blocks = __atomic_load_n(&free_blocks, __ATOMIC_ACQUIRE);

    *out = (struct statvfs){.f_blocks = BLOCKS, .f_frsize = BLOCK_SIZE, .f_bavail = blocks};
    return 0;
}

VimgExportState
vimg_model_export_find(VimgModel *model, const guint8 hash[VIMG_EXPORT_HASH_SIZE],
                       VimgExportInfo **out)
{
    return VIMG_EXPORT_ABSENT;
}

void
vimg_export_info_free(VimgExportInfo *info)
{
    g_assert_null(info);
}

gboolean
vimg_model_export_read(VimgModel *model, const guint8 hash[VIMG_EXPORT_HASH_SIZE],
                       const VimgExportPart *part, VimgExtent *out, GError **error)
{
    gsize length = MIN(part->most, part->length);

    read_storage();
    *out = (VimgExtent){.length = length, .data = vimg_buffer_new(length)};
    memset(out->data->data, BYTE, length);
    return TRUE;
}

gboolean
vimg_model_export_map(VimgModel *model, const guint8 hash[VIMG_EXPORT_HASH_SIZE], guint64 offset,
                      VimgExportExtent *out, GError **error)
{
    g_assert_not_reached();
}

/* ---- one link ------------------------------------------------------------------------------ */

typedef struct {
    VimgWorkers *workers;
    VimgExportLink *link;
    VimgNbdFile file;
    int fd; /* of whoever asks */
    VimgMutex lock;
    GPtrArray *said; /* of what it said when it began; under lock */
} Here;

static void
on_begin(const char *why, gpointer data)
{
    Here *here = data;

    VIMG_LOCK_GUARD(&here->lock);
    g_ptr_array_add(here->said, g_strdup(why));
}

static void
connect_link(Here *here, const VimgExportLinkOptions *options)
{
    g_autoptr(GError) error = NULL;
    int pair[2];

    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), ==, 0);
    here->fd = pair[1];
    here->link = vimg_export_link_new(pair[0], NULL, here->workers, options, &error);
    g_assert_no_error(error);
}

/* @begins: it is one that says that it serves, and has no file. */
static void
set_up(Here *here, gboolean begins)
{
    VimgExportLinkOptions options = {.file_fd = -1, .data = here};
    g_autoptr(GError) error = NULL;

    *here = (Here){.file = {.ours = -1, .theirs = -1}};
    vimg_mutex_init(&here->lock);
    here->said = g_ptr_array_new_with_free_func(g_free);
    free_blocks = BLOCKS;
    if (begins) {
        options.begin = on_begin;
    } else {
        vimg_nbd_file_open(g_get_tmp_dir(), G_MAXUINT64, &here->file, &error);
        g_assert_no_error(error);
        options.file_fd = here->file.ours;
        options.room = ROOM;
    }
    here->workers = vimg_workers_new("workers", WORKERS, &error);
    g_assert_no_error(error);
    connect_link(here, &options);
}

static void
tear_down(Here *here)
{
    close(here->fd);
    vimg_export_link_close(here->link);
    vimg_workers_free(here->workers);
    if (here->file.theirs >= 0)
        close(here->file.theirs);
    g_ptr_array_unref(here->said);
    vimg_mutex_clear(&here->lock);
}

static void
wait_until_broken(Here *here)
{
    guint8 byte;

    g_assert_false(vimg_exporter_receive(here->fd, &byte, sizeof(byte)));
    g_assert_true(vimg_export_link_is_broken(here->link));
}

/* Returns: how a block read to @place came; -1: it is no question, and the link is broken */
static int
ask(Here *here, guint64 place)
{
    const VimgExporterQuestion question = {.what = VIMG_EXPORTER_READ,
                                           .length = VIMG_EXPORTER_PIECE,
                                           .until = VIMG_EXPORTER_PIECE,
                                           .most = VIMG_EXPORTER_PIECE,
                                           .place = place};
    g_autofree guint8 *bytes = g_malloc(VIMG_EXPORTER_PIECE);
    VimgExporterAnswer answer;

    g_assert_true(vimg_exporter_send(here->fd, &question, sizeof(question), NULL, 0));
    if (!vimg_exporter_receive(here->fd, &answer, sizeof(answer)))
        return -1;
    g_assert_cmpint(answer.status, ==, VIMG_EXPORTER_OK);
    g_assert_cmpuint(answer.length, ==, VIMG_EXPORTER_PIECE);
    if (answer.way == VIMG_EXPORTER_SENT)
        g_assert_true(vimg_exporter_receive(here->fd, bytes, VIMG_EXPORTER_PIECE));
    else
        g_assert_cmpint(pread(here->file.theirs, bytes, VIMG_EXPORTER_PIECE, (off_t)place), ==,
                        VIMG_EXPORTER_PIECE);
    g_assert_cmpuint(bytes[0], ==, BYTE);
    g_assert_cmpuint(bytes[VIMG_EXPORTER_PIECE - 1], ==, BYTE);
    return (int)answer.way;
}

static guint64
size_of(const Here *here)
{
    struct stat info;

    g_assert_cmpint(fstat(here->file.theirs, &info), ==, 0);
    return (guint64)info.st_size;
}

/* ---- the file ------------------------------------------------------------------------------ */

/* Behind its room nothing is ever written, and whoever asks for that is not heard again. */
static void
test_room(void)
{
    static const guint64 places[] = {ROOM - VIMG_EXPORTER_PIECE + 1, ROOM,
                                     G_MAXINT64 - VIMG_EXPORTER_PIECE};
    Here here;

    for (gsize i = 0; i < G_N_ELEMENTS(places); i++) {
        set_up(&here, FALSE);
        g_assert_cmpint(ask(&here, ROOM - VIMG_EXPORTER_PIECE), ==, VIMG_EXPORTER_PLACED);
        g_assert_cmpint(ask(&here, places[i]), ==, -1);
        g_assert_true(vimg_export_link_is_broken(here.link));
        g_assert_cmpuint(size_of(&here), ==, ROOM);
        tear_down(&here);
    }
}

/* Whoever has no file can name no place in one. */
static void
test_no_file(void)
{
    Here here;

    set_up(&here, TRUE);
    g_assert_cmpint(ask(&here, VIMG_EXPORTER_NOWHERE), ==, VIMG_EXPORTER_SENT);
    g_assert_cmpint(ask(&here, 0), ==, -1);
    tear_down(&here);
}

/* The flags of its description are not the daemon's, which writes where it was asked to. */
static void
test_append(void)
{
    Here here;

    set_up(&here, FALSE);
    g_assert_cmpint(fcntl(here.file.theirs, F_SETFL, O_APPEND), ==, 0);
    for (guint i = 0; i < 4; i++)
        g_assert_cmpint(ask(&here, 0), ==, VIMG_EXPORTER_PLACED);
    g_assert_cmpuint(size_of(&here), ==, VIMG_EXPORTER_PIECE);
    tear_down(&here);
}

/* Into a file that is larger than it may be nothing more goes. */
static void
test_grown(void)
{
    Here here;

    set_up(&here, FALSE);
    g_assert_cmpint(ftruncate(here.file.theirs, (off_t)ROOM + 1), ==, 0);
    g_assert_cmpint(ask(&here, 0), ==, VIMG_EXPORTER_SENT);
    tear_down(&here);
}

/* What a disk keeps it keeps, also from a file that is as large as it may be, and all holes. */
static void
test_full_disk(void)
{
    const guint64 kept = BLOCKS / 20, block = VIMG_EXPORTER_PIECE / BLOCK_SIZE;
    Here here;

    set_up(&here, FALSE);
    g_assert_cmpint(ftruncate(here.file.theirs, (off_t)ROOM), ==, 0);
    __atomic_store_n(&free_blocks, kept + block - 1, __ATOMIC_RELEASE);
    g_assert_cmpint(ask(&here, 0), ==, VIMG_EXPORTER_SENT);
    __atomic_store_n(&free_blocks, kept / 2, __ATOMIC_RELEASE);
    g_assert_cmpint(ask(&here, 0), ==, VIMG_EXPORTER_SENT);
    __atomic_store_n(&free_blocks, kept + block, __ATOMIC_RELEASE);
    g_assert_cmpint(ask(&here, 0), ==, VIMG_EXPORTER_PLACED);
    tear_down(&here);
}

/* ---- beginning ----------------------------------------------------------------------------- */

static const struct {
    const char *said;
    const char *heard; /* NULL: nothing */
} reasons[] = {
    {"no certificate: \xe8\xaf\x81\xe4\xb9\xa6 'a'",
     "no certificate: \xe8\xaf\x81\xe4\xb9\xa6 'a'"},
    {"a\nb\x1b[2Jc\x7f", "a b [2Jc "},
    {"a\xc2\x9b"
     "2Jb\xc2\x85"
     "c",
     "a 2Jb c"}, /* CSI, NEL */
    {"a\xe2\x80\xae"
     "b\xe2\x80\xa8"
     "c\xe2\x80\xa9",
     "a b c "}, /* RLO, line and paragraph */
    {"a\xff", NULL},
};

static void
test_reasons(void)
{
    for (gsize i = 0; i < G_N_ELEMENTS(reasons); i++) {
        Here here;

        set_up(&here, TRUE);
        g_assert_true(vimg_exporter_say_begin(here.fd, reasons[i].said));
        g_assert_cmpint(shutdown(here.fd, SHUT_WR), ==, 0);
        wait_until_broken(&here);
        g_assert_cmpuint(here.said->len, ==, reasons[i].heard ? 1 : 0);
        if (reasons[i].heard)
            g_assert_cmpstr(here.said->pdata[0], ==, reasons[i].heard);
        tear_down(&here);
    }
}

/* A log is not filled by whoever begins again and again. */
static void
test_begins_once(void)
{
    Here here;

    set_up(&here, TRUE);
    g_assert_true(vimg_exporter_say_begin(here.fd, NULL));
    g_assert_cmpint(ask(&here, VIMG_EXPORTER_NOWHERE), ==, VIMG_EXPORTER_SENT);
    g_assert_true(vimg_exporter_say_begin(here.fd, "why"));
    wait_until_broken(&here);
    g_assert_cmpuint(here.said->len, ==, 1);
    g_assert_null(here.said->pdata[0]);
    tear_down(&here);
}

/* ---- ending -------------------------------------------------------------------------------- */

static void
fill_with_questions(Here *here)
{
    VimgExporterQuestion question = {.what = VIMG_EXPORTER_READ,
                                     .length = VIMG_EXPORTER_PIECE,
                                     .until = VIMG_EXPORTER_PIECE,
                                     .most = VIMG_EXPORTER_PIECE,
                                     .place = VIMG_EXPORTER_NOWHERE};

    for (question.number = 0; question.number < VIMG_EXPORTER_WAITING_MAX; question.number++)
        g_assert_true(vimg_exporter_send(here->fd, &question, sizeof(question), NULL, 0));
    wait_for_reads(WORKERS);
}

/* A server that ends with all that it may ask waiting leaves its place to the next one, of which no
 * question waits behind those: they are not read any more. */
static void
test_ended(void)
{
    const VimgExportLinkOptions options = {.file_fd = -1};
    Here here;

    set_up(&here, TRUE);
    set_hangs(TRUE);
    fill_with_questions(&here);
    close(here.fd);
    vimg_export_link_close(here.link);
    connect_link(&here, &options);
    set_hangs(FALSE);
    g_assert_cmpint(ask(&here, VIMG_EXPORTER_NOWHERE), ==, VIMG_EXPORTER_SENT);
    vimg_mutex_lock(&storage_lock);
    g_assert_cmpuint(reads, ==, 1);
    vimg_mutex_unlock(&storage_lock);
    tear_down(&here);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    vimg_cond_init(&storage_changed);
    g_test_add_func("/export-link/room", test_room);
    g_test_add_func("/export-link/no-file", test_no_file);
    g_test_add_func("/export-link/append", test_append);
    g_test_add_func("/export-link/grown", test_grown);
    g_test_add_func("/export-link/full-disk", test_full_disk);
    g_test_add_func("/export-link/reasons", test_reasons);
    g_test_add_func("/export-link/begins-once", test_begins_once);
    g_test_add_func("/export-link/ended", test_ended);
    return g_test_run();
}
