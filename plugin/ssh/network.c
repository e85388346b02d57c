/*
 * network.c: the addresses of a server, those of a given network alone, and a way to one of them
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "../thread.h"
#include "network.h"
#include "ssh-private.h"

#define LOST_SECONDS 30 /* without an acknowledgement of what was sent */

/* Sockets that the kernel gives up by itself when the other side is gone. */
static const struct {
    int level;
    int name;
    int value;
} socket_options[] = {
    {IPPROTO_TCP, TCP_NODELAY, 1},   {SOL_SOCKET, SO_KEEPALIVE, 1},
    {IPPROTO_TCP, TCP_KEEPIDLE, 15}, {IPPROTO_TCP, TCP_KEEPINTVL, 5},
    {IPPROTO_TCP, TCP_KEEPCNT, 3},   {IPPROTO_TCP, TCP_USER_TIMEOUT, LOST_SECONDS * 1000},
};

/* A question to the resolver, which cannot be interrupted: whoever lets go last frees it. */
typedef struct {
    gint refs;
    char *key; /* in the table of those that are under way */
    char *name;
    char *service;
    int done;      /* eventfd */
    gint answered; /* atomic: what follows is there */
    int result;
    struct addrinfo *found;
} Question;

static void
question_unref(Question *question)
{
    if (__atomic_sub_fetch(&question->refs, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    if (question->found)
        freeaddrinfo(question->found);
    if (question->done >= 0)
        close(question->done);
    g_free(question->key);
    g_free(question->name);
    g_free(question->service);
    g_free(question);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Question, question_unref)

static void
endpoint_free(gpointer data)
{
    VimgEndpoint *endpoint = data;

    g_free(endpoint->what);
    g_free(endpoint);
}

/* ---- networks */

/* Returns: the bytes of the address, NULL for one that is no address of IP. */
static const guint8 *
address_bytes(const struct sockaddr *address)
{
    if (address->sa_family == AF_INET)
        return (const guint8 *)&((const struct sockaddr_in *)address)->sin_addr;
    if (address->sa_family == AF_INET6)
        return (const guint8 *)&((const struct sockaddr_in6 *)address)->sin6_addr;
    return NULL;
}

gboolean
vimg_network_parse(const char *cidr, VimgNetwork *out, GError **error)
{
    g_auto(GStrv) parts = g_strsplit(cidr, "/", 2);
    guint64 bits;

    memset(out, 0, sizeof(*out));
    out->text = cidr;
    out->family = strchr(cidr, ':') ? AF_INET6 : AF_INET;
    if (g_strv_length(parts) != 2 || inet_pton(out->family, parts[0], out->bytes) != 1 ||
        !g_ascii_string_to_unsigned(parts[1], 10, 0, out->family == AF_INET ? 32 : 128, &bits,
                                    NULL)) {
        g_set_error(error, VIMG_ERROR, VIMG_ERROR_CONFIG_UNSUPPORTED,
                    _("'%s' is no network in CIDR notation"), cidr);
        return FALSE;
    }
    out->bits = (guint)bits;
    return TRUE;
}

gboolean
vimg_network_contains(const VimgNetwork *network, const struct sockaddr *address)
{
    const guint8 *bytes = address_bytes(address);
    guint whole = network->bits / 8;
    guint rest = network->bits % 8;

    if (!bytes || address->sa_family != network->family ||
        memcmp(bytes, network->bytes, whole) != 0)
        return FALSE;
    return rest == 0 || (bytes[whole] ^ network->bytes[whole]) >> (8 - rest) == 0;
}

gboolean
vimg_network_local(const VimgNetwork *network, VimgEndpoint *out)
{
    struct ifaddrs *all;
    struct ifaddrs *one;
    gboolean found = FALSE;

    if (getifaddrs(&all) < 0)
        return FALSE;
    for (one = all; one && !found; one = one->ifa_next) {
        if (!one->ifa_addr || !(one->ifa_flags & IFF_UP) ||
            !vimg_network_contains(network, one->ifa_addr))
            continue;
        memset(out, 0, sizeof(*out));
        out->length = one->ifa_addr->sa_family == AF_INET ? sizeof(struct sockaddr_in)
                                                          : sizeof(struct sockaddr_in6);
        memcpy(&out->address, one->ifa_addr, out->length);
        found = TRUE;
    }
    freeifaddrs(all);
    return found;
}

/* ---- names */

static void
ask(Question *question)
{
    struct addrinfo hints = {
        .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};

    question->result = getaddrinfo(question->name, question->service, &hints, &question->found);
}

/*
 * Those under way: while a resolver hangs, who asks the same again waits for the same answer, lest
 * each attempt leave one more thread behind.
 */
static pthread_mutex_t questions_lock = PTHREAD_MUTEX_INITIALIZER;
static GHashTable *questions; /* by key; guarded by it */

static void *
ask_thread(void *data)
{
    g_autoptr(Question) question = data;

    ask(question);
    pthread_mutex_lock(&questions_lock);
    g_hash_table_remove(questions, question->key);
    pthread_mutex_unlock(&questions_lock);
    __atomic_store_n(&question->answered, TRUE, __ATOMIC_RELEASE);
    eventfd_write(question->done, 1);
    return NULL;
}

static Question *
question_new(const VimgPluginAddress *host)
{
    guint port = host->port ? host->port : VIMG_SSH_PORT;
    Question *question = g_new0(Question, 1);

    question->refs = 1;
    question->name = g_strdup(host->name);
    question->service = g_strdup_printf("%u", port);
    question->key = g_strdup_printf("%u %s", port, host->name);
    question->done = eventfd(0, EFD_CLOEXEC);
    return question;
}

/* The resolver may take minutes, so it has a thread that is left behind when the time is over. */
static gboolean
ask_aside(Question *question)
{
    pthread_t thread;

    if (question->done < 0)
        return FALSE;
    __atomic_add_fetch(&question->refs, 1, __ATOMIC_RELAXED);
    if (thread_start(&thread, ask_thread, question) != 0) {
        question_unref(question);
        return FALSE;
    }
    pthread_detach(thread);
    return TRUE;
}

/* Returns: (transfer full) a question that was asked, now or before; NULL: it cannot be. */
static Question *
begin_question(const VimgPluginAddress *host)
{
    g_autoptr(Question) mine = question_new(host);
    Question *question;

    pthread_mutex_lock(&questions_lock);
    if (!questions)
        questions = g_hash_table_new(g_str_hash, g_str_equal);
    question = g_hash_table_lookup(questions, mine->key);
    if (!question && ask_aside(mine)) {
        question = mine;
        g_hash_table_insert(questions, question->key, question);
    }
    if (question)
        __atomic_add_fetch(&question->refs, 1, __ATOMIC_RELAXED);
    pthread_mutex_unlock(&questions_lock);
    return question;
}

/* Returns: as vimg_ssh_poll(). */
static int
wait_answered(const Question *question, gint64 deadline, const VimgSshGivenUp *given_up)
{
    int result = vimg_ssh_poll(question->done, POLLIN, deadline, given_up);

    return result != 0 || __atomic_load_n(&question->answered, __ATOMIC_ACQUIRE) ? result
                                                                                 : ETIMEDOUT;
}

static VimgEndpoint *
endpoint_new(const struct addrinfo *info)
{
    VimgEndpoint *endpoint = g_new0(VimgEndpoint, 1);
    char host[NI_MAXHOST] = "?";
    char service[NI_MAXSERV] = "?";

    memcpy(&endpoint->address, info->ai_addr, info->ai_addrlen);
    endpoint->length = info->ai_addrlen;
    getnameinfo(info->ai_addr, info->ai_addrlen, host, sizeof(host), service, sizeof(service),
                NI_NUMERICHOST | NI_NUMERICSERV);
    endpoint->what = g_strdup_printf("%s port %s", host, service);
    return endpoint;
}

GPtrArray *
vimg_network_resolve(const VimgPluginAddress *host, const VimgNetwork *network, gint64 deadline,
                     const VimgSshGivenUp *given_up, GError **error)
{
    g_autoptr(GPtrArray) endpoints = g_ptr_array_new_with_free_func(endpoint_free);
    g_autoptr(Question) question = begin_question(host);
    int result = question ? wait_answered(question, deadline, given_up) : ETIMEDOUT;
    const struct addrinfo *info;

    if (result != 0) {
        vimg_ssh_throw_waited(error, VIMG_SSH_RESOLVE, host->name, result);
        return NULL;
    }
    if (question->result != 0) {
        vimg_ssh_throw(error, VIMG_ERROR_DISCONNECTED, VIMG_SSH_RESOLVE, host->name, "%s",
                       gai_strerror(question->result));
        return NULL;
    }
    for (info = question->found; info && endpoints->len < VIMG_ADDRESSES_MAX; info = info->ai_next)
        if (address_bytes(info->ai_addr) &&
            (!network || vimg_network_contains(network, info->ai_addr)))
            g_ptr_array_add(endpoints, endpoint_new(info));
    if (endpoints->len > 0)
        return g_steal_pointer(&endpoints);
    if (network)
        g_set_error(error, VIMG_ERROR, VIMG_ERROR_CONFIG_UNSUPPORTED,
                    _("server '%1$s' has no address in network '%2$s'"), host->name, network->text);
    else
        vimg_ssh_throw(error, VIMG_ERROR_DISCONNECTED, VIMG_SSH_RESOLVE, host->name, "%s",
                       _("it has no address"));
    return NULL;
}

/* ---- sockets */

static int
wait_connected(int fd, gint64 deadline, const VimgSshGivenUp *given_up)
{
    socklen_t length = sizeof(int);
    int result = vimg_ssh_poll(fd, POLLOUT, deadline, given_up);

    if (result == 0 && getsockopt(fd, SOL_SOCKET, SO_ERROR, &result, &length) < 0)
        return errno;
    return result;
}

static int
connect_socket(int fd, const VimgEndpoint *to, const VimgEndpoint *local, gint64 deadline,
               const VimgSshGivenUp *given_up)
{
    gsize i;

    for (i = 0; i < G_N_ELEMENTS(socket_options); i++)
        if (setsockopt(fd, socket_options[i].level, socket_options[i].name,
                       &socket_options[i].value, sizeof(int)) < 0)
            return errno;
    if (local && bind(fd, (const struct sockaddr *)&local->address, local->length) < 0)
        return errno;
    if (connect(fd, (const struct sockaddr *)&to->address, to->length) == 0)
        return 0;
    return errno == EINPROGRESS ? wait_connected(fd, deadline, given_up) : errno;
}

int
vimg_network_connect(const VimgEndpoint *to, const VimgEndpoint *local, gint64 deadline,
                     const VimgSshGivenUp *given_up)
{
    int fd = socket(to->address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int result;

    if (fd < 0)
        return -errno;
    result = connect_socket(fd, to, local, deadline, given_up);
    if (result == 0)
        return fd;
    close(fd);
    return -result;
}
