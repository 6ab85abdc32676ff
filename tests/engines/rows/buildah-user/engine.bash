# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# The same calls as root's.

# shellcheck source=/dev/null
source "${BASH_SOURCE[0]%/*}/../buildah/engine.bash"
