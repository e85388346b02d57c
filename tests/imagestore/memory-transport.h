/*
 * memory-transport.h: a storage in memory that fails where it is told to
 *
 * It knows what was made durable and what was not, so a crash can be played: only synced files and
 * directory entries are there afterwards, and of the rest what chance decides.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef TESTS_IMAGESTORE_MEMORY_TRANSPORT_H
#define TESTS_IMAGESTORE_MEMORY_TRANSPORT_H

#include "transport.h"

typedef struct _MemoryDisk MemoryDisk;

typedef enum {
    FAULT_NONE,
    FAULT_ERROR, /* operation number @at answers @result and does nothing */
    FAULT_CRASH, /* operation number @at and all later ones answer EIO and do nothing */
    FAULT_SYNC,  /* from operation number @at on, whatever makes something durable answers EIO */
    FAULT_LOOK,  /* reading operation number @at, a READ, STAT or LIST, answers @result */
} FaultKind;

typedef struct {
    FaultKind kind;
    guint at; /* counted from 1 since the fault was set; apart from FAULT_LOOK, only changes */
    int result;
    guint space; /* files larger than this answer ENOSPC; 0: no limit */
    gsize room;  /* all files together; 0: no limit */
} Fault;

/*
 * With VIMG_TEST_TRANSPORT in the environment it is a directory behind a server, where the power
 * cannot be cut and files have all the room there is.
 */
MemoryDisk *memory_disk_new(void);
/* Whether it is not, for tests of what only memory can do. */
gboolean memory_disk_is_memory(void);
/* Returns: (transfer full) an independent copy, everything durable. */
MemoryDisk *memory_disk_copy(const MemoryDisk *disk);
void memory_disk_free(MemoryDisk *disk);

/* One way to the disk, which must outlive it.  @whole: it can sync everything at once. */
VimgTransport *memory_transport_new(MemoryDisk *disk, gboolean whole);
/*
 * Before operation number @at from now on, counted from 1, reading ones too, @func is called: what
 * another host does at this moment, by a way of its own.
 */
void memory_transport_meet(VimgTransport *transport, guint at, void (*func)(gpointer data),
                           gpointer data);

/* Returns: what Fault.room is compared with. */
gsize memory_disk_weigh(MemoryDisk *disk);
void memory_disk_set_fault(MemoryDisk *disk, const Fault *fault);
/* By its clock, which otherwise goes a nanosecond with each change. */
void memory_disk_let_pass(MemoryDisk *disk, guint seconds);
/* Changing operations since the fault was set. */
guint memory_disk_count(MemoryDisk *disk);
/* The same of reading ones. */
guint memory_disk_count_looks(MemoryDisk *disk);
/* What a power cut leaves.  @seed 0: nothing that was not durable. */
void memory_disk_crash(MemoryDisk *disk, guint32 seed);

#endif
