/*
 * fake-model.h: a model that answers the same to everybody and writes down what it was asked
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef FAKE_MODEL_H
#define FAKE_MODEL_H

#include "pool/model.h"

/* 00 01 02 … 0f: the uuid of everything. */
extern const guint8 fake_uuid[VIMG_UUID_SIZE];

typedef struct {
    GString *log;  /* "pool_build(p, 0x1)": the last call */
    guint count;   /* objects in every list */
    gboolean fail; /* everything that can fails with VIMG_ERROR_DAMAGED "broken" */
} FakeModel;

extern FakeModel fake_model;

/* Back to: nothing logged, two objects, no failure. */
void fake_model_reset(void);

#endif
