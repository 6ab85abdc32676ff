/* SPDX-License-Identifier: Apache-2.0 */
/* The back ends of nacre. A file of its own, because the guest program, which has this folder's code, has another list. */
#include <stddef.h>

#include "runtime/backend.h"

const struct backend_ops *const backend_all[] = { &backend_container, &backend_microvm, NULL };
