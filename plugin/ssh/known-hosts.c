/*
 * known-hosts.c: files that say which server has which key
 *
 * libssh2 reads a whole file or fails at a line it does not know, so it gets single lines.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "known-hosts.h"
#include "ssh-private.h"

#define SYSTEM_FILE "/etc/ssh/ssh_known_hosts"
#define FILE_MAX (4 * 1024 * 1024)
#define REVOKED "@revoked"

/* RSA comes last: libssh2 1.10 has it with SHA-1 only. */
const VimgKeyType vimg_key_types[VIMG_N_KEY_TYPES] = {
    {"ssh-ed25519", LIBSSH2_HOSTKEY_TYPE_ED25519, LIBSSH2_KNOWNHOST_KEY_ED25519},
    {"ecdsa-sha2-nistp256", LIBSSH2_HOSTKEY_TYPE_ECDSA_256, LIBSSH2_KNOWNHOST_KEY_ECDSA_256},
    {"ecdsa-sha2-nistp384", LIBSSH2_HOSTKEY_TYPE_ECDSA_384, LIBSSH2_KNOWNHOST_KEY_ECDSA_384},
    {"ecdsa-sha2-nistp521", LIBSSH2_HOSTKEY_TYPE_ECDSA_521, LIBSSH2_KNOWNHOST_KEY_ECDSA_521},
    {"ssh-rsa", LIBSSH2_HOSTKEY_TYPE_RSA, LIBSSH2_KNOWNHOST_KEY_SSHRSA},
};
static const VimgKeyType unknown_type = {"?", LIBSSH2_HOSTKEY_TYPE_UNKNOWN,
                                         LIBSSH2_KNOWNHOST_KEY_UNKNOWN};

struct _VimgKnownHosts {
    char *name;  /* as an entry has it: "host" or "[host]:port" */
    char *plain; /* "host", which a key may be known by as well */
    LIBSSH2_KNOWNHOSTS *good;
    LIBSSH2_KNOWNHOSTS *revoked;
};

const VimgKeyType *
vimg_key_type(int number)
{
    gsize i;

    for (i = 0; i < VIMG_N_KEY_TYPES; i++)
        if (vimg_key_types[i].offered == number)
            return &vimg_key_types[i];
    return &unknown_type;
}

static char *
entry_name(const VimgSsh *ssh)
{
    return ssh->port == VIMG_SSH_PORT ? g_strdup(ssh->host)
                                      : g_strdup_printf("[%s]:%u", ssh->host, ssh->port);
}

/* ---- reading */

/* Returns: (transfer full) its lines; none if it cannot be read. */
static GStrv
read_lines(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    g_autofree char *text = NULL;
    gssize length = 0;
    struct stat st;

    if (fd < 0)
        return g_new0(char *, 1);
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size <= FILE_MAX) {
        text = g_malloc0((gsize)st.st_size + 1);
        length = pread(fd, text, (gsize)st.st_size, 0);
    }
    close(fd);
    return length > 0 ? g_strsplit(text, "\n", 0) : g_new0(char *, 1);
}

static void
add_line(LIBSSH2_KNOWNHOSTS *hosts, const char *line)
{
    /* one that libssh2 does not understand names no key that it could check */
    libssh2_knownhost_readline(hosts, line, strlen(line), LIBSSH2_KNOWNHOST_FILE_OPENSSH);
}

static void
add_file(VimgKnownHosts *hosts, const char *path)
{
    g_auto(GStrv) lines = read_lines(path);
    guint i;

    for (i = 0; lines[i]; i++) {
        char *line = g_strstrip(lines[i]);

        if (*line != '@')
            add_line(hosts->good, line);
        else if (g_str_has_prefix(line, REVOKED) && g_ascii_isspace(line[strlen(REVOKED)]))
            add_line(hosts->revoked, g_strchug(line + strlen(REVOKED)));
    }
}

VimgKnownHosts *
vimg_known_hosts_load(VimgSsh *ssh, const VimgSshTarget *target)
{
    VimgKnownHosts *hosts = g_new0(VimgKnownHosts, 1);

    hosts->name = entry_name(ssh);
    hosts->plain = g_strdup(ssh->host);
    hosts->good = libssh2_knownhost_init(ssh->session);
    hosts->revoked = libssh2_knownhost_init(ssh->session);
    if (hosts->good && hosts->revoked) {
        if (target->known_hosts)
            add_file(hosts, target->known_hosts);
        add_file(hosts, SYSTEM_FILE);
    }
    return hosts;
}

void
vimg_known_hosts_free(VimgKnownHosts *hosts)
{
    if (!hosts)
        return;
    if (hosts->good)
        libssh2_knownhost_free(hosts->good);
    if (hosts->revoked)
        libssh2_knownhost_free(hosts->revoked);
    g_free(hosts->name);
    g_free(hosts->plain);
    g_free(hosts);
}

/* ---- looking */

/* Returns: LIBSSH2_KNOWNHOST_CHECK_; @entry: the first that is of this host and type. */
static int
check(LIBSSH2_KNOWNHOSTS *hosts, const char *name, const VimgKeyType *type, const char *base64,
      struct libssh2_knownhost **entry)
{
    *entry = NULL;
    if (!hosts || type == &unknown_type)
        return LIBSSH2_KNOWNHOST_CHECK_NOTFOUND;
    return libssh2_knownhost_check(
        hosts, name, base64, strlen(base64),
        LIBSSH2_KNOWNHOST_TYPE_PLAIN | LIBSSH2_KNOWNHOST_KEYENC_BASE64 | type->known, entry);
}

static gboolean
is_listed(LIBSSH2_KNOWNHOSTS *hosts, const char *name, const VimgKeyType *type, const char *base64)
{
    struct libssh2_knownhost *entry;

    return check(hosts, name, type, base64, &entry) == LIBSSH2_KNOWNHOST_CHECK_MATCH;
}

/* A key that is none: what is found is whatever is known instead. */
static gboolean
find_any(LIBSSH2_KNOWNHOSTS *hosts, const char *name, const VimgKeyType *type, VimgKnownKey *out)
{
    struct libssh2_knownhost *entry;

    if (check(hosts, name, type, "-", &entry) != LIBSSH2_KNOWNHOST_CHECK_MISMATCH || !entry)
        return FALSE;
    *out = (VimgKnownKey){.type = type, .key = entry->key};
    return TRUE;
}

char *
vimg_known_hosts_order(VimgKnownHosts *hosts)
{
    g_autoptr(GString) order = g_string_new(NULL);
    VimgKnownKey known;
    gboolean wanted;
    gsize i;

    for (wanted = TRUE;; wanted = FALSE) {
        for (i = 0; i < VIMG_N_KEY_TYPES; i++)
            if (find_any(hosts->good, hosts->name, &vimg_key_types[i], &known) == wanted)
                g_string_append_printf(order, "%s%s", order->len ? "," : "",
                                       vimg_key_types[i].name);
        if (!wanted)
            return g_string_free(g_steal_pointer(&order), FALSE);
    }
}

VimgKnown
vimg_known_hosts_look(VimgKnownHosts *hosts, const VimgKeyType *type, const char *base64,
                      VimgKnownKey *known)
{
    gsize i;

    if (is_listed(hosts->revoked, hosts->name, type, base64) ||
        is_listed(hosts->revoked, hosts->plain, type, base64))
        return VIMG_KNOWN_REVOKED;
    if (is_listed(hosts->good, hosts->name, type, base64))
        return VIMG_KNOWN_GOOD;
    if (find_any(hosts->good, hosts->name, type, known))
        return VIMG_KNOWN_OTHER;
    /* one of another type: who stands in between would show just what is not known */
    for (i = 0; i < VIMG_N_KEY_TYPES; i++)
        if (find_any(hosts->good, hosts->name, &vimg_key_types[i], known))
            return VIMG_KNOWN_OTHER;
    /* as OpenSSH: without its port too, where that can only help */
    return is_listed(hosts->good, hosts->plain, type, base64) ? VIMG_KNOWN_GOOD
                                                              : VIMG_KNOWN_NOTHING;
}

/* ---- writing */

/* Whether @line names a key of host @name. */
static gboolean
line_is_of(VimgSsh *ssh, const char *line, const char *name)
{
    LIBSSH2_KNOWNHOSTS *hosts = *line == '@' ? NULL : libssh2_knownhost_init(ssh->session);
    VimgKnownKey known;
    gboolean found = FALSE;
    gsize i;

    if (!hosts)
        return FALSE;
    add_line(hosts, line);
    for (i = 0; i < VIMG_N_KEY_TYPES && !found; i++)
        found = find_any(hosts, name, &vimg_key_types[i], &known);
    libssh2_knownhost_free(hosts);
    return found;
}

/* All lines but those of this host, and the new one. */
static gboolean
rewrite(VimgSsh *ssh, const char *path, const VimgKeyType *type, const char *base64, GError **error)
{
    g_autofree char *name = entry_name(ssh);
    g_auto(GStrv) lines = read_lines(path);
    g_autoptr(GString) text = g_string_new(NULL);
    g_autoptr(GError) local = NULL;
    guint i;

    for (i = 0; lines[i]; i++)
        if (*lines[i] && !line_is_of(ssh, lines[i], name))
            g_string_append_printf(text, "%s\n", lines[i]);
    g_string_append_printf(text, "%s %s %s\n", name, type->name, base64);
    if (g_file_set_contents_full(path, text->str, (gssize)text->len,
                                 G_FILE_SET_CONTENTS_CONSISTENT | G_FILE_SET_CONTENTS_DURABLE, 0600,
                                 &local))
        return TRUE;
    return vimg_ssh_throw(error, VIMG_ERROR_SYSTEM, VIMG_SSH_HOST_KEY, ssh->what,
                          _("it cannot be written down: %s"), local->message);
}

gboolean
vimg_known_hosts_replace(VimgSsh *ssh, const VimgSshTarget *target, const VimgKeyType *type,
                         const char *base64, GError **error)
{
    g_autofree char *dir = NULL;
    g_autofree char *lock = NULL;
    gboolean done;
    int fd;

    /* such a name has no entry of its own, or more than one */
    if (!target->known_hosts || type == &unknown_type || strpbrk(ssh->host, " \t\r\n,*?!|#@[]"))
        return vimg_ssh_throw(error, VIMG_ERROR_CONFIG_UNSUPPORTED, VIMG_SSH_HOST_KEY, ssh->what,
                              "%s", _("there is no place to write it down"));
    dir = g_path_get_dirname(target->known_hosts);
    lock = g_strconcat(target->known_hosts, ".lock", NULL);
    g_mkdir_with_parents(dir, 0700);
    fd = open(lock, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0 || flock(fd, LOCK_EX) < 0) {
        int result = errno;

        if (fd >= 0)
            close(fd);
        return vimg_ssh_throw(error, VIMG_ERROR_SYSTEM, VIMG_SSH_HOST_KEY, ssh->what,
                              _("it cannot be written down: %s"), g_strerror(result));
    }
    done = rewrite(ssh, target->known_hosts, type, base64, error);
    close(fd);
    return done;
}
