/*
 * sshd-helper.c: servers on 127.0.0.1 for tests of SSH: a private OpenSSH one, and whatever else
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sshd-helper.h"

#define SSHD "/usr/sbin/sshd"

struct _Listener {
    int fd;
    guint16 port;
    pthread_t thread;
    GPtrArray *servers; /* of pthread_t *; the listening thread's until it ended */
    void (*serve)(int fd, gpointer data);
    gpointer data;
};

typedef struct {
    pthread_t thread;
    Listener *listener;
    int fd;
} Server;

static void *
server_main(void *data)
{
    Server *server = data;

    server->listener->serve(server->fd, server->listener->data);
    return NULL;
}

static void *
listener_main(void *data)
{
    Listener *listener = data;
    int fd;

    while ((fd = accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
        Server *server = g_new0(Server, 1);

        server->listener = listener;
        server->fd = fd;
        g_ptr_array_add(listener->servers, server);
        g_assert_cmpint(pthread_create(&server->thread, NULL, server_main, server), ==, 0);
    }
    return NULL;
}

Listener *
listener_new(void (*serve)(int fd, gpointer data), gpointer data)
{
    Listener *listener = g_new0(Listener, 1);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof(address);

    listener->serve = serve;
    listener->data = data;
    listener->servers = g_ptr_array_new_with_free_func(g_free);
    listener->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    g_assert_cmpint(bind(listener->fd, (struct sockaddr *)&address, length), ==, 0);
    g_assert_cmpint(listen(listener->fd, 64), ==, 0);
    g_assert_cmpint(getsockname(listener->fd, (struct sockaddr *)&address, &length), ==, 0);
    listener->port = ntohs(address.sin_port);
    g_assert_cmpint(pthread_create(&listener->thread, NULL, listener_main, listener), ==, 0);
    return listener;
}

guint16
listener_port(Listener *listener)
{
    return listener->port;
}

void
listener_free(Listener *listener)
{
    guint i;

    shutdown(listener->fd, SHUT_RDWR);
    pthread_join(listener->thread, NULL);
    for (i = 0; i < listener->servers->len; i++)
        pthread_join(((Server *)listener->servers->pdata[i])->thread, NULL);
    g_ptr_array_unref(listener->servers);
    close(listener->fd);
    g_free(listener);
}

/*
 * libssh2 1.10 forgets objects of libcrypto: at each login with an ECDSA key, and when a server
 * goes in the midst of a key exchange.
 */
const char *__lsan_default_suppressions(void);

const char *
__lsan_default_suppressions(void)
{
    return "leak:libcrypto.so";
}

/* ---- OpenSSH's */

static char *
path_in(Sshd *sshd, const char *name)
{
    return g_build_filename(sshd->dir, name, NULL);
}

static void write_in(Sshd *sshd, const char *name, const char *format, ...) G_GNUC_PRINTF(3, 4);

static void
write_in(Sshd *sshd, const char *name, const char *format, ...)
{
    g_autofree char *path = path_in(sshd, name);
    g_autofree char *text = NULL;
    g_autoptr(GError) error = NULL;
    va_list args;

    va_start(args, format);
    text = g_strdup_vprintf(format, args);
    va_end(args);
    g_file_set_contents_full(path, text, -1, G_FILE_SET_CONTENTS_NONE, 0600, &error);
    g_assert_no_error(error);
}

/* Returns: (transfer full) what it prints. */
static char *
run(const char *const *argv)
{
    g_autoptr(GError) error = NULL;
    char *out = NULL;
    int status;

    g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, &out, NULL, &status,
                 &error);
    g_assert_no_error(error);
    g_assert_true(g_spawn_check_wait_status(status, &error));
    return out;
}

static void
make_key(Sshd *sshd, const char *name, const char *type, const char *passphrase)
{
    g_autofree char *path = path_in(sshd, name);
    g_autofree char *out = NULL;
    const char *argv[] = {"ssh-keygen", "-q", "-C", "",         "-t", type,
                          "-f",         path, "-N", passphrase, NULL};

    g_unlink(path);
    out = run(argv);
}

/* Returns: (transfer full) the path of a library that multiarch may have put aside. */
static char *
library(const char *name)
{
    static const char *const places[] = {"/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu",
                                         "/usr/lib64", "/usr/lib"};
    gsize i;

    for (i = 0; i < G_N_ELEMENTS(places); i++) {
        g_autofree char *path = g_build_filename(places[i], name, NULL);

        if (g_file_test(path, G_FILE_TEST_EXISTS))
            return g_steal_pointer(&path);
    }
    g_error("no %s: install libnss-wrapper and libpam-wrapper", name);
}

static char *
environment(Sshd *sshd, const char *name, const char *file)
{
    return g_strdup_printf("%s=%s/%s", name, sshd->dir, file);
}

static void
remove_dir(const char *path)
{
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    const char *name;

    while (dir && (name = g_dir_read_name(dir))) {
        g_autofree char *file = g_build_filename(path, name, NULL);

        g_unlink(file);
    }
    g_rmdir(path);
}

/* libpam-wrapper copies what it is given to /tmp/pam.X, and an sshd does not end as it expects. */
static void
remove_pam_copy(pid_t pid)
{
    g_autofree char *wanted = g_strdup_printf("%d", (int)pid);
    g_autoptr(GDir) dir = g_dir_open("/tmp", 0, NULL);
    const char *name;

    while ((name = g_dir_read_name(dir))) {
        g_autofree char *path = g_build_filename("/tmp", name, NULL);
        g_autofree char *pid_file = g_build_filename(path, "pid", NULL);
        g_autofree char *found = NULL;

        if (g_str_has_prefix(name, "pam.") && strlen(name) == 5 &&
            g_file_get_contents(pid_file, &found, NULL, NULL) && strcmp(found, wanted) == 0)
            remove_dir(path);
    }
}

void
sshd_serve(int fd, gpointer data)
{
    Sshd *sshd = data;
    g_autofree char *config = path_in(sshd, "sshd_config");
    g_autofree char *log = path_in(sshd, "log");
    g_autofree char *nss = library("libnss_wrapper.so");
    g_autofree char *pam = library("libpam_wrapper.so");
    g_autofree char *preload = g_strconcat("LD_PRELOAD=", nss, sshd->pam ? " " : NULL, pam, NULL);
    g_autofree char *services = environment(sshd, "PAM_WRAPPER_SERVICE_DIR", "");
    g_autofree char *passwd = environment(sshd, "NSS_WRAPPER_PASSWD", "passwd");
    g_autofree char *group = environment(sshd, "NSS_WRAPPER_GROUP", "group");
    g_autofree char *shadow = environment(sshd, "NSS_WRAPPER_SHADOW", "shadow");
    char *argv[] = {(char *)SSHD, (char *)"-i", (char *)"-f", config, (char *)"-E", log, NULL};
    char *env[] = {preload, passwd, group, shadow, (char *)"PAM_WRAPPER=1", services, NULL};
    posix_spawn_file_actions_t actions;
    pid_t pid;
    int result;

    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, fd, 0);
    posix_spawn_file_actions_adddup2(&actions, fd, 1);
    posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
    result = posix_spawn(&pid, SSHD, &actions, NULL, argv, env);
    posix_spawn_file_actions_destroy(&actions);
    close(fd);
    g_assert_cmpint(result, ==, 0);
    while (waitpid(pid, &result, 0) < 0)
        g_assert_cmpint(errno, ==, EINTR);
    if (sshd->pam)
        remove_pam_copy(pid);
}

static void
write_accounts(Sshd *sshd)
{
    const char *argv[] = {"openssl", "passwd", "-6", SSHD_PASSWORD, NULL};
    g_autofree char *crypted = run(argv);
    g_autofree char *matrix = library("pam_wrapper/pam_matrix.so");
    guint uid = geteuid();
    guint gid = getegid();

    g_strstrip(crypted);
    write_in(sshd, "passwd", "%s:x:%u:%u::%s:/bin/sh\nsshd:x:65533:65534::/run/sshd:/bin/false\n",
             sshd->user, uid, gid, sshd->dir);
    write_in(sshd, "group", "%s:x:%u:\nnogroup:x:65534:\n", sshd->user, gid);
    write_in(sshd, "shadow", "%s:%s:19000:0:99999:7:::\n", sshd->user, crypted);
    /* for "UsePAM yes", which asks questions where a password is not just taken */
    write_in(sshd, "passdb", "%s:%s:sshd\n", sshd->user, SSHD_PASSWORD);
    write_in(sshd, "sshd",
             "auth required %1$s passdb=%2$s/passdb\naccount required %1$s passdb=%2$s/passdb\n"
             "session required %1$s passdb=%2$s/passdb\n",
             matrix, sshd->dir);
}

static void
write_config(Sshd *sshd, const char *host_keys, const char *options)
{
    g_auto(GStrv) types = g_strsplit(host_keys, ",", 0);
    g_autoptr(GString) lines = g_string_new(options);
    guint i;

    for (i = 0; types[i]; i++) {
        g_autofree char *name = g_strconcat("host_", types[i], NULL);

        make_key(sshd, name, types[i], "");
        g_string_append_printf(lines, "HostKey %s/%s\n", sshd->dir, name);
    }
    write_in(sshd, "sshd_config",
             "%sUsePAM no\nStrictModes no\nPermitRootLogin yes\nPasswordAuthentication yes\n"
             "AuthorizedKeysFile %s/authorized_keys\nUseDNS no\nPidFile none\nLogLevel VERBOSE\n"
             "%s",
             lines->str, sshd->dir,
             strstr(lines->str, "Subsystem sftp") ? "" : "Subsystem sftp internal-sftp\n");
}

Sshd *
sshd_new(const char *host_keys, const char *options)
{
    Sshd *sshd = g_new0(Sshd, 1);

    if (geteuid() == 0)
        mkdir("/run/sshd", 0755); /* sshd wants it there, and leaves it empty */
    sshd->dir = g_dir_make_tmp("vimg-ssh-XXXXXX", NULL);
    g_assert_nonnull(sshd->dir);
    sshd->user = g_strdup(geteuid() == 0 ? "root" : "tester");
    sshd->known_hosts = path_in(sshd, "known_hosts");
    sshd->password = vimg_buffer_new(strlen(SSHD_PASSWORD));
    memcpy(sshd->password->data, SSHD_PASSWORD, sshd->password->size);
    sshd->pam = options && strstr(options, "UsePAM yes");
    write_in(sshd, "authorized_keys", "%s", "");
    write_config(sshd, host_keys, options ? options : "");
    write_accounts(sshd);
    sshd->listener = listener_new(sshd_serve, sshd);
    sshd->address.name = "localhost";
    sshd->address.port = listener_port(sshd->listener);
    return sshd;
}

void
sshd_free(Sshd *sshd)
{
    listener_free(sshd->listener);
    remove_dir(sshd->dir);
    vimg_buffer_unref(sshd->password);
    g_free(sshd->known_hosts);
    g_free(sshd->user);
    g_free(sshd->dir);
    g_free(sshd);
}

VimgSshTarget
sshd_target(Sshd *sshd)
{
    return (VimgSshTarget){.hosts = &sshd->address,
                           .n_hosts = 1,
                           .user = sshd->user,
                           .password = sshd->password,
                           .policy = VIMG_HOST_KEY_ACCEPT_NEW,
                           .known_hosts = sshd->known_hosts,
                           .accept_line = "virtimagectl host-key accept images"};
}

char *
sshd_fingerprint(Sshd *sshd, const char *type)
{
    g_autofree char *name = g_strconcat("host_", type, ".pub", NULL);
    g_autofree char *path = path_in(sshd, name);
    const char *argv[] = {"ssh-keygen", "-l", "-E", "sha256", "-f", path, NULL};
    g_autofree char *out = run(argv);
    g_auto(GStrv) words = g_strsplit(out, " ", 0);

    g_assert_cmpuint(g_strv_length(words), >=, 2);
    return g_strdup(words[1]);
}

char *
sshd_host_key(Sshd *sshd, const char *type)
{
    g_autofree char *name = g_strconcat("host_", type, ".pub", NULL);
    g_autofree char *path = path_in(sshd, name);
    char *text;

    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    return g_strstrip(text);
}

char *
sshd_user_key(Sshd *sshd, const char *type, const char *passphrase)
{
    g_autofree char *name = g_strconcat("user_", type, NULL);
    g_autofree char *public = g_strconcat(name, ".pub", NULL);
    g_autofree char *path = path_in(sshd, public);
    g_autofree char *text = NULL;

    make_key(sshd, name, type, passphrase);
    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    write_in(sshd, "authorized_keys", "%s", text);
    return path_in(sshd, name);
}

void
sshd_change_keys(Sshd *sshd)
{
    static const char *const types[] = {"ed25519", "ecdsa", "rsa"};
    gsize i;

    for (i = 0; i < G_N_ELEMENTS(types); i++) {
        g_autofree char *name = g_strconcat("host_", types[i], NULL);
        g_autofree char *path = path_in(sshd, name);

        if (g_file_test(path, G_FILE_TEST_EXISTS))
            make_key(sshd, name, types[i], "");
    }
}
