/*
 * remote.h: what daemon/ needs of the handlers: hooks for the server, and events of the model
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_RPC_REMOTE_H
#define VIMG_RPC_REMOTE_H

#include "rpc/server.h"

extern const VimgServerHooks vimg_remote_hooks;

/* A VimgEventSink; @data is the VimgServer. */
void vimg_remote_event(const VimgEvent *event, gpointer data);

/* A VimgJobSink; @data is the VimgServer. */
void vimg_remote_job_event(const VimgJobEvent *event, gpointer data);

#endif
