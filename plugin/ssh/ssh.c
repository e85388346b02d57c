/*
 * ssh.c: a connection to an SSH server, as far as a channel
 *
 * libssh2 never blocks: until the channel is there, it is waited for here, with one deadline for
 * all calls and where it receives too: a server that always sends a little would get round the
 * first.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ssh-private.h"

#define SUBSYSTEM_SECONDS 8
#define ASK_EVERY (G_USEC_PER_SEC / 2)
#define WINDOW_SIZE (8 * 1024 * 1024) /* bytes that may be under way to us */

/* What a step is called when it fails: with whom, and why. */
static const char *const failures[] = {
    [VIMG_SSH_RESOLVE] = N_("cannot resolve '%1$s': %2$s"),
    [VIMG_SSH_CONNECT] = N_("cannot connect to %1$s: %2$s"),
    [VIMG_SSH_KEY_EXCHANGE] = N_("key exchange with %1$s failed: %2$s"),
    [VIMG_SSH_HOST_KEY] = N_("host key of %1$s refused: %2$s"),
    [VIMG_SSH_LOGIN] = N_("login at %1$s failed: %2$s"),
    [VIMG_SSH_SUBSYSTEM] = N_("subsystem at %1$s failed: %2$s"),
};
G_STATIC_ASSERT(G_N_ELEMENTS(failures) == VIMG_SSH_N_STEPS);

/* The fastest first, of those that libssh2 1.10 has and that are still good. */
static const struct {
    int method;
    const char *names;
} preferences[] = {
    {LIBSSH2_METHOD_KEX,
     "curve25519-sha256,curve25519-sha256@libssh.org,ecdh-sha2-nistp256,ecdh-sha2-nistp384,"
     "ecdh-sha2-nistp521,diffie-hellman-group-exchange-sha256,diffie-hellman-group16-sha512,"
     "diffie-hellman-group14-sha256,diffie-hellman-group14-sha1"},
    {LIBSSH2_METHOD_CRYPT_CS, "aes128-ctr,aes192-ctr,aes256-ctr"},
    {LIBSSH2_METHOD_CRYPT_SC, "aes128-ctr,aes192-ctr,aes256-ctr"},
    {LIBSSH2_METHOD_MAC_CS, "hmac-sha2-256,hmac-sha2-512,hmac-sha1"},
    {LIBSSH2_METHOD_MAC_SC, "hmac-sha2-256,hmac-sha2-512,hmac-sha1"},
};

/* ---- errors */

gboolean
vimg_ssh_throw(GError **error, VimgErrorCode code, VimgSshStep step, const char *what,
               const char *format, ...)
{
    g_autofree char *why = NULL;
    g_autofree char *text = NULL;
    va_list args;

    va_start(args, format);
    why = g_strdup_vprintf(format, args);
    va_end(args);
    text = g_strdup_printf(_(failures[step]), what, why);
    g_set_error_literal(error, VIMG_ERROR, (gint)code, text);
    return FALSE;
}

static const char *
why_lost(VimgSsh *ssh)
{
    char *text = NULL;
    int rc = libssh2_session_last_error(ssh->session, &text, NULL, 0);

    if (ssh->aborted)
        return _("cancelled by a client");
    if (ssh->memory_out)
        return _("the server sends more than it may");
    if (rc == LIBSSH2_ERROR_TIMEOUT || rc == LIBSSH2_ERROR_SOCKET_TIMEOUT ||
        (ssh->deadline != 0 && g_get_monotonic_time() >= ssh->deadline))
        return _("no answer in time");
    if (rc == LIBSSH2_ERROR_BANNER_RECV)
        return _("the server does not speak SSH");
    if (rc == LIBSSH2_ERROR_KEX_FAILURE)
        return _(
            "there is no algorithm that both sides know; the server needs an ed25519 or ECDSA host key and a cipher such as aes128-ctr");
    if (ssh->closed || rc == LIBSSH2_ERROR_SOCKET_DISCONNECT || rc == LIBSSH2_ERROR_SOCKET_SEND ||
        rc == LIBSSH2_ERROR_SOCKET_RECV || rc == LIBSSH2_ERROR_SOCKET_NONE)
        return _("the server closed the connection");
    return text && *text ? text : _("the server speaks nonsense");
}

gboolean
vimg_ssh_throw_lost(GError **error, VimgSshStep step, VimgSsh *ssh)
{
    return vimg_ssh_throw(error, ssh->aborted ? VIMG_ERROR_ABORTED : VIMG_ERROR_DISCONNECTED, step,
                          ssh->what, "%s", why_lost(ssh));
}

gboolean
vimg_ssh_throw_waited(GError **error, VimgSshStep step, const char *what, int result)
{
    if (result == ECANCELED)
        return vimg_ssh_throw(error, VIMG_ERROR_ABORTED, step, what, "%s",
                              _("cancelled by a client"));
    return vimg_ssh_throw(error, VIMG_ERROR_DISCONNECTED, step, what, "%s",
                          result == ETIMEDOUT ? _("no answer in time") : g_strerror(result));
}

/* ---- what libssh2 works with */

gpointer
vimg_ssh_alloc(VimgSsh *ssh, gsize size)
{
    VimgSshBlock *block;

    if (size > VIMG_SSH_MEMORY_MAX || sizeof(*block) + size > VIMG_SSH_MEMORY_MAX - ssh->memory) {
        ssh->memory_out = TRUE;
        return NULL;
    }
    block = malloc(sizeof(*block) + size);
    if (!block)
        return NULL;
    block->size = size;
    block->link = (GList){.data = block};
    g_queue_push_head_link(&ssh->blocks, &block->link);
    ssh->memory += sizeof(*block) + size;
    return block + 1;
}

static void
free_block(VimgSsh *ssh, VimgSshBlock *block)
{
    g_queue_unlink(&ssh->blocks, &block->link);
    ssh->memory -= sizeof(*block) + block->size;
    if (ssh->secret)
        explicit_bzero(block + 1, block->size);
    free(block);
}

static void *
ssh_alloc(size_t size, void **abstract)
{
    return vimg_ssh_alloc(*abstract, size);
}

static void
ssh_free(void *data, void **abstract)
{
    if (data)
        free_block(*abstract, (VimgSshBlock *)data - 1);
}

static void *
ssh_realloc(void *data, size_t size, void **abstract)
{
    void *larger = vimg_ssh_alloc(*abstract, size);

    if (!larger || !data)
        return larger;
    memcpy(larger, data, MIN(size, ((VimgSshBlock *)data - 1)->size));
    ssh_free(data, abstract);
    return larger;
}

static ssize_t
ssh_receive(libssh2_socket_t fd, void *data, size_t size, int flags, void **abstract)
{
    VimgSsh *ssh = *abstract;
    gssize got;

    if (ssh->deadline != 0 && g_get_monotonic_time() >= ssh->deadline)
        return -ETIMEDOUT;
    got = recv(fd, data, size, flags);
    if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR))
        ssh->closed = TRUE;
    ssh->received += got > 0 ? (guint64)got : 0;
    return got < 0 ? -errno : got;
}

int
vimg_ssh_poll(int fd, short events, gint64 deadline, const VimgSshGivenUp *given_up)
{
    struct pollfd poll_fd = {.fd = fd, .events = events};

    for (;;) {
        gint64 left = deadline - g_get_monotonic_time();

        if (given_up && given_up->ask && given_up->ask(given_up->data))
            return ECANCELED;
        if (left <= 0)
            return ETIMEDOUT;
        if (poll(&poll_fd, 1, (int)((MIN(left, ASK_EVERY) + 999) / 1000)) > 0)
            return 0;
    }
}

gboolean
vimg_ssh_wait(VimgSsh *ssh)
{
    int directions = libssh2_session_block_directions(ssh->session);
    short events = directions & LIBSSH2_SESSION_BLOCK_OUTBOUND ? POLLIN | POLLOUT : POLLIN;
    int result = vimg_ssh_poll(ssh->fd, events, ssh->deadline, &ssh->given_up);

    ssh->aborted = result == ECANCELED;
    return result == 0;
}

static void
init_library(void)
{
    libssh2_init(0);
}

gboolean
vimg_ssh_session_open(VimgSsh *ssh)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    gsize i;

    pthread_once(&once, init_library);
    ssh->session = libssh2_session_init_ex(ssh_alloc, ssh_free, ssh_realloc, ssh);
    if (!ssh->session)
        return FALSE;
    libssh2_session_set_blocking(ssh->session, 0);
    libssh2_session_callback_set(ssh->session, LIBSSH2_CALLBACK_RECV, (void *)ssh_receive);
    for (i = 0; i < G_N_ELEMENTS(preferences); i++)
        libssh2_session_method_pref(ssh->session, preferences[i].method, preferences[i].names);
    return TRUE;
}

void
vimg_ssh_free(VimgSsh *ssh)
{
    if (!ssh)
        return;
    if (ssh->session)
        libssh2_session_disconnect(ssh->session, "");
    /* from here on nothing of libssh2 waits for the server */
    if (ssh->fd >= 0)
        shutdown(ssh->fd, SHUT_RDWR);
    if (ssh->session)
        libssh2_session_free(ssh->session);
    /* what it forgot, as 1.10 does with each new key of the host */
    while (ssh->blocks.head)
        free_block(ssh, ssh->blocks.head->data);
    if (ssh->fd >= 0)
        close(ssh->fd);
    g_free(ssh->host);
    g_free(ssh->what);
    g_free(ssh);
}

int
vimg_ssh_fd(const VimgSsh *ssh)
{
    return ssh->fd;
}

LIBSSH2_SESSION *
vimg_ssh_session(const VimgSsh *ssh)
{
    return ssh->session;
}

guint64
vimg_ssh_received(const VimgSsh *ssh)
{
    return ssh->received;
}

LIBSSH2_CHANNEL *
vimg_ssh_subsystem(VimgSsh *ssh, const char *name, GError **error)
{
    int rc;

    ssh->deadline = g_get_monotonic_time() + SUBSYSTEM_SECONDS * G_USEC_PER_SEC;
    VIMG_SSH_CALL_FOR(ssh, ssh->channel,
                      libssh2_channel_open_ex(ssh->session, "session", strlen("session"),
                                              WINDOW_SIZE, LIBSSH2_CHANNEL_PACKET_DEFAULT, NULL,
                                              0));
    if (!ssh->channel) {
        vimg_ssh_throw_lost(error, VIMG_SSH_SUBSYSTEM, ssh);
        return NULL;
    }
    VIMG_SSH_CALL(ssh, rc, libssh2_channel_subsystem(ssh->channel, name));
    if (rc != 0) {
        vimg_ssh_throw(error, ssh->aborted ? VIMG_ERROR_ABORTED : VIMG_ERROR_DISCONNECTED,
                       VIMG_SSH_SUBSYSTEM, ssh->what, _("'%1$s': %2$s"), name, why_lost(ssh));
        return NULL;
    }
    /* what the other end complains of would fill the window and end the transfer */
    libssh2_channel_handle_extended_data2(ssh->channel, LIBSSH2_CHANNEL_EXTENDED_DATA_IGNORE);
    ssh->deadline = 0;
    return ssh->channel;
}
