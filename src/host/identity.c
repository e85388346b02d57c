/*
 * identity.c: doing something as somebody else
 *
 * Linux keeps credentials by thread; it is the C library that makes a process of them, so its
 * functions are passed by.  Only effective ids change: a thread whose real or saved id were the
 * user's could be killed by that user, and with it the daemon.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <linux/capability.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "host/identity.h"
#include "util/i18n.h"

/* Those of old ABIs take ids of 16 bits. */
#ifdef SYS_setgroups32
#define SETGROUPS SYS_setgroups32
#define SETRESGID SYS_setresgid32
#define SETRESUID SYS_setresuid32
#else
#define SETGROUPS SYS_setgroups
#define SETRESGID SYS_setresgid
#define SETRESUID SYS_setresuid
#endif

/* Leaving the effective id 0 does that, unless somebody set the process up otherwise. */
static gboolean
drop_capabilities(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];

    if (syscall(SYS_capget, &header, data) < 0)
        return FALSE;
    for (gsize i = 0; i < G_N_ELEMENTS(data); i++)
        data[i].effective = 0;
    return syscall(SYS_capset, &header, data) == 0;
}

gboolean
vimg_identity_is_own(const VimgPeer *peer)
{
    return geteuid() != 0 || peer->uid == 0;
}

gboolean
vimg_identity_take(const VimgPeer *peer, GError **error)
{
    if (vimg_identity_is_own(peer))
        return TRUE;
    /* to the kernel it means "as it is", which is root's */
    if (peer->uid == (uid_t)-1 || peer->gid == (gid_t)-1)
        return vimg_throw(error, VIMG_ERROR_ACCESS_DENIED, "%s", _("cannot learn who a client is"));
    if (syscall(SETGROUPS, peer->n_groups, peer->groups) < 0 ||
        syscall(SETRESGID, -1, peer->gid, -1) < 0 || syscall(SETRESUID, -1, peer->uid, -1) < 0 ||
        !drop_capabilities())
        return vimg_throw_errno(error, _("cannot act as the user with id %u"), (guint)peer->uid);
    return TRUE;
}
