/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest description: what the host tells beside config.json (the payload of CONFIGURE), one JSON object. The host's
 * half, which writes it, is runtime/vm_describe.h.
 *
 *	id		the container's
 *	bundle		its path on the host, for the state that startContainer hooks get
 *	hostname	of the machine itself, and the container's when config.json names none; the pod's, or the host's
 *	time		{ "seconds": u64, "nanoseconds": u64 }: the wall clock, UTC
 *	entropy		hexadecimal digits, at most 1024: a seed for the kernel's random numbers, counted as such
 *	share		the tag of the one virtio-fs export; mounted on SHARE_MOUNT here
 *	rootfs		path of the root file system in the share: "/rootfs"; or, in its place:
 *	image		{ "device": "/dev/vda", "type": "ext4", "readOnly": bool }: it is on a disk; mounted on IMAGE_MOUNT here
 *	mounts		[ { "index": n, "flags": [ "nosuid", … ] }, … ]: of these mounts of config.json, in ascending order, the source is in
 *			the share, as /mounts/n; flags, in the words of mount options, are what the source has on the host,
 *			which a file system of the guest's does not tell
 *	idsMapped	bool: the share's ids are the container's already, by a user namespace on the host; it gets none here
 *	apparmor	optional, hexadecimal digits: a compiled policy, which has the profile that config.json names
 *	network		optional: runtime/net_wire.h
 *
 * Strict: all but these two must be there, and one of rootfs and image; nothing else may be.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct net_config;

#define SHARE_MOUNT "/share"
#define IMAGE_MOUNT "/image"
#define GUEST_MOUNTS_MAX 4096
#define GUEST_ENTROPY_MAX 512
#define GUEST_MOUNT_FLAGS { "ro", "nosuid", "nodev", "noexec", "noatime", "nodiratime", "strictatime", "nosymfollow" }

struct guest_image {
	const char *device, *type;	/* device: absolute; NULL: the root file system is in the share */
	bool read_only;
};

struct guest_mount {
	size_t index;
	const char **flags;
	size_t n_flags;
};

struct guest_description {
	const char *id, *bundle, *hostname, *share, *rootfs;	/* rootfs: NULL with an image */
	struct guest_image image;
	uint64_t seconds, nanoseconds;
	const unsigned char *entropy;
	size_t entropy_size;
	const struct guest_mount *mounts;	/* ascending */
	size_t n_mounts;
	bool ids_mapped;
	const unsigned char *apparmor;		/* NULL: none */
	size_t apparmor_size;
	const struct net_config *network;	/* NULL: none */
};

struct arena;

/* In a, copied. -EINVAL or -ENOMEM with a text. */
int guest_description_read(struct arena *a, const char *text, size_t len, struct guest_description *ret);
