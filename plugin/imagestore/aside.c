/*
 * aside.c: what is asked of a storage far away while something else is
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "aside.h"

static void *
aside_main(void *data)
{
    const VimgAside *aside = data;
    VIMG_TRANSPORT_PATIENCE(aside->patient ? aside->job : NULL);

    pthread_setname_np(pthread_self(), "aside");
    vimg_transport_haste(aside->job);
    aside->func(aside->data);
    return NULL;
}

void
vimg_aside_begin(VimgAside *aside, const VimgTransport *transport, void (*func)(gpointer data),
                 gpointer data)
{
    *aside = (VimgAside){.func = func,
                         .data = data,
                         .job = vimg_transport_job(),
                         .patient = vimg_transport_is_patient()};
    /* without a thread it only takes longer */
    aside->started = transport->remote && thread_start(&aside->thread, aside_main, aside) == 0;
}

void
vimg_aside_end(VimgAside *aside)
{
    if (aside->func && !aside->started)
        aside->func(aside->data);
    vimg_aside_drop(aside);
}

void
vimg_aside_drop(VimgAside *aside)
{
    if (aside->func && aside->started)
        thread_must(pthread_join(aside->thread, NULL));
    aside->func = NULL;
}
