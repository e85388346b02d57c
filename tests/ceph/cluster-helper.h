/*
 * cluster-helper.h: the cluster that CEPH_CONF names, and definitions of pools in it
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_TESTS_CEPH_CLUSTER_HELPER_H
#define VIMG_TESTS_CEPH_CLUSTER_HELPER_H

#include "store.h"

#define SECRET "ceph-key" /* usage of client.admin's key */

/* A definition that a test may change; all of it is the helper's. */
typedef struct {
    VimgPluginPool pool;
    char *uuid;
    GArray *hosts;    /* of VimgPluginAddress */
    GArray *elements; /* of VimgPluginElement */
} Definition;

/* Of RADOS pool @name; NULL: one of our own. */
Definition *definition_new(const char *name);
void definition_free(Definition *definition);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Definition, definition_free)

/* One more monitor; @host is constant. */
void definition_add_host(Definition *definition, const char *host, guint16 port);

/*
 * One more monitor in the place of the addresses and the key, to be asked over SSH; all strings are
 * constant.  @secret NULL: it has none.
 */
void definition_add_monitor(Definition *definition, const char *host, const char *port,
                            const char *secret);
/* One more element with an attribute. */
void definition_add_element(Definition *definition, const char *path, const char *attribute,
                            const char *value);

/* The value of secret @usage, of whatever type, from now on. */
void secret_set(const char *usage, const void *data, gsize size);
/* Returns: (transfer full) the key of @user in the keyring of the cluster. */
char *cluster_key(const char *user);
/* Port of the monitor at 127.0.0.1. */
guint16 cluster_port(void);
/* Returns: (transfer full) what a command of the stock tools writes; it must succeed. */
char *cluster_run(const char *command);

/* Gives librados' callers a daemon's services, with the key of client.admin as a secret. */
void cluster_helper_init(void);
/* A job that is cancelled once somebody asked @times whether it is. */
VimgPluginJob *job_cancelled_after(guint times);
/* One that is never cancelled; @func is called when somebody asks for the first time. */
VimgPluginJob *job_meanwhile(void (*func)(gpointer), gpointer data);
/* Where the daemon's known hosts are; constant. */
void cluster_helper_state(const char *dir);

#endif
