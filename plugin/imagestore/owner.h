/*
 * owner.h: which process of which host a lease or a collector's run belongs to
 *
 * The file "owner" in its directory says so for people, and lets another process of the same boot
 * see that the owner is dead.  The file "heartbeat" beside it is rewritten while it lives.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_IMAGESTORE_OWNER_H
#define VIMG_IMAGESTORE_OWNER_H

#include "json.h"
#include "transport.h"

#define VIMG_OWNER_FILE "owner"
#define VIMG_OWNER_MAX_SIZE ((gsize)64 * 1024)
#define VIMG_HEARTBEAT_FILE "heartbeat"

/*
 * Returns: (transfer full) a fresh name for a lease or a run: "<machine>-<boot>-<uuid>".  So one of
 * an earlier boot of this machine is known even if the power cut took what was in its files.
 */
char *vimg_owner_new_id(void);
/*
 * Notes the present boot in @state_dir, which is private to this machine, and learns of the earlier
 * ones noted there.  Any thread.
 */
void vimg_owner_note_boot(const char *state_dir);
/* Returns: (transfer full) the text that names this process. */
char *vimg_owner_format(void);
/* Owner and heartbeat of this process into @dir, which is there.  Returns: 0 or errno's value. */
int vimg_owner_write(VimgTransport *transport, const char *dir);

/* Returns: (transfer full), NULL if @dir has none that can be read. */
JsonObject *vimg_owner_read(VimgTransport *transport, const char *dir);
/*
 * Leases and runs that this process holds, by the last part of their path; added before they are
 * made.  Any thread.
 */
void vimg_owner_hold(const char *id);
void vimg_owner_drop(const char *id);

/*
 * Whether @id is of an earlier boot of this machine that was noted; or @text, of its file "owner"
 * (may be NULL), names a process that we could see, and it is gone; or this one, which holds @id no
 * more.
 */
gboolean vimg_owner_is_dead(const VimgBuffer *text, const char *id);
/* Returns: (transfer full) "host (process id)"; NULL if it does not say. */
char *vimg_owner_describe(JsonObject *owner);

#endif
