/*
 * qemu.c: qemu-img at work on RBD images, in a process of its own
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "answer.h"
#include "qemu.h"
#include "store.h"
#include "../throw.h"

#define KEY_FD 3
#define CONF_FD 4
#define MAX_OUTPUT ((gsize)1024 * 1024) /* of an answer; more is nonsense */
#define MAX_COMPLAINT ((gsize)2048)     /* what of its complaints is told */
#define NAP_MS 500
#define LOOK_EVERY (5 * G_USEC_PER_SEC)     /* at the room for what it writes */
#define SILENCE (30 * G_USEC_PER_SEC)       /* then it is seen whether the cluster is still there */
#define MEMORY ((rlim_t)2048 * 1024 * 1024) /* librbd alone maps 845 MiB */
#define FILES 256

/* What it may have at most. */
static const struct {
    __rlimit_resource_t what;
    rlim_t most;
} limits[] = {
    {RLIMIT_DATA, MEMORY},
    {RLIMIT_NOFILE, FILES},
    {RLIMIT_FSIZE, 0}, /* it writes nothing here */
    {RLIMIT_CORE, 0},
};

typedef struct {
    VimgCluster *cluster;
    VimgPluginJob *job;
    guint64 total; /* bytes it goes through; 0: it tells no progress */
    GPid pid;
    GString *output;
    GString *complaints;
    gint64 looked; /* monotonic: when it was last seen whether there is room */
    gint64 heard;  /* monotonic: when it said something last, or the cluster was well */
} Child;

/* ---- what it is told -------------------------------------------------------------------- */

/* Returns: a file without a name that holds @text; -1 with @error. */
static int
hide(const char *text, gsize size, GError **error)
{
    int fd = memfd_create("virtimage", MFD_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : write(fd, text, size);

    if (fd >= 0 && n == (ssize_t)size)
        return fd;
    throw_result(error, n < 0 ? errno : ENOSPC, _("cannot make a file in memory"));
    if (fd >= 0)
        close(fd);
    return -1;
}

/* As our own connection; a call that waits for ever would be a process that does. */
static char *
make_conf(const VimgCluster *cluster)
{
    return g_strdup_printf("[global]\nmon_host = %s\nkeyring =\nauth_client_required = cephx\n"
                           "client_mount_timeout = 10\nrados_mon_op_timeout = 10\n"
                           "rados_osd_op_timeout = %u\nlog_to_stderr = false\n"
                           "err_to_stderr = false\nlog_file = /dev/null\nadmin_socket =\n",
                           cluster->monitors, vimg_cluster_osd_seconds);
}

static char *
describe_file(const VimgCluster *cluster, const char *format, const char *rbd)
{
    g_autoptr(JsonNode) root = json_node_new(JSON_NODE_OBJECT);
    g_autoptr(JsonObject) image = json_object_new();
    JsonObject *file = json_object_new();
    g_autofree char *text = NULL;

    json_object_set_string_member(file, "driver", "rbd");
    json_object_set_string_member(file, "conf", "/dev/fd/" G_STRINGIFY(CONF_FD));
    json_object_set_string_member(file, "pool", cluster->pool);
    json_object_set_string_member(file, "image", rbd);
    json_object_set_string_member(file, "user", cluster->user);
    json_object_set_string_member(file, "key-secret", "key");
    json_object_set_string_member(image, "driver", format);
    /* whatever it says, nothing else is opened for it */
    json_object_set_null_member(image, "backing");
    json_object_set_object_member(image, "file", file);
    json_node_set_object(root, image);
    text = json_to_string(root, FALSE);
    return g_strconcat("json:", text, NULL);
}

/* In the other notation, in which a comma is written twice. */
static char *
describe_target(const VimgCluster *cluster, const char *rbd)
{
    g_auto(GStrv) pool = g_strsplit(cluster->pool, ",", -1);
    g_autofree char *name = g_strjoinv(",,", pool);

    return g_strdup_printf(
        "driver=raw,file.driver=rbd,file.conf=/dev/fd/" G_STRINGIFY(
            CONF_FD) ",file.pool=%s,file.image=%s,file.user=%s,file.key-secret=key",
        name, rbd, cluster->user);
}

/* ---- starting and ending it ------------------------------------------------------------- */

/* In the child, before it is qemu-img: only what is safe between fork and exec. */
static void
confine(gpointer data)
{
    gsize i;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (i = 0; i < G_N_ELEMENTS(limits); i++) {
        struct rlimit limit = {.rlim_cur = limits[i].most, .rlim_max = limits[i].most};

        setrlimit(limits[i].what, &limit);
    }
}

static gboolean
spawn(Child *child, const char *const *argv, int *out, int *err, GError **error)
{
    const char *const environment[] = {"PATH=/usr/local/bin:/usr/bin:/bin", "LC_ALL=C", NULL};
    static const int targets[] = {KEY_FD, CONF_FD};
    const VimgBuffer *key = child->cluster->key;
    g_autofree char *conf = make_conf(child->cluster);
    g_autoptr(GError) local = NULL;
    int fds[] = {-1, -1};
    gboolean ok;
    gsize i;

    fds[0] = hide((const char *)key->data, key->size, error);
    fds[1] = fds[0] < 0 ? -1 : hide(conf, strlen(conf), error);
    ok = fds[1] >= 0;
    if (ok && !g_spawn_async_with_pipes_and_fds(
                  NULL, argv, environment,
                  G_SPAWN_SEARCH_PATH_FROM_ENVP | G_SPAWN_DO_NOT_REAP_CHILD, confine, NULL, -1, -1,
                  -1, fds, targets, G_N_ELEMENTS(targets), &child->pid, NULL, out, err, &local))
        ok = throw_error(error, VIMG_ERROR_SYSTEM, _("cannot start qemu-img: %s"), local->message);
    for (i = 0; i < G_N_ELEMENTS(fds); i++) {
        if (fds[i] >= 0)
            close(fds[i]);
    }
    return ok;
}

/* Returns: FALSE at its end. */
static gboolean
take(int fd, GString *text, gsize most)
{
    char bytes[4096];
    ssize_t n = read(fd, bytes, sizeof(bytes));

    if (n > 0)
        g_string_append_len(text, bytes, (gssize)MIN((gsize)n, most - MIN(most, text->len)));
    return n > 0 || (n < 0 && (errno == EINTR || errno == EAGAIN));
}

/* The last "    (12.34/100%)" it wrote. */
static void
tell_progress(Child *child)
{
    const char *last = strrchr(child->output->str, '(');
    g_autofree char *whole = last ? g_strndup(last + 1, strcspn(last + 1, ".")) : NULL;
    guint64 percent = 0;

    if (whole && g_ascii_string_to_unsigned(whole, 10, 0, 100, &percent, NULL))
        vimg_ceph_progress(child->job, "converting", child->total / 100 * percent, child->total);
    if (child->output->len > 512)
        g_string_erase(child->output, 0, (gssize)child->output->len - 256);
}

/* What little came may unpack to more than there is room for. */
static gboolean
check_room(Child *child, GError **error)
{
    gint64 now = g_get_monotonic_time();

    if (child->total == 0 || now < child->looked + LOOK_EVERY)
        return TRUE;
    child->looked = now;
    return vimg_cluster_has_room(child->cluster, 0, error);
}

/* One that waits for a cluster that is gone is not waited for. */
static gboolean
check_going(Child *child, GError **error)
{
    if (!vimg_ceph_check_job(child->job, error) || !check_room(child, error))
        return FALSE;
    if (g_get_monotonic_time() < child->heard + SILENCE)
        return TRUE;
    if (!vimg_cluster_probe(child->cluster, error))
        return FALSE;
    child->heard = g_get_monotonic_time();
    return TRUE;
}

/* Reads until both ends are closed. */
static gboolean
listen_to(Child *child, int out, int err, GError **error)
{
    struct pollfd ends[] = {{.fd = out, .events = POLLIN}, {.fd = err, .events = POLLIN}};

    while (ends[0].fd >= 0 || ends[1].fd >= 0) {
        if (!check_going(child, error))
            return FALSE;
        if (poll(ends, G_N_ELEMENTS(ends), NAP_MS) <= 0)
            continue;
        child->heard = g_get_monotonic_time();
        if (ends[0].revents && !take(out, child->output, MAX_OUTPUT))
            ends[0].fd = -1;
        if (ends[1].revents && !take(err, child->complaints, MAX_COMPLAINT))
            ends[1].fd = -1;
        if (child->total > 0)
            tell_progress(child);
    }
    return TRUE;
}

/* What it said in the end, for people: without what we told it to open. */
static char *
last_words(const Child *child)
{
    g_autofree char *text = g_utf8_make_valid(child->complaints->str, -1);
    const char *line;

    g_strstrip(text);
    line = strrchr(text, '\n');
    line = line ? line + 1 : text;
    if (g_str_has_prefix(line, "qemu-img: "))
        line += strlen("qemu-img: ");
    if (strstr(line, "'json:") && strstr(line, "}': "))
        line = strstr(line, "}': ") + strlen("}': ");
    return g_strdup(line);
}

gboolean
vimg_qemu_blames_image(const char *words, gboolean converting)
{
    /* they are of the cluster or of this host, and pass */
    static const char *const others[] = {
        "Cannot allocate memory",
        "Cannot send after transport endpoint shutdown",
        "Connection reset by peer",
        "Connection timed out",
        "Device or resource busy",
        "Disk quota exceeded",
        "Interrupted system call",
        "No such file or directory",
        "No space left on device",
        "Operation not permitted",
        "Permission denied",
        "Read-only file system",
        "Resource temporarily unavailable",
        "Too many open files",
        "Transport endpoint is not connected",
    };
    gsize i;

    for (i = 0; i < G_N_ELEMENTS(others); i++) {
        if (strstr(words, others[i]))
            return FALSE;
    }
    /* it was opened before that, so only what is read can still be wrong */
    return *words && (!converting || strstr(words, "error while reading"));
}

/* It has ended, or is ended. */
static gboolean
judge(Child *child, int status, GError **error)
{
    g_autofree char *words = last_words(child);

    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return TRUE;
    if (strstr(words, "rbd'"))
        return throw_error(
            error, VIMG_ERROR_SYSTEM,
            _("qemu-img cannot read RBD images: %s (Debian: install qemu-block-extra)"), words);
    /* it has no codes: whether the cluster was to blame only the cluster can tell */
    if (!vimg_cluster_probe(child->cluster, error))
        return FALSE;
    if (WIFSIGNALED(status))
        return throw_error(error, VIMG_ERROR_SYSTEM, _("qemu-img was ended by signal %d"),
                           WTERMSIG(status));
    return throw_error(
        error,
        vimg_qemu_blames_image(words, child->total > 0) ? VIMG_ERROR_DAMAGED : VIMG_ERROR_SYSTEM,
        _("qemu-img cannot convert the image: %s"), *words ? words : _("it says nothing"));
}

/* Returns: what it wrote; NULL with @error. */
static char *
run(VimgCluster *cluster, const char *const *argv, guint64 total, VimgPluginJob *job,
    GError **error)
{
    g_autoptr(GString) output = g_string_new(NULL);
    g_autoptr(GString) complaints = g_string_new(NULL);
    Child child = {.cluster = cluster,
                   .job = job,
                   .total = total,
                   .output = output,
                   .complaints = complaints,
                   .heard = g_get_monotonic_time()};
    gboolean ok;
    int status = 0;
    int out;
    int err;

    if (!spawn(&child, argv, &out, &err, error))
        return NULL;
    ok = listen_to(&child, out, err, error);
    if (!ok)
        kill(child.pid, SIGKILL);
    close(out);
    close(err);
    while (waitpid(child.pid, &status, 0) < 0 && errno == EINTR)
        continue;
    return ok && judge(&child, status, error) ? g_strdup(output->str) : NULL;
}

/* ---- its commands ----------------------------------------------------------------------- */

#define SECRET "secret,id=key,format=base64,file=/dev/fd/" G_STRINGIFY(KEY_FD)

gboolean
vimg_qemu_size(VimgCluster *cluster, const char *format, const char *rbd, guint64 *out,
               VimgPluginJob *job, GError **error)
{
    g_autofree char *file = describe_file(cluster, format, rbd);
    const char *const argv[] = {"qemu-img", "info", "--output=json", "--object", SECRET,
                                file,       NULL};
    g_autofree char *answer = run(cluster, argv, 0, job, error);
    g_autoptr(JsonParser) parser = json_parser_new_immutable();
    JsonNode *root = NULL;

    if (!answer)
        return FALSE;
    if (json_parser_load_from_data(parser, answer, -1, NULL))
        root = json_parser_get_root(parser);
    *out = root && JSON_NODE_HOLDS_OBJECT(root)
               ? vimg_answer_number(json_node_get_object(root), "virtual-size")
               : 0;
    return (*out > 0 && *out <= G_MAXINT64) ||
           throw_error(error, VIMG_ERROR_DAMAGED, _("qemu-img cannot tell the size of the image"));
}

gboolean
vimg_qemu_convert(VimgCluster *cluster, const char *format, const char *rbd, const char *to,
                  guint64 size, VimgPluginJob *job, GError **error)
{
    g_autofree char *file = describe_file(cluster, format, rbd);
    g_autofree char *target = describe_target(cluster, to);
    const char *const argv[] = {
        "qemu-img", "convert", "-p",       "-n",   "--target-is-zero",    "-W", "-m",   "16",
        "-S",       "64k",     "--object", SECRET, "--target-image-opts", file, target, NULL};
    g_autofree char *said = run(cluster, argv, size, job, error);

    return said != NULL;
}
