/*
 * secret.c: values of secrets that the host's own libvirt daemon keeps
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <string.h>
#include <unistd.h>
#include <libvirt/virterror.h>

#include "host/secret.h"
#include "host/talk.h"
#include "util/file.h"
#include "util/i18n.h"
#include "util/thread.h"
#include "util/uuid.h"
#include "wire/remote.h"
#include "wire/xdr.h"

#define TIMEOUT (10 * G_USEC_PER_SEC) /* once it is open */

typedef struct {
    VimgHost *host;
    int usage_type;
    const char *usage;
    const guint8 *uuid;
    VimgBuffer *value;
    GError *error;
} Search;

/* Whoever looked here first has better words. */
static void
throw_none(const Search *search, GError **error)
{
    vimg_throw(error, VIMG_ERROR_NO_SECRET, "%s", search->usage ? search->usage : "");
}

static gboolean
look_up(VimgTalk *talk, const Search *search, vimg_remote_secret *secret, GError **error)
{
    vimg_remote_secret_usage_args by_usage = {.usage_type = search->usage_type,
                                              .usage_id = (char *)search->usage};
    vimg_remote_uuid_args by_uuid;

    if (search->usage)
        return vimg_talk_call(talk, VIMG_REMOTE_SECRET_LOOKUP_BY_USAGE,
                              (xdrproc_t)xdr_vimg_remote_secret_usage_args, &by_usage,
                              (xdrproc_t)xdr_vimg_remote_secret, secret, error);
    memcpy(by_uuid.uuid, search->uuid, sizeof(by_uuid.uuid));
    return vimg_talk_call(talk, VIMG_REMOTE_SECRET_LOOKUP_BY_UUID,
                          (xdrproc_t)xdr_vimg_remote_uuid_args, &by_uuid,
                          (xdrproc_t)xdr_vimg_remote_secret, secret, error);
}

static VimgBuffer *
get_value(VimgTalk *talk, const vimg_remote_secret *secret, GError **error)
{
    vimg_remote_secret_flags_args args = {.secret = *secret};
    vimg_remote_secret_value_ret ret = {0};
    VimgBuffer *value = NULL;

    if (vimg_talk_call(talk, VIMG_REMOTE_SECRET_GET_VALUE,
                       (xdrproc_t)xdr_vimg_remote_secret_flags_args, &args,
                       (xdrproc_t)xdr_vimg_remote_secret_value_ret, &ret, error)) {
        value = vimg_buffer_new(ret.value.value_len);
        memcpy(value->data, ret.value.value_val, ret.value.value_len);
    }
    vimg_xdr_wipe((xdrproc_t)xdr_vimg_remote_secret_value_ret, &ret);
    xdr_free((xdrproc_t)xdr_vimg_remote_secret_value_ret, (char *)&ret);
    return value;
}

static int
code_of(const GError *error)
{
    return error ? vimg_error_to_vir(error)->code : 0;
}

/* By its uuid anything can be named: the password of a server is not to be a disk's passphrase. */
static gboolean
check_use(const Search *search, const vimg_remote_secret *secret, GError **error)
{
    char uuid[VIMG_UUID_TEXT_SIZE];

    if (secret->usage_type == search->usage_type)
        return TRUE;
    vimg_uuid_format((const guint8 *)secret->uuid, uuid);
    return vimg_throw(
        error, VIMG_ERROR_INVALID_SECRET,
        _("secret %s of the host is for another use than this: define one for it through image:///system"),
        uuid);
}

/* Our own errors for "it has none" and "it does not tell"; all others stay the host's. */
static VimgBuffer *
search_at(const Search *search, int fd, GError **error)
{
    vimg_remote_secret secret = {0};
    char uuid[VIMG_UUID_TEXT_SIZE];
    g_auto(VimgTalk) talk;
    VimgBuffer *value = NULL;

    vimg_talk_init(&talk, fd, -1, g_get_monotonic_time() + TIMEOUT);
    if (!look_up(&talk, search, &secret, error)) {
        if (code_of(*error) == VIR_ERR_NO_SECRET) {
            g_clear_error(error);
            throw_none(search, error);
        }
    } else if (check_use(search, &secret, error)) {
        value = get_value(&talk, &secret, error);
        if (!value && code_of(*error) == VIR_ERR_INVALID_SECRET) {
            g_clear_error(error);
            vimg_uuid_format((const guint8 *)secret.uuid, uuid);
            vimg_throw(
                error, VIMG_ERROR_INVALID_SECRET,
                _("secret %s of the host is private, so its value cannot be read: define it through image:///system"),
                uuid);
        }
    }
    xdr_free((xdrproc_t)xdr_vimg_remote_secret, (char *)&secret);
    return value;
}

/* A thread that ends afterwards, as vimg_host_open() wants one. */
static void
search_main(gpointer data)
{
    Search *search = data;
    VimgPeer self = {.uid = geteuid(), .gid = getegid()};
    vimg_autofd int fd = -1;
    int n = getgroups(0, NULL);

    self.groups = g_new0(gid_t, (gsize)MAX(n, 0));
    n = getgroups(n, self.groups);
    self.n_groups = (gsize)MAX(n, 0);
    if (vimg_host_open(search->host, &self, &fd, &search->error)) {
        if (fd >= 0)
            search->value = search_at(search, fd, &search->error);
        else
            throw_none(search, &search->error);
    }
    vimg_peer_clear(&self);
}

VimgBuffer *
vimg_host_secret(VimgHost *host, int usage_type, const char *usage, const guint8 *uuid,
                 GError **error)
{
    Search search = {.host = host, .usage_type = usage_type, .usage = usage, .uuid = uuid};
    VimgThread thread;

    if (!vimg_thread_start(&thread, "vimg-secret", search_main, &search, error))
        return NULL;
    vimg_thread_join(thread);
    if (!search.value)
        g_propagate_error(error, search.error);
    return search.value;
}
