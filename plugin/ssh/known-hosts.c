/*
 * known-hosts.c: files that say which server has which key
 *
 * libssh2 reads a whole file or fails at a line it does not know, so it gets single lines.  It
 * knows no patterns and no revoked keys: those are kept here.  What is known has memory of its own:
 * from that of the connection the server could take it away.
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
    char *name;               /* as an entry has it: "host" or "[host]:port" */
    char *plain;              /* "host", which a key may be known by as well */
    LIBSSH2_SESSION *session; /* without a connection */
    LIBSSH2_KNOWNHOSTS *good;
    GPtrArray *patterns; /* of Pattern: those that @name matches */
    GHashTable *revoked; /* of char: keys in base64, of whatever host */
    gboolean incomplete; /* memory ran out */
};

typedef struct {
    const VimgKeyType *type;
    char *key; /* base64 */
} Pattern;

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

/* Returns: (transfer full) its text; NULL: @result is a value of errno. */
static char *
read_text(int fd, int *result)
{
    g_autofree char *text = NULL;
    struct stat st;
    gssize length;

    *result = 0;
    if (fstat(fd, &st) < 0)
        *result = errno;
    else if (!S_ISREG(st.st_mode))
        *result = EINVAL;
    else if (st.st_size > FILE_MAX)
        *result = EFBIG;
    if (*result != 0)
        return NULL;
    text = g_malloc0((gsize)st.st_size + 1);
    length = pread(fd, text, (gsize)st.st_size, 0);
    if (length == st.st_size)
        return g_steal_pointer(&text);
    *result = length < 0 ? errno : EIO;
    return NULL;
}

/*
 * Returns: (transfer full) its lines; none if there is no such file.  One that is there and cannot
 * be read may know what must not be forgotten: NULL, @result is a value of errno.
 */
static GStrv
read_lines(const char *path, int *result)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    g_autofree char *text = NULL;

    if (fd < 0) {
        *result = errno;
        return *result == ENOENT || *result == ENOTDIR ? g_new0(char *, 1) : NULL;
    }
    text = read_text(fd, result);
    close(fd);
    return text ? g_strsplit(text, "\n", 0) : NULL;
}

static gboolean
throw_unread(GError **error, const VimgSsh *ssh, const char *path, int result)
{
    return vimg_ssh_throw(error, VIMG_ERROR_SYSTEM, VIMG_SSH_HOST_KEY, ssh->what,
                          _("the known keys cannot be read: '%1$s': %2$s"), path,
                          g_strerror(result));
}

/* Returns: FALSE if memory ran out. */
static gboolean
add_line(LIBSSH2_KNOWNHOSTS *hosts, const char *line)
{
    /* one that libssh2 does not understand names no key that it could check */
    return libssh2_knownhost_readline(hosts, line, strlen(line), LIBSSH2_KNOWNHOST_FILE_OPENSSH) !=
           LIBSSH2_ERROR_ALLOC;
}

/* As OpenSSH: one name that is excluded excludes the line. */
static gboolean
matches(const char *list, const char *name)
{
    g_autofree char *lower = g_ascii_strdown(list, -1);
    g_auto(GStrv) names = g_strsplit(lower, ",", 0);
    gboolean found = FALSE;
    guint i;

    for (i = 0; names[i]; i++) {
        gboolean excludes = *names[i] == '!';

        if (!g_pattern_match_simple(names[i] + excludes, name))
            continue;
        if (excludes)
            return FALSE;
        found = TRUE;
    }
    return found;
}

static void
pattern_free(gpointer data)
{
    Pattern *pattern = data;

    g_free(pattern->key);
    g_free(pattern);
}

/* Returns: (transfer full) the hosts, the type and the key of @line; NULL: it has none. */
static GStrv
split_line(const char *line)
{
    g_auto(GStrv) words = g_strsplit_set(line, " \t", 0);
    GStrv out = g_new0(char *, 4);
    guint n = 0;
    guint i;

    for (i = 0; words[i] && n < 3; i++) {
        if (*words[i])
            out[n++] = g_strdup(words[i]);
    }
    if (n < 3)
        g_clear_pointer(&out, g_strfreev);
    return out;
}

/* Two texts may be the same key.  Returns: (transfer full) the one that we have of it. */
static char *
same_base64(const char *base64)
{
    gsize size;
    g_autofree guint8 *key = g_base64_decode(base64, &size);

    return g_base64_encode(key, size);
}

static void
add_revoked(VimgKnownHosts *hosts, const char *line)
{
    g_auto(GStrv) words = split_line(line);

    if (words)
        g_hash_table_add(hosts->revoked, same_base64(words[2]));
}

static void
add_pattern(VimgKnownHosts *hosts, const char *line)
{
    gsize length = strcspn(line, " \t");
    g_auto(GStrv) words = NULL;
    gsize i;

    if (*line == '#' || *line == '|' || strcspn(line, "*?!") >= length ||
        !g_utf8_validate(line, (gssize)length, NULL))
        return;
    words = split_line(line);
    if (!words || !matches(words[0], hosts->name))
        return;
    for (i = 0; i < VIMG_N_KEY_TYPES; i++) {
        if (strcmp(vimg_key_types[i].name, words[1]) == 0) {
            Pattern *pattern = g_new0(Pattern, 1);

            *pattern = (Pattern){&vimg_key_types[i], same_base64(words[2])};
            g_ptr_array_add(hosts->patterns, pattern);
        }
    }
}

static gboolean
add_file(VimgKnownHosts *hosts, const VimgSsh *ssh, const char *path, GError **error)
{
    int result = 0;
    g_auto(GStrv) lines = read_lines(path, &result);
    guint i;

    if (!lines)
        return throw_unread(error, ssh, path, result);
    for (i = 0; lines[i]; i++) {
        char *line = g_strstrip(lines[i]);

        if (*line != '@') {
            hosts->incomplete |= !add_line(hosts->good, line);
            add_pattern(hosts, line);
        } else if (g_str_has_prefix(line, REVOKED) && g_ascii_isspace(line[strlen(REVOKED)])) {
            add_revoked(hosts, line + strlen(REVOKED));
        }
    }
    return TRUE;
}

VimgKnownHosts *
vimg_known_hosts_load(VimgSsh *ssh, const VimgSshTarget *target, GError **error)
{
    g_autoptr(VimgKnownHosts) hosts = g_new0(VimgKnownHosts, 1);

    hosts->name = entry_name(ssh);
    hosts->plain = g_strdup(ssh->host);
    hosts->patterns = g_ptr_array_new_with_free_func(pattern_free);
    hosts->revoked = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    hosts->session = libssh2_session_init();
    hosts->good = hosts->session ? libssh2_knownhost_init(hosts->session) : NULL;
    if (!hosts->good) {
        throw_unread(error, ssh, SYSTEM_FILE, ENOMEM);
        return NULL;
    }
    if (target->known_hosts && !add_file(hosts, ssh, target->known_hosts, error))
        return NULL;
    if (!add_file(hosts, ssh, SYSTEM_FILE, error))
        return NULL;
    if (hosts->incomplete) {
        throw_unread(error, ssh, SYSTEM_FILE, ENOMEM);
        return NULL;
    }
    return g_steal_pointer(&hosts);
}

void
vimg_known_hosts_free(VimgKnownHosts *hosts)
{
    if (!hosts)
        return;
    if (hosts->good)
        libssh2_knownhost_free(hosts->good);
    if (hosts->session)
        libssh2_session_free(hosts->session);
    g_ptr_array_unref(hosts->patterns);
    g_hash_table_unref(hosts->revoked);
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
    if (type == &unknown_type)
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

static gboolean
find_pattern(const VimgKnownHosts *hosts, const VimgKeyType *type, VimgKnownKey *out)
{
    guint i;

    for (i = 0; i < hosts->patterns->len; i++) {
        const Pattern *pattern = g_ptr_array_index(hosts->patterns, i);

        if (pattern->type == type) {
            *out = (VimgKnownKey){.type = type, .key = pattern->key};
            return TRUE;
        }
    }
    return FALSE;
}

static gboolean
has_pattern(const VimgKnownHosts *hosts, const VimgKeyType *type, const char *base64)
{
    guint i;

    for (i = 0; i < hosts->patterns->len; i++) {
        const Pattern *pattern = g_ptr_array_index(hosts->patterns, i);

        if (pattern->type == type && strcmp(pattern->key, base64) == 0)
            return TRUE;
    }
    return FALSE;
}

/* One of @type that is known of the host, by its name or by a pattern. */
static gboolean
find_known(const VimgKnownHosts *hosts, const VimgKeyType *type, VimgKnownKey *out)
{
    return find_any(hosts->good, hosts->name, type, out) || find_pattern(hosts, type, out);
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
            if (find_known(hosts, &vimg_key_types[i], &known) == wanted)
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

    if (g_hash_table_contains(hosts->revoked, base64))
        return VIMG_KNOWN_REVOKED;
    if (is_listed(hosts->good, hosts->name, type, base64) || has_pattern(hosts, type, base64))
        return VIMG_KNOWN_GOOD;
    if (find_known(hosts, type, known))
        return VIMG_KNOWN_OTHER;
    /* one of another type: who stands in between would show just what is not known */
    for (i = 0; i < VIMG_N_KEY_TYPES; i++)
        if (find_known(hosts, &vimg_key_types[i], known))
            return VIMG_KNOWN_OTHER;
    /* as OpenSSH: without its port too, where that can only help */
    return is_listed(hosts->good, hosts->plain, type, base64) ? VIMG_KNOWN_GOOD
                                                              : VIMG_KNOWN_NOTHING;
}

/* ---- writing */

/* Whether @line names a key of host @name. */
static gboolean
line_is_of(LIBSSH2_SESSION *session, const char *line, const char *name)
{
    LIBSSH2_KNOWNHOSTS *hosts = *line == '@' ? NULL : libssh2_knownhost_init(session);
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

/* @line without @name; nothing if it names no other. */
static void
add_others(GString *text, const char *line, const char *name)
{
    const char *start = line + strspn(line, " \t");
    gsize length = strcspn(start, " \t");
    g_autofree char *list = g_strndup(start, length);
    g_auto(GStrv) names = g_strsplit(list, ",", 0);
    g_autoptr(GString) others = g_string_new(NULL);
    guint i;

    if (*list == '|')
        return;
    for (i = 0; names[i]; i++) {
        if (strcmp(names[i], name) != 0)
            g_string_append_printf(others, "%s%s", others->len ? "," : "", names[i]);
    }
    if (others->len)
        g_string_append_printf(text, "%s%s\n", others->str, start + length);
}

/* All lines but those of this host, and the new one. */
static gboolean
rewrite(VimgSsh *ssh, const char *path, const VimgKeyType *type, const char *base64, GError **error)
{
    g_autofree char *name = entry_name(ssh);
    int result = 0;
    g_auto(GStrv) lines = read_lines(path, &result);
    g_autoptr(GString) text = g_string_new(NULL);
    g_autoptr(GError) local = NULL;
    LIBSSH2_SESSION *session;
    guint i;

    if (!lines)
        return throw_unread(error, ssh, path, result);
    session = libssh2_session_init();
    if (!session)
        return vimg_ssh_throw(error, VIMG_ERROR_NO_MEMORY, VIMG_SSH_HOST_KEY, ssh->what,
                              _("it cannot be written down: %s"), g_strerror(ENOMEM));
    for (i = 0; lines[i]; i++) {
        if (line_is_of(session, lines[i], name))
            add_others(text, lines[i], name);
        else if (*lines[i])
            g_string_append_printf(text, "%s\n", lines[i]);
    }
    libssh2_session_free(session);
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
