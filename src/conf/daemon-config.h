/*
 * daemon-config.h: virtimaged.conf
 *
 * The syntax is that of libvirt's own daemon files: KEY = VALUE lines, VALUE a "string", a number
 * or [ "list", "of strings" ]; '#' begins a comment.  An unknown key is an error.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_CONF_DAEMON_CONFIG_H
#define VIMG_CONF_DAEMON_CONFIG_H

#include "util/error.h"

typedef struct {
    char **zones;               /* this host's zones, the first is the current one; empty: none */
    char *socket_group;         /* NULL: "libvirt" if that group exists, else root */
    char **compat_uris;         /* as "qemu:///system"; empty: none */
    char *host_uri;             /* "none", or one that vimg_host_uri_parse() takes; NULL: "auto" */
    char **search_paths;        /* directories find-storage-pool-sources looks below */
    guint max_clients;          /* 5000 */
    guint max_streams;          /* 256, of the whole daemon */
    guint max_workers;          /* 20, slow calls at a time; fast ones have workers of their own */
    guint max_pool_calls;       /* 5, slow calls of one pool at a time */
    guint max_client_requests;  /* 64 undispatched calls of one client */
    guint64 max_client_bytes;   /* 33554432: undispatched bytes of one client */
    guint64 max_stream_queue;   /* 8388608: bytes queued for the streams of one client */
    guint keepalive_interval;   /* 5 s; 0: never ping */
    guint keepalive_count;      /* 5 */
    guint stream_stall_timeout; /* 120 s a paused client is kept alive */
    char *metrics_file;         /* NULL: none is written */
    guint metrics_interval;     /* 15 s between two of them */
    char **import_schemes;      /* "https", "http", "file" */
    char **import_hosts;        /* patterns; empty: all */
    char **import_addresses;    /* networks; empty: all that are not special */
    char **import_directories;  /* below which file: URLs may lie; empty: none may */
    char *import_ca_file;       /* NULL: the host's authorities */
    char *import_proxy;         /* NULL: none */
    guint import_timeout;       /* 60 s without a byte until it is tried again */
    guint import_ratio;         /* 1000 bytes that are not zeros, at most, of a packed one */
    guint64 import_max_size;    /* 17592186044416 bytes, of an image */
    guint64 nbd_cache;          /* 4294967296 bytes on disk of an image served over NBD, at most */
    guint nbd_wait;             /* 60 s that its server waits for clients */
    char *export_listen;        /* "ADDRESS:PORT"; NULL: exports are not served */
    char *export_url;           /* below which they are; NULL: where it listens */
    char *export_tls_cert;      /* PEM files; NULL: no TLS */
    char *export_tls_key;
    char *export_user;               /* whom the server of exports becomes; NULL: nobody */
    guint export_connections;        /* 100 downloads at a time */
    guint64 export_rate;             /* bytes a second of all of them; 0: no limit */
    guint export_client_connections; /* 32 of those for one address; 0: no limit */
    guint64 export_client_rate;      /* the same of the rate */
    guint export_timeout;            /* 60 s for which a client may take nothing */
    VimgLogLevel log_level;          /* written as libvirt's numbers, 1 (debug) to 4 (errors) */
} VimgDaemonConfig;

/* Defaults only. */
VimgDaemonConfig *vimg_daemon_config_new(void);
void vimg_daemon_config_free(VimgDaemonConfig *config);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VimgDaemonConfig, vimg_daemon_config_free)

/* Errors are VIMG_ERROR_CONFIG_UNSUPPORTED "FILE:LINE: …", or those of vimg_file_read(). */
VimgDaemonConfig *vimg_daemon_config_load(const char *path, GError **error);
VimgDaemonConfig *vimg_daemon_config_parse(const char *name, const char *text, GError **error);

#endif
