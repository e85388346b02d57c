/*
 * export-address.h: at which address exports are served
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_DAEMON_EXPORT_ADDRESS_H
#define VIMG_DAEMON_EXPORT_ADDRESS_H

#include <gio/gio.h>

/*
 * What @listen, "ADDRESS:PORT", says; of ":PORT" this host's address in the first of @networks
 * (CIDRs, NULL at the end) in which it has one, else loopback.  Returns: (transfer full)
 */
GInetSocketAddress *vimg_export_address(const char *listen, char *const *networks);

#endif
