/*
 * test-backend-fixture.h: the plugins of the tests, and the one that lies on demand
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef TEST_BACKEND_FIXTURE_H
#define TEST_BACKEND_FIXTURE_H

#include "pool/backend-private.h"

#define ONE_UUID "11111111-1111-4111-8111-111111111111"
#define TWO_UUID "22222222-2222-4222-8222-222222222222"

extern VimgBackends *backends;

const VimgType *get(const char *type);

/* A definition and its view. */
typedef struct {
    VimgPoolDef *def;
    VimgPoolView *view;
} Pool;

void pool_clear(Pool *pool);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Pool, pool_clear)

Pool pool_new(const char *type, const char *source, const char *options);
/* Of the type "liar"; what it lies about is @lie. */
Pool liar_pool(const char *lie);
VimgStore *liar_open(const char *lie);

VimgPluginImage named(char *uuid, char *name);

/* What went wrong is @code and says @text; @error is by reference as @ok may be set with it. */
void assert_refused(gboolean ok, GError **thrown, VimgErrorCode code, const char *text);

/* One test a row, numbered. */
void add_rows(const char *prefix, gsize n, GTestDataFunc func);

/* Loads the plugins that the tests were built with; what g_test_run() says. */
void backends_set_up(void);
int backends_run(void);

#endif
