/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The front end's half of vhost-user: a device whose queues another process works on, the back end. It gets the guest's
 * memory as file descriptors, and for each queue an eventfd by which it is woken and one by which it interrupts.
 * (QEMU, docs/interop/vhost-user.rst.)
 *
 *	vhost_user_init  ->  vhost_user_start  ->  vhost_user_start_queue ...  ->  vhost_user_stop_queue ...  ->  start again
 *
 * The back end is not believed more than the guest is: an answer has the size and the kind that was asked for, comes
 * within VHOST_USER_TIMEOUT_S, and brings no descriptors; anything else is an error. So is a byte that was not asked for:
 * whoever watches the socket calls vhost_user_lost(). After any error the connection is of no use any more.
 *
 * Addresses of the guest's memory are told as the guest's own, also where the protocol speaks of the front end's: the
 * back end only compares them with what the memory table says, and learns nothing of where our mappings are.
 *
 * Every function is 0 or -errno with a text about "the back end"; the caller says of what.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define VHOST_USER_TIMEOUT_S 10
/* Queues have 8-bit numbers in messages with descriptors. */
#define VHOST_USER_QUEUES_MAX 128

struct guest_memory;

struct vhost_user {
	int socket;			/* borrowed */
	uint64_t features;		/* of the back end, virtio's and VHOST_USER_F_PROTOCOL_FEATURES */
	uint64_t protocol_features;	/* those in use */
	unsigned int queues;		/* at most; 0: it did not say */
	bool failed;
};

/* A queue, as the driver has set it up. */
struct vhost_user_queue {
	unsigned int index;
	uint16_t size;			/* in descriptors */
	uint16_t base;			/* the index of the next available entry */
	uint64_t desc, avail, used;	/* guest physical */
	int kick, call;			/* eventfds; the back end gets copies */
};

/* The connection begins: what the back end can do, and that it is ours. Sets time limits on the socket. */
int vhost_user_init(struct vhost_user *v, int socket);

/* A driver is there: the features that it chose (virtio's), and the memory; every region has to have a descriptor. */
int vhost_user_start(struct vhost_user *v, uint64_t features, const struct guest_memory *memory);
int vhost_user_start_queue(struct vhost_user *v, const struct vhost_user_queue *q);

/* When it returns 0, the back end uses nothing of the queue any more. */
int vhost_user_stop_queue(struct vhost_user *v, unsigned int index);

/* The socket is readable or hung up although nothing was asked: always an error, this says which. */
int vhost_user_lost(struct vhost_user *v);
