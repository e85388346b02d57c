/*
 * machine-watch.c: whether a machine that is shut off was started meanwhile, be it for a moment
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <libvirt/virterror.h>

#include "cli/machine-watch.h"
#include "util/error.h"
#include "util/i18n.h"
#include "util/thread.h"

#define TURN_PATIENCE (10 * G_USEC_PER_SEC)
#define TICK 100 /* milliseconds, after which the thread looks whether it is to end */

struct _VimgWatch {
    char *name;
    virConnectPtr connection;
    virDomainPtr domain;
    int callback; /* -1: none */
    int timer;    /* -1: none */
    gboolean running;
    VimgThread thread;
    gint started, stop, ended; /* atomic */
    gint turns;                /* atomic: of the loop; it is told of events in each */
};

static int
on_event(virConnectPtr connection, virDomainPtr domain, int event, int detail, void *data)
{
    VimgWatch *watch = data;

    if (event == VIR_DOMAIN_EVENT_STARTED)
        __atomic_store_n(&watch->started, TRUE, __ATOMIC_RELEASE);
    return 0;
}

static void
on_tick(int timer, void *data)
{
    VimgWatch *watch = data;

    __atomic_add_fetch(&watch->turns, 1, __ATOMIC_RELEASE);
}

static void
listen_thread(gpointer data)
{
    VimgWatch *watch = data;

    while (!__atomic_load_n(&watch->stop, __ATOMIC_ACQUIRE))
        if (virEventRunDefaultImpl() < 0)
            break;
    __atomic_store_n(&watch->ended, TRUE, __ATOMIC_RELEASE);
}

static gboolean
begin(VimgWatch *watch, const VimgMachine *machine, GError **error)
{
    /* connections that are opened before know nothing of it */
    if (virEventRegisterDefaultImpl() < 0)
        return vimg_machine_throw(error);
    watch->timer = virEventAddTimeout(TICK, on_tick, watch, NULL);
    watch->connection = vimg_machine_connect(machine->uri, error);
    if (!watch->connection)
        return FALSE;
    watch->domain = virDomainLookupByUUIDString(watch->connection, machine->uuid);
    if (watch->domain)
        watch->callback = virConnectDomainEventRegisterAny(
            watch->connection, watch->domain, VIR_DOMAIN_EVENT_ID_LIFECYCLE,
            VIR_DOMAIN_EVENT_CALLBACK(on_event), watch, NULL);
    if (watch->timer < 0 || watch->callback < 0)
        return vimg_machine_throw(error);
    watch->running = vimg_thread_start(&watch->thread, "watch", listen_thread, watch, error);
    return watch->running;
}

VimgWatch *
vimg_watch_new(VimgMachine *machine, GError **error)
{
    g_autoptr(VimgWatch) watch = g_new0(VimgWatch, 1);

    watch->name = g_strdup(machine->name);
    watch->callback = watch->timer = -1;
    return begin(watch, machine, error) ? g_steal_pointer(&watch) : NULL;
}

/*
 * What was told before an answer that we have lies ready then, and the loop hands it on in its next
 * turn: the second tick from now on is of a turn after that.
 */
static gboolean
wait_for_turn(VimgWatch *watch)
{
    gint64 until = g_get_monotonic_time() + TURN_PATIENCE;
    gint from = __atomic_load_n(&watch->turns, __ATOMIC_ACQUIRE);

    while (!__atomic_load_n(&watch->ended, __ATOMIC_ACQUIRE) && g_get_monotonic_time() < until) {
        if (__atomic_load_n(&watch->turns, __ATOMIC_ACQUIRE) - from >= 2)
            return TRUE;
        g_usleep(TICK * 1000 / 10);
    }
    return FALSE;
}

gboolean
vimg_watch_check(VimgWatch *watch, GError **error)
{
    int active = virDomainIsActive(watch->domain);

    if (active < 0 || !wait_for_turn(watch))
        return vimg_throw(
            error, VIMG_ERROR_OPERATION_INVALID,
            _("the connection to libvirt was lost: nobody knows whether machine '%s' was started meanwhile: try again"),
            watch->name);
    if (active == 0 && !__atomic_load_n(&watch->started, __ATOMIC_ACQUIRE))
        return TRUE;
    return vimg_throw(error, VIMG_ERROR_BUSY, _("machine '%s' was started meanwhile: try again"),
                      watch->name);
}

void
vimg_watch_free(VimgWatch *watch)
{
    if (!watch)
        return;
    if (watch->callback >= 0)
        virConnectDomainEventDeregisterAny(watch->connection, watch->callback);
    if (watch->domain)
        virDomainFree(watch->domain);
    if (watch->connection)
        virConnectClose(watch->connection);
    if (watch->running) {
        wait_for_turn(watch); /* in which the loop lets go of what was closed */
        __atomic_store_n(&watch->stop, TRUE, __ATOMIC_RELEASE);
        vimg_thread_join(watch->thread);
    }
    if (watch->timer >= 0)
        virEventRemoveTimeout(watch->timer);
    g_free(watch->name);
    g_free(watch);
}
