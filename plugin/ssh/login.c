/*
 * login.c: being let in by an SSH server
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "login.h"
#include "ssh-private.h"

#define KEY_FILE_MAX 65536
#define METHODS_MAX 64
#define METHODS_SHOWN 100 /* bytes */

/* Bytes that are wiped when they are freed. */
typedef struct {
    gsize size;
    char *text; /* with a NUL behind it */
} Secret;

static void
secret_clear(Secret *secret)
{
    if (secret->text)
        explicit_bzero(secret->text, secret->size);
    g_free(secret->text);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Secret, secret_clear)

static void
secret_init(Secret *secret, gsize size)
{
    secret->size = size;
    secret->text = g_malloc0(size + 1);
}

static gboolean
refuse(GError **error, VimgSsh *ssh, const char *why)
{
    return vimg_ssh_throw(error, VIMG_ERROR_AUTH, VIMG_SSH_LOGIN, ssh->what, "%s", why);
}

/* Whether @rc of libssh2 is the server's no. */
static gboolean
is_refusal(int rc)
{
    return rc == LIBSSH2_ERROR_AUTHENTICATION_FAILED || rc == LIBSSH2_ERROR_PUBLICKEY_UNVERIFIED;
}

/* Whether @rc says nothing of the key or the password. */
static gboolean
is_lost(VimgSsh *ssh, int rc)
{
    static const int lost[] = {
        LIBSSH2_ERROR_SOCKET_SEND,       LIBSSH2_ERROR_SOCKET_RECV, LIBSSH2_ERROR_SOCKET_TIMEOUT,
        LIBSSH2_ERROR_SOCKET_DISCONNECT, LIBSSH2_ERROR_TIMEOUT,     LIBSSH2_ERROR_DECRYPT,
        LIBSSH2_ERROR_INVALID_MAC,       LIBSSH2_ERROR_EAGAIN,
    };
    gsize i;

    for (i = 0; i < G_N_ELEMENTS(lost); i++)
        if (rc == lost[i])
            return TRUE;
    return ssh->memory_out || g_get_monotonic_time() >= ssh->deadline;
}

/* Whether @methods, which may be NULL, have @name. */
static gboolean
has_method(const char *methods, const char *name)
{
    g_auto(GStrv) names = g_strsplit(methods ? methods : "", ",", METHODS_MAX);

    return g_strv_contains((const char *const *)names, name);
}

/* What @user may log in with; NULL: nothing, or who comes so is let in, or it is lost. */
static const char *
list_methods(VimgSsh *ssh, const char *user)
{
    const char *methods;

    VIMG_SSH_CALL_FOR(ssh, methods, libssh2_userauth_list(ssh->session, user, (guint)strlen(user)));
    return methods;
}

/*
 * libssh2 does not tell a server's "yes, and what else?" from its no; but after the former the
 * server asks no more for what it was given.  Returns: (transfer full) what it asks for, in
 * characters that can be shown, or NULL if it was a no.
 */
static char *
what_else(VimgSsh *ssh, const char *user, const char *given)
{
    const char *methods = list_methods(ssh, user);
    char *shown;
    char *at;

    if (!methods || !*methods || has_method(methods, given))
        return NULL;
    shown = g_strndup(methods, METHODS_SHOWN);
    for (at = shown; *at; at++)
        if (!g_ascii_isgraph(*at))
            *at = '?';
    return shown;
}

/* The server's no to @given, or a yes that is not enough.  FALSE: it was a no, and nothing is set.
 */
static gboolean
wants_more(VimgSsh *ssh, const char *user, const char *given, GError **error)
{
    g_autofree char *more = what_else(ssh, user, given);

    if (!more)
        return FALSE;
    vimg_ssh_throw(
        error, VIMG_ERROR_AUTH, VIMG_SSH_LOGIN, ssh->what,
        _("the server accepts what user '%1$s' shows, but wants more (%2$s): a login of several steps is not supported"),
        user, more);
    return TRUE;
}

/* ---- with a password */

/* What the server asks for without showing it is the password; it is said once. */
static void
answer(const char *name, int name_length, const char *instruction, int instruction_length, int n,
       const LIBSSH2_USERAUTH_KBDINT_PROMPT *prompts, LIBSSH2_USERAUTH_KBDINT_RESPONSE *responses,
       void **abstract)
{
    VimgSsh *ssh = *abstract;
    int i;

    for (i = 0; i < n; i++) {
        const VimgBuffer *password = prompts[i].echo ? NULL : ssh->password;
        gsize size = password ? password->size : 0;

        responses[i].text = vimg_ssh_alloc(ssh, size + 1);
        responses[i].length = 0;
        if (!responses[i].text || !password)
            continue;
        memcpy(responses[i].text, password->data, size);
        responses[i].length = (guint)size;
        ssh->password = NULL;
    }
}

static gboolean
login_password(VimgSsh *ssh, const char *user, const char *methods, const VimgBuffer *password,
               GError **error)
{
    const char *given = has_method(methods, "password") ? "password" : "keyboard-interactive";
    int rc;

    if (!has_method(methods, given))
        return refuse(error, ssh, _("the server takes no passwords; it wants a private key"));
    if (strcmp(given, "password") == 0) {
        VIMG_SSH_CALL(ssh, rc,
                      libssh2_userauth_password_ex(ssh->session, user, (guint)strlen(user),
                                                   (const char *)password->data,
                                                   (guint)password->size, NULL));
    } else {
        ssh->password = password;
        VIMG_SSH_CALL(ssh, rc,
                      libssh2_userauth_keyboard_interactive_ex(ssh->session, user,
                                                               (guint)strlen(user), answer));
        ssh->password = NULL;
    }
    if (rc == 0)
        return TRUE;
    if (rc == LIBSSH2_ERROR_PASSWORD_EXPIRED)
        return refuse(error, ssh, _("the password has expired"));
    if (!is_refusal(rc))
        return vimg_ssh_throw_lost(error, VIMG_SSH_LOGIN, ssh);
    if (wants_more(ssh, user, given, error))
        return FALSE;
    return vimg_ssh_throw(error, VIMG_ERROR_AUTH, VIMG_SSH_LOGIN, ssh->what,
                          _("the server refuses the password of user '%s'"), user);
}

/* ---- with a private key */

static gboolean
read_all(int fd, Secret *out)
{
    gsize done = 0;

    while (done < out->size) {
        gssize got = read(fd, out->text + done, out->size - done);

        if (got <= 0)
            return FALSE;
        done += (gsize)got;
    }
    return TRUE;
}

/* A file that others can read or change is no secret. */
static const char *
read_key(int fd, Secret *out)
{
    struct stat st;

    if (fstat(fd, &st) < 0)
        return g_strerror(errno);
    if (!S_ISREG(st.st_mode) || st.st_size > KEY_FILE_MAX)
        return _("it is no file with a key");
    if (st.st_uid != geteuid() && st.st_uid != 0)
        return _("it belongs to another user");
    if (st.st_mode & 077)
        return _("others may read or change it; its mode must be 0600");
    secret_init(out, (gsize)st.st_size);
    return read_all(fd, out) ? NULL : _("it cannot be read");
}

static gboolean
load_key(VimgSsh *ssh, const char *path, Secret *out, GError **error)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    const char *why = fd < 0 ? g_strerror(errno) : read_key(fd, out);

    if (fd >= 0)
        close(fd);
    if (!why)
        return TRUE;
    return vimg_ssh_throw(error, VIMG_ERROR_AUTH, VIMG_SSH_LOGIN, ssh->what,
                          _("private key '%1$s': %2$s"), path, why);
}

/* As far as it shows without the passphrase. */
static gboolean
is_rsa(const Secret *key)
{
    static const guint8 oid[] = {0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01};
    const char *body = strchr(key->text, '\n');
    g_auto(Secret) plain = {0};
    gint state = 0;
    guint save = 0;
    gsize size;

    if (strstr(key->text, "BEGIN RSA PRIVATE KEY"))
        return TRUE;
    if (!body)
        return FALSE;
    secret_init(&plain, key->size);
    size = g_base64_decode_step(body, strcspn(body, "-"), (guint8 *)plain.text, &state, &save);
    return memmem(plain.text, size, "ssh-rsa", 7) || memmem(plain.text, size, oid, sizeof(oid));
}

static gboolean
login_key(VimgSsh *ssh, const char *user, const VimgSshTarget *target, GError **error)
{
    g_auto(Secret) key = {0};
    g_auto(Secret) passphrase = {0};
    int rc;

    if (!load_key(ssh, target->identity, &key, error))
        return FALSE;
    /* without one it is "": for NULL the key's reader would ask the terminal */
    secret_init(&passphrase, target->password ? target->password->size : 0);
    if (target->password)
        memcpy(passphrase.text, target->password->data, passphrase.size);
    VIMG_SSH_CALL(ssh, rc,
                  libssh2_userauth_publickey_frommemory(ssh->session, user, strlen(user), NULL, 0,
                                                        key.text, key.size, passphrase.text));
    if (rc == 0)
        return TRUE;
    if (is_lost(ssh, rc))
        return vimg_ssh_throw_lost(error, VIMG_SSH_LOGIN, ssh);
    if (!is_refusal(rc))
        return vimg_ssh_throw(
            error, VIMG_ERROR_AUTH, VIMG_SSH_LOGIN, ssh->what,
            _("private key '%s' cannot be used: its passphrase is wrong, or its format is not known"),
            target->identity);
    if (wants_more(ssh, user, "publickey", error))
        return FALSE;
    if (is_rsa(&key))
        return vimg_ssh_throw(
            error, VIMG_ERROR_AUTH, VIMG_SSH_LOGIN, ssh->what,
            _("the server refuses private key '%1$s' of user '%2$s'; it is an RSA key, which newer servers take with signatures only that are not to be had here: use an ed25519 or ECDSA key"),
            target->identity, user);
    return vimg_ssh_throw(error, VIMG_ERROR_AUTH, VIMG_SSH_LOGIN, ssh->what,
                          _("the server refuses private key '%1$s' of user '%2$s'"),
                          target->identity, user);
}

gboolean
vimg_ssh_login(VimgSsh *ssh, const VimgSshTarget *target, GError **error)
{
    const char *user = target->user ? target->user : VIMG_SSH_USER;
    g_autofree char *methods = NULL;

    if (!target->identity && !target->password)
        return refuse(error, ssh, _("there is neither a password nor a private key"));
    ssh->secret = TRUE;
    methods = g_strdup(list_methods(ssh, user));
    if (!methods && !libssh2_userauth_authenticated(ssh->session))
        return vimg_ssh_throw_lost(error, VIMG_SSH_LOGIN, ssh);
    if (methods &&
        !(target->identity ? login_key(ssh, user, target, error)
                           : login_password(ssh, user, methods, target->password, error)))
        return FALSE;
    ssh->secret = FALSE;
    return TRUE;
}
