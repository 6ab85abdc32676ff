/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A balloon (virtio 1.2, 5.5): the guest gives memory back. Two ways: free page reporting, by itself, whatever is free
 * for a while; and the balloon proper, which the host asks to grow or shrink to a target.
 *
 * Pages that are given back are holes in the memory's file: they cost the container nothing until the guest touches
 * them. There are no statistics, no hints, no poison.
 *
 * The reporting queue is number 4 by the specification, but drivers count only the queues of the features that both
 * sides have: for Linux it was number 2 for long. Neither statistics nor hints being offered, 2 to 4 mean the same here.
 *
 * The numbers of pages are the guest's: each goes through the door. A page that is none of its memory, a chain in the
 * wrong direction or of more than VIRTIO_BALLOON_PAGES_MAX numbers makes the device need a reset.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "microvm/guest_memory.h"
#include "microvm/virtio_mmio.h"
#include "microvm/virtqueue.h"

/* Numbers of one request; Linux sends 256. */
#define VIRTIO_BALLOON_PAGES_MAX 4096
/* The specification's pages, whatever the guest's are. */
#define VIRTIO_BALLOON_PAGE_SIZE 4096

struct virtio_balloon_options {
	const struct guest_memory *memory;	/* has to stay */
	bool deflate_on_oom;			/* a guest without memory may take pages back without being asked */
};

struct virtio_balloon {
	const struct guest_memory *memory;
	bool deflate_on_oom;
	uint32_t target;	/* in pages */
	uint32_t actual;	/* what the guest says that the balloon has */
	uint64_t discarded;	/* bytes, all in all */
	struct virtio_mmio *mmio;	/* NULL: no driver */
	struct virtqueue_chain chain;
	uint32_t pages[VIRTIO_BALLOON_PAGES_MAX];
};

extern const struct virtio_device_ops virtio_balloon_ops;

void virtio_balloon_init(struct virtio_balloon *b, const struct virtio_balloon_options *o);

/* How many pages the guest is to give away; it does so as well as it can. virtio_balloon.actual tells how far it is. */
void virtio_balloon_set_target(struct virtio_balloon *b, uint32_t pages);
