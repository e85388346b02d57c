/*
 * machine-backup.c: the disks of a machine that is not shut off, as they are at one moment
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/un.h>
#include <unistd.h>
#include <libvirt/virterror.h>

#include "cli/machine-backup.h"
#include "cli/machine-freeze.h"
#include "cli/machine-scratch.h"
#include "cli/text.h"
#include "util/error.h"
#include "util/file.h"
#include "util/i18n.h"

#define STOP_PATIENCE (30 * G_USEC_PER_SEC)
#define RESERVE_PART 20 /* of a file system, and at most */
#define RESERVE_MAX (G_GUINT64_CONSTANT(1) << 30)

/* ---- its directory ---------------------------------------------------------------------- */

/* The emulator makes its socket there, and nobody else is to come in. */
static gboolean
make_dir(VimgBackup *backup, GError **error)
{
    const VimgMachineParts *parts = &backup->machine->parts;

    if (strlen(backup->socket) >= sizeof(((struct sockaddr_un *)NULL)->sun_path))
        return vimg_throw(error, VIMG_ERROR_INVALID_ARG,
                          _("the scratch directory's path '%s' is too long for a socket"),
                          backup->dir);
    vimg_scratch_empty(backup->dir);
    if (!vimg_dir_make(backup->dir, 0700, error))
        return FALSE;
    return !parts->has_owner || geteuid() != 0 ||
           chown(backup->dir, parts->owner, parts->group) == 0 ||
           vimg_throw_errno(error, "'%s'", backup->dir);
}

/* ---- room for what the guest overwrites ------------------------------------------------- */

static gboolean
choose_reserve(VimgBackup *backup, GError **error)
{
    struct statvfs info;

    backup->reserve = backup->machine->reserve;
    if (backup->reserve > 0)
        return TRUE;
    if (statvfs(backup->dir, &info) < 0)
        return vimg_throw_errno(error, "'%s'", backup->dir);
    backup->reserve = MIN((guint64)info.f_blocks * info.f_frsize / RESERVE_PART, RESERVE_MAX);
    return TRUE;
}

gboolean
vimg_backup_check(const VimgBackup *backup, GError **error)
{
    g_autofree char *left = NULL;
    struct statvfs info;
    guint64 bytes;

    if (statvfs(backup->dir, &info) < 0)
        return TRUE;
    bytes = (guint64)info.f_bavail * info.f_frsize;
    if (bytes >= backup->reserve)
        return TRUE;
    left = vimg_text_size(bytes, backup->machine->ctl->bytes);
    return vimg_throw(
        error, VIMG_ERROR_NO_SPACE,
        _("only %1$s are left of the scratch directory '%2$s', less than its reserve: choose a roomier one with --scratch, or a quieter time"),
        left, backup->dir);
}

/* ---- what holds the guest up ---------------------------------------------------------------- */

static char *
run_of(virDomainPtr domain)
{
    return g_strdup_printf("%u", virDomainGetID(domain));
}

static gboolean
note_hold(VimgBackup *backup, VimgUndoKind kind, GError **error)
{
    VimgMachine *machine = backup->machine;
    g_autofree char *note = vimg_scratch_hold(backup->dir, kind);
    g_autofree char *run = run_of(machine->domain);

    if (!vimg_undo_add(machine->undo, kind, error, run, note, NULL) ||
        !vimg_file_replace(note, run, strlen(run), 0600, error))
        return FALSE;
    backup->holds |= 1u << kind;
    return TRUE;
}

static void
forget_hold(VimgBackup *backup, VimgUndoKind kind)
{
    g_autofree char *note = vimg_scratch_hold(backup->dir, kind);
    g_autofree char *run = run_of(backup->machine->domain);

    unlink(note);
    vimg_undo_drop(backup->machine->undo, kind, run, note, NULL);
    backup->holds &= ~(1u << kind);
}

gboolean
vimg_backup_release(virDomainPtr domain, const char *run, const char *note, VimgRelease release,
                    GError **error)
{
    g_autofree char *now = run_of(domain);
    int active = virDomainIsActive(domain);

    if (active < 0)
        return vimg_machine_throw(error);
    /* one that was started anew is held up by nobody of us */
    if (active > 0 && strcmp(now, run) == 0 && !release(domain, error))
        return FALSE;
    vimg_scratch_forget(note);
    return TRUE;
}

/* ---- the guest's file systems ----------------------------------------------------------- */

/* Returns: why it is not to be asked for; NULL: it is */
static const char *
why_not(const VimgMachine *machine)
{
    if (machine->paused)
        return _("the machine is paused");
    if (machine->frozen)
        return _("it may be frozen since an earlier command");
    if (!machine->parts.agent)
        return _("no guest agent is connected");
    return machine->patience == 0 ? _("--freeze=0 says so") : NULL;
}

static gboolean
throw_deaf(VimgMachine *machine, const char *why, const GError *thaw, GError **error)
{
    return vimg_throw(
        error, VIMG_ERROR_TIMEOUT,
        _("machine '%1$s' did not say that its file systems are frozen (%2$s), nor that they are not (%3$s): it is thawed as soon as its agent answers, and no other such command works on it until then; image it with --freeze=0 afterwards"),
        machine->name, why, thaw->message);
}

/* A guest that cannot be frozen is imaged as a power cut would leave it, but never left so. */
static gboolean
freeze(VimgBackup *backup, GError **error)
{
    VimgMachine *machine = backup->machine;
    const char *not_wanted = why_not(machine);
    g_autoptr(GError) local = NULL;
    VimgFreeze was;

    if (not_wanted) {
        backup->not_frozen = g_strdup(not_wanted);
        return TRUE;
    }
    if (!note_hold(backup, VIMG_UNDO_FREEZE, error))
        return FALSE;
    was = vimg_freeze(machine, &backup->not_frozen);
    backup->frozen = was == VIMG_FREEZE_DONE;
    if (backup->frozen)
        return TRUE;
    if (was == VIMG_FREEZE_UNKNOWN &&
        (!vimg_machine_again(machine, &local) || !vimg_thaw(machine->domain, &local)))
        return throw_deaf(machine, backup->not_frozen, local, error);
    forget_hold(backup, VIMG_UNDO_FREEZE);
    return TRUE;
}

static gboolean
thaw(VimgBackup *backup, GError **error)
{
    if (!backup->frozen)
        return TRUE;
    if (!vimg_thaw(backup->machine->domain, error))
        return FALSE;
    forget_hold(backup, VIMG_UNDO_FREEZE);
    return TRUE;
}

/* ---- the guest itself ------------------------------------------------------------------- */

/* One that another stopped meanwhile is the other's to let go. */
static gboolean
stop(VimgBackup *backup, GError **error)
{
    VimgMachine *machine = backup->machine;
    int state = 0, reason = 0;

    if (virDomainGetState(machine->domain, &state, &reason, 0) < 0)
        return vimg_machine_throw(error);
    if (state != VIR_DOMAIN_RUNNING)
        return TRUE;
    if (!note_hold(backup, VIMG_UNDO_PAUSE, error))
        return FALSE;
    if (virDomainSuspend(machine->domain) < 0)
        return vimg_machine_throw(error);
    backup->stopped = TRUE;
    return TRUE;
}

/* What is of that moment and no part of the job: the disks of a machine that stands still. */
static gboolean
hold(VimgBackup *backup, gsize n, GError **error)
{
    if (!backup->held)
        return TRUE;
    return (n == 1 || stop(backup, error)) && backup->held(backup->held_data, error);
}

static gboolean
let_go(VimgBackup *backup, GError **error)
{
    VimgMachine *machine = backup->machine;

    if (!backup->stopped)
        return TRUE;
    if (virDomainResume(machine->domain) < 0)
        return vimg_machine_throw(error);
    backup->stopped = FALSE;
    forget_hold(backup, VIMG_UNDO_PAUSE);
    return TRUE;
}

void
vimg_backup_let_go(VimgBackup *backup)
{
    if (let_go(backup, NULL))
        thaw(backup, NULL);
}

gboolean
vimg_backup_resume(virDomainPtr domain, GError **error)
{
    int state = 0, reason = 0;

    if (virDomainGetState(domain, &state, &reason, 0) < 0)
        return vimg_machine_throw(error);
    return state != VIR_DOMAIN_PAUSED || reason != VIR_DOMAIN_PAUSED_USER ||
           virDomainResume(domain) == 0 || vimg_machine_throw(error);
}

/* ---- the job ---------------------------------------------------------------------------- */

static void
add_disk(GString *xml, const VimgBackup *backup, const char *target, const VimgBackupDisk *disk)
{
    g_autofree char *path = g_build_filename(backup->dir, target, NULL);
    g_autofree char *since = NULL;
    g_autofree char *text = NULL;

    if (disk && disk->since)
        since = g_markup_printf_escaped(
            " backupmode='incremental' incremental='%s' exportbitmap='" VIMG_BACKUP_BITMAP "'",
            disk->since);
    text = disk ? g_markup_printf_escaped("type='file' exportname='%s'><scratch file='%s'/></disk>",
                                          target, path)
                : NULL;
    g_string_append_printf(xml, "<disk name='%s' backup='%s'", target, disk ? "yes" : "no");
    if (disk)
        g_string_append_printf(xml, "%s %s", since ? since : " backupmode='full'", text);
    else
        g_string_append(xml, "/>");
}

/* Returns: (transfer full) the document of the job. */
static char *
describe(const VimgBackup *backup, const VimgBackupDisk *disks, gsize n)
{
    GString *xml = g_string_new("<domainbackup mode='pull'>");
    g_autofree char *server =
        g_markup_printf_escaped("<server transport='unix' socket='%s'/>", backup->socket);
    GPtrArray *all = backup->machine->parts.disks;

    g_string_append(xml, server);
    g_string_append(xml, "<disks>");
    for (guint i = 0; i < all->len; i++) {
        const VimgMachineDisk *disk = all->pdata[i];
        const VimgBackupDisk *wanted = NULL;

        for (gsize k = 0; k < n; k++)
            if (disks[k].disk == disk && !disks[k].left_out)
                wanted = &disks[k];
        add_disk(xml, backup, disk->target, wanted);
    }
    g_string_append(xml, "</disks></domainbackup>");
    return g_string_free(xml, FALSE);
}

static gboolean
note_point(VimgBackup *backup, const char *name, GError **error)
{
    g_autofree char *note = vimg_scratch_point(backup->dir);

    return vimg_undo_add(backup->machine->undo, VIMG_UNDO_CHECKPOINT, error, name, NULL) &&
           vimg_file_replace(note, name, strlen(name), 0600, error);
}

static gboolean
start(VimgBackup *backup, const char *xml, const char *point_name, const char *point,
      GError **error)
{
    VimgMachine *machine = backup->machine;

    if (point && !note_point(backup, point_name, error))
        return FALSE;
    backup->running = virDomainBackupBegin(machine->domain, xml, point, 0) == 0;
    return backup->running || vimg_machine_throw(error);
}

static gboolean
begin(VimgBackup *backup, const VimgBackupDisk *disks, gsize n, const char *point_name,
      const char *point, GError **error)
{
    g_autofree char *xml = NULL;
    gboolean any = FALSE;

    if (!hold(backup, n, error))
        return FALSE;
    for (gsize i = 0; i < n; i++)
        any = any || !disks[i].left_out;
    xml = describe(backup, disks, n);
    return !any || start(backup, xml, point_name, point, error);
}

gboolean
vimg_backup_begin(VimgBackup *backup, VimgMachine *machine, const VimgBackupDisk *disks, gsize n,
                  const char *point_name, const char *point, GError **error)
{
    gboolean ok;

    backup->machine = machine;
    backup->dir = vimg_scratch_dir(machine, error);
    if (!backup->dir)
        return FALSE;
    backup->socket = vimg_scratch_socket(backup->dir);
    if (!vimg_undo_add(machine->undo, VIMG_UNDO_BACKUP, error, backup->socket, NULL) ||
        !make_dir(backup, error) || !choose_reserve(backup, error) ||
        !vimg_backup_check(backup, error))
        return FALSE;
    if (!freeze(backup, error))
        return FALSE;
    ok = begin(backup, disks, n, point_name, point, error);
    /* the guest waits, whatever came of it */
    ok = let_go(backup, ok ? error : NULL) && ok;
    return thaw(backup, ok ? error : NULL) && ok;
}

/* ---- its end ---------------------------------------------------------------------------- */

typedef enum {
    JOB_NONE,
    JOB_SERVES,
    JOB_UNKNOWN, /* libvirt's last error says why */
} Job;

/* Of @domain, at @socket. */
static Job
find_job(virDomainPtr domain, const char *socket)
{
    char *xml = virDomainBackupGetXMLDesc(domain, 0);
    g_autofree char *quoted = g_markup_escape_text(socket, -1);
    gboolean is = xml && strstr(xml, quoted);
    int code = virGetLastErrorCode();

    free(xml);
    if (is)
        return JOB_SERVES;
    if (xml || code == VIR_ERR_NO_DOMAIN_BACKUP || code == VIR_ERR_NO_DOMAIN)
        return JOB_NONE;
    /* what is shut off has none; else the failure was for another reason */
    return code == VIR_ERR_OPERATION_INVALID && virDomainIsActive(domain) == 0 ? JOB_NONE
                                                                               : JOB_UNKNOWN;
}

static gboolean
throw_job(Job job, const GError *why, GError **error)
{
    if (job == JOB_SERVES)
        return vimg_throw(error, VIMG_ERROR_TIMEOUT, "%s",
                          _("the machine's backup job does not end"));
    g_propagate_error(error, g_error_copy(why));
    return FALSE;
}

/* Who cannot be asked has perhaps one: a daemon that is just started again answers soon, over a
 * connection that is not lost. */
gboolean
vimg_backup_end_job(virDomainPtr domain, const char *socket, GError **error)
{
    gint64 until = g_get_monotonic_time() + STOP_PATIENCE;
    Job job;

    while ((job = find_job(domain, socket)) != JOB_NONE) {
        g_autoptr(GError) why = NULL;
        gboolean hopeless = FALSE;

        if (job == JOB_UNKNOWN) {
            vimg_machine_throw(&why);
            hopeless = g_error_matches(why, VIMG_DAEMON_ERROR, VIR_ERR_NO_SUPPORT) ||
                       virConnectIsAlive(virDomainGetConnect(domain)) != 1;
        } else {
            /* it may have ended in between, or be ending */
            virDomainAbortJob(domain);
        }
        if (hopeless || g_get_monotonic_time() > until)
            return throw_job(job, why, error);
        g_usleep(G_USEC_PER_SEC / 50);
    }
    return TRUE;
}

gboolean
vimg_backup_stop(virDomainPtr domain, const char *socket, GError **error)
{
    g_autofree char *dir = g_path_get_dirname(socket);

    if (!vimg_backup_end_job(domain, socket, error))
        return FALSE;
    vimg_scratch_empty(dir);
    return TRUE;
}

gboolean
vimg_backup_end(VimgBackup *backup, GError **error)
{
    if (!backup->dir)
        return TRUE;
    if (!vimg_machine_again(backup->machine, error) ||
        !vimg_backup_stop(backup->machine->domain, backup->socket, error))
        return FALSE;
    backup->running = FALSE;
    vimg_undo_drop(backup->machine->undo, VIMG_UNDO_BACKUP, backup->socket, NULL);
    return TRUE;
}

void
vimg_backup_clear(VimgBackup *backup)
{
    g_free(backup->dir);
    g_free(backup->socket);
    g_free(backup->not_frozen);
    *backup = (VimgBackup){0};
}
