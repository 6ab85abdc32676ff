/* SPDX-License-Identifier: Apache-2.0 */
/* /dev of a container: default devices and links, linux.devices, the console. runtime-spec config-linux "Devices". */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "namespaces/userns.h"

struct device_req {
	const char *path;	/* inside the root file system */
	mode_t type;		/* S_IFCHR, S_IFBLK, S_IFIFO */
	unsigned int major, minor;
	mode_t mode;
	uid_t uid;
	gid_t gid;
	bool has_mode, has_uid, has_gid;	/* asked for, not made up */
};

/*
 * In the runtime, for a container in a user namespace, which may make no nodes: all but the FIFOs, with owners and modes, in a
 * file system of their own, each as a detached mount. maps: those of the new user namespace; joined: the one that is joined
 * instead, or FD_NONE. trees[i] stays FD_NONE where the runtime may not make nodes either (without root, nested). Errors name
 * linux.devices[i].
 */
int device_nodes(const struct device_req *d, size_t n, const struct userns_req *maps, int joined, int *trees);

/*
 * Makes one configured device node. EPERM (a user namespace may not mknod): tree, of device_nodes(), comes there, or without
 * one the host's device of the same path, checked to be this one, and to have the owner and the mode that were asked for, which
 * nobody can give it there. Something else there already is -EEXIST.
 */
int device_make(int root, const struct device_req *d, int tree);

/*
 * null zero full random urandom tty; the links fd stdin stdout stderr and ptmx ->
 * pts/ptmx. A plain file of a default device's name (an exported image) gets the host's device bound over.
 */
int device_defaults(int root);

/*
 * Opens a new terminal in the container's own devpts: the ptmx by fd below root, checked
 * to be devpts's, the slave by TIOCGPTPEER (never by its name: CVE-2025-52565).
 */
int console_open(int root, int *ret_ptm, int *ret_pts);
/* Binds the slave over /dev/console. */
int console_bind(int root, int pts);
int console_resize(int ptm, uint16_t height, uint16_t width);
