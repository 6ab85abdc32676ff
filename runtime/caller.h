/* SPDX-License-Identifier: Apache-2.0 */
/* Whose runtime is this: the system's, or a user's, with the state and the systemd of that user? */
#pragma once

#include <stdbool.h>

/*
 * So it is without root, and for the root of a user namespace that a rootless engine made: of /run and of the system's
 * systemd nothing is its own there, of XDG_RUNTIME_DIR all is. A login as root of a system that is in such a namespace as a
 * whole (USER tells) is not meant: what root does there without XDG_RUNTIME_DIR has to find the same containers.
 */
bool caller_is_user(void);
