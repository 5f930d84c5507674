/* SPDX-License-Identifier: MIT */
/* What base/low.c must not include. */
