/*
 * fake-model-private.h: what the fake-model*.c files share; for them alone
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef FAKE_MODEL_PRIVATE_H
#define FAKE_MODEL_PRIVATE_H

#include "fake-model.h"

/* Every function of the model writes itself down first.  Returns: whether it shall succeed. */
gboolean fake_called(GError **error, const char *format, ...) G_GNUC_PRINTF(2, 3);

/* "p": the pool, with a mark if its uuid is not the one that the tests send. */
const char *fake_pool_text(const VimgPoolId *pool);
const char *fake_vol_text(const VimgVolId *vol);
const char *fake_uuid_text(const guint8 *uuid);

/* Fill @out if @ok, which they return. */
gboolean fake_give_pool(gboolean ok, VimgPoolId *out);
gboolean fake_give_vol(gboolean ok, VimgVolId *out);
gboolean fake_give_secret(gboolean ok, VimgSecretId *out);

#endif
