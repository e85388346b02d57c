/*
 * services.h: what the daemon does for backends: log, secrets, jobs, timers, word of lost storages
 *
 * The functions of VimgServices carry no context, so there is one table a process, and one place
 * where the model registers what stands behind it.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_POOL_SERVICES_H
#define VIMG_POOL_SERVICES_H

#include "pool/secrets.h"

/* Lives as long as the process. */
const VimgServices *vimg_services_get(void);

/*
 * Each replaces what was there; NULL: nothing.  When it returns no call is inside of the old one
 * any more, so that may be freed; never from inside of such a call.
 */
void vimg_services_set_secrets(VimgSecrets *secrets);

/* Before a backend is loaded. */
void vimg_services_set_state_dir(const char *dir);

/* Called in any thread of a backend, no lock held; @error NULL: the storage is back. */
typedef void (*VimgStatusFunc)(VimgPluginHost *host, const GError *error, gpointer data);
void vimg_services_set_status_func(VimgStatusFunc func, gpointer data);

/* The same for secrets that are not ours: see vimg_model_set_host_secrets(). */
void vimg_services_set_host_secrets(VimgHostSecretFunc func, gpointer data);

/* The same for whether a deleted image is still to be read. */
typedef gboolean (*VimgKeptFunc)(VimgPluginHost *host, const char *uuid);
void vimg_services_set_kept_func(VimgKeptFunc func);

#endif
